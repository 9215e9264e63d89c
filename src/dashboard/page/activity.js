// The table of runs, the latest first.

import { $, element, keyed, setAttribute, setOptions, setText, show } from "./dom.js";
import { ago, bytes, count, deferred, exact, shown, span, status, time, took, wrong } from "./words.js";

export const FILTERS = ["pair", "direction", "status", "dry_run"];

const unique = (names) => [...new Set(names)].sort();

/// The choices, from the names that there are; one that the address names stays, known or not.
export function drawFilter(state, pairs, arrived) {
  const form = $("run-filter");
  const names = (all, chosen) => unique(chosen ? [...all, chosen] : all).map((name) => [name, shown(name)]);
  const directions = pairs.flatMap((pair) => pair.directions.map(({ direction }) => direction));
  const choices = {
    pair: names(pairs.map(({ pair }) => pair), state.pair),
    direction: names(directions, state.direction),
    status: [["running", "Running"], ["success", "Done"], ["partial_failure", "Partly failed"], ["failed", "Failed"]],
    dry_run: [["false", "Real runs"], ["true", "Dry runs"]],
  };
  for (const name of FILTERS) setOptions(form.elements[name], [["", "All"], ...choices[name]], state[name] ?? "", arrived);
}

export function drawRuns(state, answer, address) {
  keyed($("runs").tBodies[0], answer.iterations, (run) => run.id, makeRow, updateRow);
  show($("no-runs"), answer.iterations.length === 0);
  const paging = (id, visible, before) => {
    show($(id), visible);
    setAttribute($(id), "href", address({ ...state, before }));
  };
  paging("runs-latest", Boolean(state.before), undefined);
  paging("runs-older", answer.next !== null, answer.next);
}

function makeRow(run) {
  const number = () => element("td", { class: "n" });
  const started = element("td", {}, element("a", { href: `?run=${run.id}` }));
  const state = element("td", {}, element("span", { class: "state" }), element("span", { class: "why" }));
  const name = (text) => element("td", {}, element("bdi", {}, shown(text)));
  return element("tr", {}, started, state, name(run.sync_pair), name(run.direction), number(), number(), number(), number(), number(), number());
}

const LEVEL = { success: "good", running: "run" };

function updateRow(row, run) {
  const [started, state, , , ...numbers] = row.cells;
  const moment = time(run.started_at);
  setText(started.firstElementChild, ago(moment));
  setAttribute(started.firstElementChild, "title", exact(moment));
  setAttribute(row, "class", run.dry_run ? "dry" : null);
  const [word, why] = state.children;
  setText(word, status(run));
  setAttribute(word, "class", `state ${LEVEL[run.status] ?? "bad"}`);
  const trouble = run.status === "running" ? "" : run.status === "success" ? deferred(run) : wrong(run);
  setText(why, trouble);
  setAttribute(why, "class", run.status === "success" ? "why warn" : "why");
  show(why, Boolean(trouble));
  const values = [span(took(run)), count(run.files_created), count(run.files_updated), count(run.files_deleted), count(run.files_failed), bytes(run.total_bytes_transferred)];
  // What a run that is at work will have done is not known.
  values.forEach((value, index) => setText(numbers[index], run.status === "running" ? "–" : value));
  setAttribute(numbers[4], "class", run.files_failed > 0 ? "n bad" : "n");
}
