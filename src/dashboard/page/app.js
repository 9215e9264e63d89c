// The page: what the address says is asked for, shown, and asked for again every ten seconds. All of the
// page's state is in its address, so that a link shows what its sender saw.

import { drawFilter as drawRunFilter, drawRuns, FILTERS as RUN_FILTERS } from "./activity.js";
import { drawCards, judgeAll, verdict } from "./cards.js";
import { $, setAttribute, setText, show } from "./dom.js";
import { drawFilter as drawOperationFilter, drawOperations, drawRun, FILTERS as OPERATION_FILTERS } from "./run.js";
import { ago, count, exact, now, setClock, shown } from "./words.js";

const REFRESH = 10_000;
const PATIENCE = 12_000;
// What is plotted of a pair is asked for when one of its runs has ended; of all at once where that is so of more pairs.
const FEW = 3;
// And now and then in any case: a run that was recorded late ended before the last one.
const ANEW = 300_000;
// A search goes on by itself for so many answers of two seconds each.
const SEARCHES = 30;

const VIEWS = ["first", "overview", "run", "trouble"];

const plotted = new Map(); // What is plotted of each pair, and how the pair stood when it was asked for.
let asking = null; // What is under way; another question ends it.
let lastSuccess = null;
let away = null;
let known = null; // The operations that are shown, and what was asked for them.
let timer = 0;
let answered = null; // The last answer on all pairs,
let listed = null; // and the last list of runs: their ages grow while no answer comes.
let arrived = false; // By the browser's own way back or forth: fields follow the address.

/// What the address says.
function state() {
  const given = new URLSearchParams(location.search);
  const names = given.has("run") ? ["run", "after", ...OPERATION_FILTERS] : ["before", ...RUN_FILTERS];
  return Object.fromEntries(names.filter((name) => given.get(name)).map((name) => [name, given.get(name)]));
}

/// The address of a state.
function address(wanted) {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(wanted)) if (value !== undefined && value !== null && value !== "") parts.set(name, value);
  return `?${parts}`;
}

/// Goes to another state.
function go(wanted) {
  history.pushState(null, "", wanted);
  arrive();
}

function arrive() {
  const { run } = state();
  if (!run || $("run").dataset.run !== run) {
    scrollTo(0, 0);
    $("run-title").dataset.focus = run ? "wanted" : "";
  }
  refresh();
}

async function ask(path, parameters, signal) {
  const parts = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== undefined));
  const patient = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]);
  const response = await fetch(`api/${path}?${parts}`, { signal: patient, cache: "no-store" });
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  const answer = isJson ? await response.json() : { error: `the server answered ${response.status}` };
  if (!response.ok) throw Object.assign(new Error(answer.error), { status: response.status });
  setClock(answer.now);
  return answer;
}

async function refresh() {
  clearTimeout(timer);
  asking?.abort();
  const mine = (asking = new AbortController());
  document.body.dataset.asking = "true";
  try {
    await draw(state(), mine.signal);
    lastSuccess = now();
    away = null;
    arrived = false;
  } catch (error) {
    if (mine !== asking) return; // Another question took its place.
    fail(error);
  } finally {
    if (mine === asking) {
      delete document.body.dataset.asking;
      document.body.dataset.round = String(Number(document.body.dataset.round ?? 0) + 1);
      timer = setTimeout(refresh, REFRESH);
      tell();
    }
  }
}

async function draw(wanted, signal) {
  // The verdict in the head holds on every view.
  const pairs = await ask("pairs", {}, signal);
  answered = { pairs: pairs.pairs, isCut: pairs.is_cut, history: await points(pairs.pairs, signal) };
  const judged = drawVerdict(wanted);
  if (wanted.run) await drawRunView(wanted, signal);
  else if (judged.length === 0) first(pairs);
  else await drawOverview(wanted, judged, signal);
}

/// The points of the plots.
async function points(pairs, signal) {
  const slot = Math.floor(now() / ANEW);
  const stands = ({ directions }) => JSON.stringify([slot, ...directions.map(({ direction, last_run: last }) => [direction, last?.id, last?.status])]);
  const stale = pairs.filter((one) => plotted.get(one.pair)?.stands !== stands(one));
  const asked = stale.length > FEW ? [{}] : stale.map(({ pair }) => ({ pair, limit: shownOf(plotted.get(pair)) }));
  const answers = await Promise.all(asked.map((parameters) => ask("history", parameters, signal)));
  const found = new Map(answers.flatMap((answer) => answer.pairs).map((one) => [one.pair, one.directions]));
  for (const one of stale) plotted.set(one.pair, { stands: stands(one), directions: found.get(one.pair) ?? [] });
  return pairs.map(({ pair }) => ({ pair, directions: plotted.get(pair).directions }));
}

/// Where there are many pairs, each has fewer points than it could have: as many as before.
function shownOf(before) {
  const cut = before?.directions.filter((one) => one.is_cut).map((one) => one.runs.length) ?? [];
  return cut.length > 0 ? Math.max(...cut) : undefined;
}

