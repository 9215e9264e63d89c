// A card for each pair: whether it is in step, and where both directions stand.

import { element, keyed, setAttribute, setText, show } from "./dom.js";
import { makePlot, updatePlot } from "./plot.js";
import { age, ago, bytes, count, deferred, exact, now, plural, shown, span, status, time, took, wrong } from "./words.js";

// A pair is overdue when its last success is older than so many times its usual interval, and than the least.
const PATIENCE = 3;
const LEAST = 15 * 60 * 1000;
// Until there are enough runs to know the interval.
const UNKNOWN = 26 * 3600 * 1000;

// A first sync may take a day; any other one hardly.
const LONG = 24 * 3600 * 1000;
// Clocks of two hosts are never quite the same.
const SKEW = 60 * 1000;
const MINUTE = 60 * 1000;

/// How old a success may be: by the median time between the beginnings of the last ones. What was tried within a
/// minute tells nothing of a schedule, and neither do runs that were begun by hand in a shorter time than the limit.
export function patience(runs) {
  const begun = runs.filter((run) => run.status === "success").slice(-21).map((run) => time(run.started_at));
  const gaps = begun.slice(1).map((moment, index) => moment - begun[index]).filter((gap) => gap >= MINUTE).sort((a, b) => a - b);
  if (gaps.length < 3) return UNKNOWN;
  const limit = Math.max(LEAST, PATIENCE * gaps[Math.floor(gaps.length / 2)]);
  return begun.at(-1) - begun[0] >= limit ? limit : UNKNOWN;
}

/// How a direction stands: [level, words]; levels are bad, warn, idle, run and good. A run that is at work excuses
/// nothing: it may hang, or have died unseen.
export function judge(direction, runs) {
  const { running, last_run: last, last_success: success } = direction;
  if (!running && !last) return ["idle", direction.last_dry_run ? "Dry runs only" : "No run yet"];
  if (last?.status === "failed") return ["bad", "Failed"];
  if (last?.status === "partial_failure") return ["bad", "Partly failed"];
  if (success && now() - time(success.ended_at ?? success.started_at) > patience(runs)) return ["bad", "Overdue"];
  if ([running, last].some((run) => run && time(run.started_at) > now() + SKEW)) return ["warn", "Begun in the future: a clock is wrong"];
  if (running && now() - time(running.started_at) > LONG) return ["warn", "Running for long"];
  const left = deferred(last);
  if (left) return ["warn", left];
  if (running) return ["run", success ? "Running" : "First run at work"];
  return success ? ["good", "In step"] : ["idle", "Not synced yet"];
}

const ORDER = ["bad", "warn", "idle", "run", "good"];
const worst = (levels) => ORDER.find((level) => levels.includes(level)) ?? "idle";

/// All pairs with their verdicts, the worst first.
export function judgeAll(pairs, history) {
  const runsOf = new Map(history.flatMap(({ pair, directions }) => directions.map((one) => [`${pair}\n${one.direction}`, one.runs])));
  return pairs.map(({ pair, directions }) => {
    const judged = directions.map((direction) => {
      const runs = runsOf.get(`${pair}\n${direction.direction}`) ?? [];
      const [level, words] = judge(direction, runs);
      return { ...direction, pair, runs, level, words };
    });
    return { pair, directions: judged, level: worst(judged.map(({ level }) => level)) };
  }).sort((a, b) => ORDER.indexOf(a.level) - ORDER.indexOf(b.level));
}

const NAMED = 6;

const list = (pairs, name) => `${pairs.slice(0, NAMED).map(name).join(", ")}${pairs.length > NAMED ? ", …" : ""}`;

/// What made the level of a pair.
const reason = ({ directions, level }) => directions.find((one) => one.level === level).words;

/// One sentence on all of them. In step is who has come to an end once in each direction.
export function verdict(pairs) {
  const of = (wanted) => pairs.filter(({ level }) => level === wanted);
  const [bad, warned] = [of("bad"), of("warn")];
  if (bad.length) return ["bad", `${bad.length} of ${plural(pairs.length, "pair", "pairs")} ${bad.length === 1 ? "needs" : "need"} a look: ${list(bad, ({ pair }) => shown(pair))}`];
  if (warned.length) return ["warn", `To be watched: ${list(warned, (pair) => `${shown(pair.pair)} (${reason(pair)})`)}`];
  const unsynced = pairs.filter(({ directions }) => directions.some((one) => !one.last_success)).length;
  const isBegun = pairs.some(({ directions }) => directions.some((one) => one.running));
  if (unsynced === pairs.length && pairs.every(({ directions }) => directions.every((one) => !one.last_success))) {
    return isBegun ? ["run", "First run at work"] : ["idle", "Nothing has been synced yet"];
  }
  if (unsynced) return ["idle", `${plural(pairs.length - unsynced, "pair is", "pairs are")} in step, ${unsynced} not synced in both directions yet`];
  return ["good", pairs.length === 1 ? "The pair is in step" : `All ${pairs.length} pairs are in step`];
}

