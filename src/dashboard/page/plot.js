// The last runs of one direction: a bar for how long each took, below it one for what it transferred, and a mark
// where something failed. Heights are to the largest of the runs that are shown.

import { keyed, setAttribute, setText, shape, show } from "./dom.js";
import { bytes, exact, span, status, time, took, wrong } from "./words.js";

const RUNS = 60;
const STEP = 5;
const WIDTH = RUNS * STEP;
const DURATION = 34; // Height of the upper bars.
const BYTES = 18; // Of the lower ones.
const GAP = 3;
const HEIGHT = DURATION + GAP + BYTES;

export function makePlot() {
  const title = shape("title");
  const line = shape("line", { x1: 0, x2: WIDTH, y1: DURATION + 0.5, y2: DURATION + 0.5, class: "axis" });
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "plot", preserveAspectRatio: "none" });
  svg.append(title, line, shape("g"));
  return svg;
}

export function updatePlot(svg, runs) {
  const shownRuns = runs.slice(-RUNS);
  show(svg.parentNode, shownRuns.length > 1);
  const longest = Math.max(1, ...shownRuns.map((run) => took(run) ?? 0));
  const most = Math.max(1, ...shownRuns.map((run) => run.total_bytes_transferred ?? 0));
  const bad = shownRuns.filter((run) => run.status !== "success").length;
  const [title, , bars] = svg.children;
  setText(
    title,
    `The last ${shownRuns.length} runs: at most ${span(longest)}, at most ${bytes(most === 1 ? 0 : most)} transferred, ${bad === 0 ? "none failed" : `${bad} failed or partly failed`}`,
  );
  const first = RUNS - shownRuns.length;
  const placed = shownRuns.map((run, index) => ({ run, x: (first + index) * STEP }));
  keyed(bars, placed, ({ run }) => run.id, makeBar, (bar, item) => updateBar(bar, item, longest, most));
}

function makeBar() {
  const bar = shape("g", { class: "bar" });
  // The whole column tells what it is, not only its ink.
  bar.append(shape("title"), shape("rect", { class: "column", y: 0, width: STEP, height: HEIGHT }));
  bar.append(shape("rect", { class: "duration", width: STEP - 1 }), shape("rect", { class: "bytes", width: STEP - 1 }));
  return bar;
}

function updateBar(bar, { run, x }, longest, most) {
  const [title, column, duration, moved] = bar.children;
  const trouble = wrong(run);
  setText(title, `${exact(time(run.started_at))}: ${status(run)}, ${span(took(run))}, ${bytes(run.total_bytes_transferred)}${trouble ? `, ${trouble}` : ""}`);
  setAttribute(bar, "class", `bar ${run.status}`);
  setAttribute(bar, "data-run", run.id);
  setAttribute(column, "x", x);
  // Something is always seen of a run.
  const height = Math.max(2, Math.round(((took(run) ?? 0) / longest) * DURATION));
  place(duration, x, DURATION - height, height);
  const share = Math.round(((run.total_bytes_transferred ?? 0) / most) * BYTES);
  place(moved, x, DURATION + GAP, run.total_bytes_transferred > 0 ? Math.max(1, share) : 0);
}

function place(rect, x, y, height) {
  setAttribute(rect, "x", x + 0.5);
  setAttribute(rect, "y", y);
  setAttribute(rect, "height", height);
}