/// The sentence in the head. While no answer comes it is what was, in no colour, however good it was.
function drawVerdict(wanted, asOf = "") {
  const judged = judgeAll(answered.pairs, answered.history);
  let [level, words] = judged.length === 0 ? ["idle", "No runs yet"] : verdict(judged);
  if (answered.isCut) words += " (there are more pairs than this page shows)";
  setText($("verdict"), asOf + words);
  setAttribute($("verdict"), "class", asOf ? "idle" : level);
  const title = `${level === "bad" ? "● " : ""}${wanted.run ? `Run ${wanted.run}` : asOf + words} – ha-sync`;
  if (document.title !== title) document.title = title;
  return judged;
}

function first({ missing }) {
  setText($("missing-path"), missing ? shown(missing) : "");
  show($("missing"), Boolean(missing));
  view("first");
}

async function drawOverview(wanted, judged, signal) {
  const answer = await ask("iterations", wanted, signal);
  drawCards($("cards"), judged);
  drawRunFilter(wanted, judged, arrived);
  drawRuns(wanted, answer, address);
  listed = [wanted, answer];
  view("overview");
}

/// The operations of a run, searched until something is found.
async function search(wanted, signal) {
  const { run, ...filter } = wanted;
  const question = { iteration_id: run, ...filter };
  let answer = await ask("operations", question, signal);
  for (let round = 1, seen = answer.looked_at; answer.operations.length === 0 && answer.next !== null && round < SEARCHES; round += 1) {
    drawRun(answer.iteration);
    drawOperationFilter(wanted, arrived);
    drawOperations(wanted, answer, address); // Nothing yet, and not what was there before.
    setText($("search-state"), `Searching: ${count(seen)} operations looked at …`);
    view("run");
    answer = await ask("operations", { ...question, after: answer.next }, signal);
    seen += answer.looked_at;
  }
  return answer;
}

async function drawRunView(wanted, signal) {
  const { run } = wanted;
  const question = address(wanted);
  // What a run that is over did does not change: a search through millions of rows is not done every ten seconds.
  if (known?.question !== question || known.answer.iteration.status === "running") {
    known = { question, answer: await search(wanted, signal) };
  }
  const { answer } = known;
  drawRun(answer.iteration);
  drawOperationFilter(wanted, arrived);
  drawOperations(wanted, answer, address);
  $("run").dataset.run = run;
  view("run");
  if ($("run-title").dataset.focus) {
    // For who listens: here something new begins.
    $("run-title").dataset.focus = "";
    $("run-title").focus({ preventScroll: true });
  }
}

function view(name) {
  for (const one of VIEWS) show($(one), one === name);
}

function fail(error) {
  if (error.status === 400 || error.status === 404) {
    setText($("trouble-title"), error.status === 404 ? "Not found" : "Not a good address");
    setText($("trouble-reason"), `${error.message[0].toUpperCase()}${error.message.slice(1)}.`);
    view("trouble");
    lastSuccess = now();
    away = null;
    arrived = false;
    return;
  }
  away ??= Date.now();
  if (!error.status) console.warn(error); // It may be a mistake in here.
  const reason = error.name === "TimeoutError" ? "the dashboard does not answer" : error.status ? error.message : "the dashboard cannot be reached";
  $("away").dataset.reason = reason;
}

/// How fresh the page is.
function tell() {
  show($("away"), away !== null);
  if (away !== null) {
    const since = lastSuccess === null ? "" : ` What is shown is as of ${exact(lastSuccess)}.`;
    const reason = $("away").dataset.reason;
    setText($("away"), `${reason[0].toUpperCase()}${reason.slice(1)}.${since} Trying again every 10 s.`);
    if (answered === null) setText($("verdict"), "Nothing is known yet");
    else age();
  }
  setAttribute(document.body, "class", away !== null && lastSuccess !== null ? "stale" : null);
  if (lastSuccess !== null) setText($("freshness"), `updated ${ago(lastSuccess)}`);
}

/// What was known grows old before the reader's eyes.
function age() {
  const asOf = new Date(lastSuccess ?? now()).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  const judged = drawVerdict(state(), `As of ${asOf}: `);
  if (!$("overview").hidden && listed !== null) {
    drawCards($("cards"), judged);
    drawRuns(...listed, address);
  }
  if (!$("run").hidden && known !== null) drawRun(known.answer.iteration);
}

function choose(form, filters, fixed) {
  const wanted = Object.fromEntries(filters.map((name) => [name, form.elements[name].value]));
  go(address({ ...fixed(), ...wanted }));
}

$("run-filter").addEventListener("change", (event) => choose(event.currentTarget, RUN_FILTERS, () => ({})));
$("run-filter").addEventListener("submit", (event) => event.preventDefault());
const operations = $("operation-filter");
const chooseOperations = () => choose(operations, OPERATION_FILTERS, () => ({ run: state().run }));
operations.addEventListener("submit", (event) => {
  event.preventDefault();
  chooseOperations();
});
for (const select of operations.querySelectorAll("select")) select.addEventListener("change", chooseOperations);

// Links within the page need no new page. What the reader opens elsewhere, the browser opens.
document.addEventListener("click", (event) => {
  const anchor = event.target.closest("a[href^='?']");
  if (!anchor || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return undefined;
  event.preventDefault();
  return go(anchor.getAttribute("href") === "?" ? location.pathname : anchor.getAttribute("href"));
});
addEventListener("popstate", () => {
  arrived = true;
  arrive();
});
// Browsers slow down the clocks of a page in the background: what is looked at again is asked for at once.
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") refresh();
});
setInterval(tell, 1000);
arrive();