export function drawCards(parent, pairs) {
  keyed(parent, pairs, ({ pair }) => pair, makeCard, updateCard);
}

function makeCard({ pair }) {
  const title = element("h2", {}, element("bdi", {}, shown(pair)), element("span", { class: "pill" }));
  return element("article", { class: "card" }, title, element("div", { class: "directions" }));
}

const SUMMARY = { bad: "Needs a look", warn: "To be watched", idle: "Not synced yet", run: "Running", good: "In step" };

function updateCard(card, { directions, level }) {
  const [title, list] = card.children;
  setAttribute(card, "class", `card ${level}`);
  const pill = title.lastElementChild;
  setAttribute(pill, "class", `pill ${level}`);
  const dryOnly = directions.every(({ words }) => words === "Dry runs only");
  setText(pill, dryOnly ? "Dry runs only" : SUMMARY[level]);
  keyed(list, directions, ({ direction }) => direction, makeDirection, updateDirection);
}

function makeDirection({ direction }) {
  const part = (name, ...children) => element("p", { class: name }, ...children);
  return element(
    "section",
    { class: "direction" },
    element("h3", {}, element("bdi", {}, shown(direction)), element("span", { class: "state" })),
    part("running", element("a")),
    part("last", element("a"), element("span")),
    element("dl", { class: "counts" }),
    part("error"),
    makePlot(),
    part("dry", element("a"), element("span")),
  );
}

/// A link to a run, as a moment.
function link(anchor, run, words) {
  const moment = time(run.started_at);
  setText(anchor, words(moment));
  setAttribute(anchor, "href", `?run=${run.id}`);
  setAttribute(anchor, "title", exact(moment));
}

function updateDirection(node, { direction, running, last_run: last, last_success: success, last_dry_run: dry, runs, level, words, pair }) {
  const [title, now_, lastLine, counts, error, plot, dryLine] = node.children;
  setText(title.lastElementChild, words);
  setAttribute(title.lastElementChild, "class", `state ${level}`);
  setAttribute(node, "aria-label", `${shown(pair)}, ${shown(direction)}: ${words}`);

  show(now_, Boolean(running));
  if (running) link(now_.firstElementChild, running, (moment) => `Running for ${age(moment)}`);

  show(lastLine, Boolean(last) || !running);
  show(lastLine.firstElementChild, Boolean(last));
  if (last) link(lastLine.firstElementChild, last, ago);
  setText(lastLine.lastElementChild, lastWords(last, success, dry));

  show(counts, Boolean(last));
  if (last) drawCounts(counts, last);
  const trouble = last && last.status !== "success" ? wrong(last) || status(last) : "";
  setText(error, trouble);
  show(error, Boolean(trouble));

  updatePlot(plot, runs);

  show(dryLine, Boolean(dry));
  if (dry) {
    link(dryLine.firstElementChild, dry, (moment) => `Dry run ${ago(moment)}`);
    setText(dryLine.lastElementChild, dryWords(dry));
  }
}

function lastWords(last, success, dry) {
  if (!last) return dry ? "Nothing has been synced yet: its runs were dry runs only" : "No run yet";
  const words = ` · took ${span(took(last))}`;
  if (last.status === "success") return words;
  return success ? `${words} · last done ${ago(time(success.ended_at ?? success.started_at))}` : `${words} · never done yet`;
}

function dryWords(dry) {
  if (dry.status !== "success") return `: ${status(dry)}`;
  const plan = [["create", dry.files_created], ["update", dry.files_updated], ["delete", dry.files_deleted]].filter(([, number]) => number > 0);
  return plan.length ? `: would ${plan.map(([verb, number]) => `${verb} ${count(number)}`).join(", ")}` : ": nothing to do";
}

function drawCounts(list, run) {
  const facts = [
    ["created", count(run.files_created), false],
    ["updated", count(run.files_updated), false],
    ["deleted", count(run.files_deleted), false],
    ["failed", count(run.files_failed), run.files_failed > 0],
    ["transferred", bytes(run.total_bytes_transferred), false],
  ];
  keyed(
    list,
    facts,
    ([name]) => name,
    ([name]) => element("div", {}, element("dt", {}, name), element("dd")),
    (node, [, value, bad]) => {
      setText(node.lastElementChild, value);
      setAttribute(node, "class", bad ? "bad" : value === "0" || value === "0 B" ? "none" : null);
    },
  );
}
