// The last runs of one direction: a bar for how long each took, below it one for what it transferred, red where
// something failed. The largest of the runs that are shown is as high as the plot: the scale beside it says how much that
// is. Each bar is a link to its run; of a plot one bar is in the order of the Tab key, the arrows go from bar to bar.

import { element, keyed, setAttribute, setText, shape, show } from "./dom.js";
import { ago, bytes, exact, plural, span, status, time, took, wrong } from "./words.js";

const RUNS = 60;
const STEP = 5;
const WIDTH = RUNS * STEP;
const DURATION = 40; // Height of the upper bars.
const BYTES = 22; // Of the lower ones.
const GAP = 3;
const HEIGHT = DURATION + GAP + BYTES;

const drawn = new WeakMap(); // The runs that stand in a plot: hundreds of plots are not gone through for nothing.

export function makePlot() {
  const line = (y) => shape("line", { x1: 0, x2: WIDTH, y1: y, y2: y, class: "axis" });
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group", class: "plot", preserveAspectRatio: "none" });
  const keys = shape("desc", {}, "The arrow keys go from run to run, Enter opens one.");
  svg.append(shape("title"), keys, line(0.5), line(DURATION + 0.5), line(HEIGHT - 0.5), shape("g"));
  // Who listens hears the same in the title.
  const scale = element("div", { class: "scale", "aria-hidden": "true" }, element("span"), element("span", {}, "0"), element("span"));
  const plot = element("div", { class: "plots" }, scale, svg, element("p", { class: "legend" }));
  plot.addEventListener("keydown", walk);
  for (const event of ["pointerover", "pointerout", "focusin", "focusout"]) plot.addEventListener(event, () => drawLegend(plot));
  return plot;
}

export function updatePlot(plot, runs) {
  const shownRuns = runs.slice(-RUNS);
  show(plot, shownRuns.length > 1);
  if (drawn.get(plot) !== runs) drawRuns(plot, shownRuns);
  drawn.set(plot, runs);
  plot.dataset.legend = shownRuns.length ? `${plural(shownRuns.length, "run", "runs")}, the first ${ago(time(shownRuns[0].started_at))}: time above, bytes below` : "";
  drawLegend(plot);
}

function drawRuns(plot, shownRuns) {
  const longest = Math.max(1, ...shownRuns.map((run) => took(run) ?? 0));
  const most = Math.max(0, ...shownRuns.map((run) => run.total_bytes_transferred ?? 0));
  const bad = shownRuns.filter((run) => run.status !== "success").length;
  const [scale, svg] = plot.children;
  setText(scale.firstElementChild, span(longest));
  setText(scale.lastElementChild, bytes(most));
  setText(
    svg.firstElementChild,
    `The last ${shownRuns.length} runs: at most ${span(longest)}, at most ${bytes(most)} transferred, ${bad === 0 ? "none failed" : `${bad} failed or partly failed`}`,
  );
  const first = RUNS - shownRuns.length;
  const placed = shownRuns.map((run, index) => ({ run, x: (first + index) * STEP }));
  const bars = svg.lastElementChild;
  keyed(bars, placed, ({ run }) => run.id, makeBar, (bar, item) => updateBar(bar, item, longest, most));
  if (!bars.querySelector("[tabindex='0']")) bars.lastElementChild?.setAttribute("tabindex", "0");
}

/// What the plot shows, or the run that is pointed at.
function drawLegend(plot) {
  const bar = plot.querySelector(".bar:hover, .bar:focus-visible");
  setText(plot.lastElementChild, bar?.firstElementChild.textContent ?? plot.dataset.legend);
}

function walk(event) {
  const bars = [...event.currentTarget.querySelectorAll(".bar")];
  const from = bars.indexOf(document.activeElement);
  const to = bars[{ ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: bars.length - 1 }[event.key]];
  if (from < 0 || !to || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  bars[from].setAttribute("tabindex", "-1");
  to.setAttribute("tabindex", "0");
  to.focus();
}

function makeBar({ run }) {
  const bar = shape("a", { href: `?run=${run.id}`, tabindex: "-1" });
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
  setAttribute(column, "x", x);
  // Something is always seen of a run.
  const height = Math.max(2, Math.round(((took(run) ?? 0) / longest) * DURATION));
  place(duration, x, DURATION - height, height);
  const share = Math.round(((run.total_bytes_transferred ?? 0) / Math.max(1, most)) * BYTES);
  place(moved, x, DURATION + GAP, run.total_bytes_transferred > 0 ? Math.max(1, share) : 0);
}

function place(rect, x, y, height) {
  setAttribute(rect, "x", x + 0.5);
  setAttribute(rect, "y", y);
  setAttribute(rect, "height", height);
}
