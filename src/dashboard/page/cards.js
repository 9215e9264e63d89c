// A card for each pair: whether it is in step, and where both directions stand.

import { element, keyed, setAttribute, setText, show } from "./dom.js";
import { makePlot, updatePlot } from "./plot.js";
import { age, ago, bytes, count, exact, now, plural, shown, span, status, time, took, wrong } from "./words.js";

// A pair is overdue when its last success is older than so many times its usual interval, and than the least.
const PATIENCE = 3;
const LEAST = 15 * 60 * 1000;
// Until there are enough runs to know the interval.
const UNKNOWN = 26 * 3600 * 1000;

/// The median time between the beginnings of the last runs.
function interval(runs) {
  const begun = runs.slice(-21).map((run) => time(run.started_at));
  const gaps = begun.slice(1).map((moment, index) => moment - begun[index]).sort((a, b) => a - b);
  return gaps.length >= 3 ? gaps[Math.floor(gaps.length / 2)] : null;
}

/// How a direction stands: [level, words]; levels are bad, warn, idle, run and good.
export function judge(direction, runs) {
  const { running, last_run: last, last_success: success } = direction;
  if (!running && !last) return ["idle", direction.last_dry_run ? "Dry runs only" : "No run yet"];
  if (last?.status === "failed") return ["bad", "Failed"];
  if (last?.status === "partial_failure") return ["bad", "Partly failed"];
  const usual = interval(runs);
  const limit = usual === null ? UNKNOWN : Math.max(LEAST, PATIENCE * usual);
  if (success && !running && now() - time(success.ended_at ?? success.started_at) > limit) return ["bad", "Overdue"];
  if (running && now() - time(running.started_at) > 24 * 3600 * 1000) return ["warn", "Running for long"];
  if (running) return ["run", "Running"];
  return ["good", "In step"];
}

const ORDER = ["bad", "warn", "idle", "run", "good"];
const worst = (levels) => ORDER.find((level) => levels.includes(level)) ?? "idle";

/// All pairs with their verdicts.
export function judgeAll(pairs, history) {
  const runsOf = new Map(history.flatMap(({ pair, directions }) => directions.map((one) => [`${pair}\n${one.direction}`, one.runs])));
  return pairs.map(({ pair, directions }) => {
    const judged = directions.map((direction) => {
      const runs = runsOf.get(`${pair}\n${direction.direction}`) ?? [];
      const [level, words] = judge(direction, runs);
      return { ...direction, pair, runs, level, words };
    });
    return { pair, directions: judged, level: worst(judged.map(({ level }) => level)) };
  });
}

/// One sentence on all of them.
export function verdict(pairs) {
  const bad = pairs.filter(({ level }) => level === "bad").map(({ pair }) => shown(pair));
  if (bad.length) return ["bad", `${bad.length} of ${plural(pairs.length, "pair", "pairs")} ${bad.length === 1 ? "needs" : "need"} a look: ${bad.slice(0, 6).join(", ")}${bad.length > 6 ? ", …" : ""}`];
  const idle = pairs.filter(({ level }) => level === "idle").length;
  if (idle === pairs.length) return ["idle", "Nothing has been synced yet"];
  if (idle) return ["idle", `${plural(pairs.length - idle, "pair is", "pairs are")} in step, ${idle} not synced in both directions yet`];
  return ["good", pairs.length === 1 ? "The pair is in step" : `All ${pairs.length} pairs are in step`];
}

export function drawCards(parent, pairs) {
  keyed(parent, pairs, ({ pair }) => pair, makeCard, updateCard);
}

function makeCard({ pair }) {
  const title = element("h2", {}, element("bdi", {}, shown(pair)), element("span", { class: "pill" }));
  return element("article", { class: "card" }, title, element("div", { class: "directions" }));
}

const SUMMARY = { bad: "Needs a look", warn: "Running for long", idle: "Not synced yet", run: "Running", good: "In step" };

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
    element("div", { class: "plots" }, makePlot(), part("legend")),
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
  const [title, now_, lastLine, counts, error, plots, dryLine] = node.children;
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

  updatePlot(plots.firstElementChild, runs);
  setText(plots.lastElementChild, `${plural(Math.min(runs.length, 60), "run", "runs")}: time above, bytes below`);

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
