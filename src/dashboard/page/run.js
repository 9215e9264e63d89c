// One run, and its operations page by page.

import { $, element, keyed, setAttribute, setOptions, setText, setValue, show } from "./dom.js";
import { ago, bytes, count, deferred, exact, path, shown, span, STATUS, status, time, took, wrong } from "./words.js";

export const FILTERS = ["status", "operation", "q"];

const PAGE = 50; // What the API gives where no limit is asked for.

export function drawFilter(state, arrived) {
  const form = $("operation-filter");
  setOptions(form.elements.status, [["", "All"], ["success", "Done"], ["fail", "Failed"]], state.status ?? "", arrived);
  setOptions(form.elements.operation, [["", "All"], ["create", "Create"], ["update", "Update"], ["delete", "Delete"]], state.operation ?? "", arrived);
  setValue(form.elements.q, state.q ?? "", arrived);
}

export function drawRun(run) {
  setText($("run-title"), `${shown(run.sync_pair)} · ${shown(run.direction)}`);
  const moment = time(run.started_at);
  const state = $("run-state");
  setText(state, `${status(run)} · began ${ago(moment)}${took(run) === null ? "" : ` · took ${span(took(run))}`}`);
  setAttribute(state, "title", exact(moment));
  setAttribute(state, "class", run.status === "success" ? "good" : run.status === "running" ? "run" : "bad");
  const trouble = run.status === "running" ? "" : run.status === "success" ? deferred(run) : wrong(run);
  setAttribute($("run-error"), "class", run.status === "success" ? "warn" : "error");
  setText($("run-error"), trouble);
  show($("run-error"), Boolean(trouble));
  drawFacts(run);
}

function drawFacts(run) {
  const facts = [
    ["Began", exact(time(run.started_at))],
    ["Ended", run.ended_at ? exact(time(run.ended_at)) : null],
    ["Source", shown(run.src)],
    ["Destination", shown(run.dest)],
    ["Created", count(run.files_created)],
    ["Updated", count(run.files_updated)],
    ["Deleted", count(run.files_deleted)],
    ["Failed", count(run.files_failed)],
    ["In sync or newer there", count(run.files_skipped)],
    ["Transferred", bytes(run.total_bytes_transferred)],
    ["Host", run.host ? shown(run.host) : null],
    ["Version", run.version ? shown(run.version) : null],
  ].filter(([, value]) => value !== null);
  keyed(
    $("run-facts"),
    facts,
    ([name]) => name,
    ([name]) => element("div", {}, element("dt", {}, name), element("dd", {}, element("bdi"))),
    (node, [, value]) => setText(node.lastElementChild.firstElementChild, value),
  );
}

export function drawOperations(state, answer, address) {
  keyed($("operations").tBodies[0], answer.operations, (operation) => operation.id, makeRow, updateRow);
  const paging = (id, visible, after) => {
    show($(id), visible);
    setAttribute($(id), "href", address({ ...state, after }));
  };
  paging("operations-first", Boolean(state.after), undefined);
  paging("operations-next", answer.next !== null, answer.next);
  setText($("search-state"), words(state, answer));
}

function words(state, { operations, next, iteration }) {
  const isFiltered = FILTERS.some((name) => state[name]);
  if (next !== null && isFiltered && operations.length < PAGE) return "The search has paused here: the next page goes on with it.";
  if (operations.length > 0) return "";
  if (state.after) return "There are no more.";
  if (isFiltered) return "No operation matches.";
  const changed = ["created", "updated", "deleted", "failed"].reduce((sum, name) => sum + (iteration[`files_${name}`] ?? 0), 0);
  // The first release did not count the rows that it put in.
  if (iteration.flushed_rows > 0 || (changed > 0 && iteration.status !== "running")) return "The operations of this run were removed from the database (prune).";
  if (iteration.status === "running") return "Operations appear here when the run is over.";
  // One that was flushed knows how many lines its opslog has; the first release had neither.
  if (iteration.run_id && iteration.opslog_rows === null) return "What this run did is not here: its opslog is damaged.";
  return "This run changed nothing.";
}

function makeRow() {
  const name = element("td", { class: "path" }, element("bdi"), element("span", { class: "why" }));
  const cell = (kind) => element("td", kind ? { class: kind } : {});
  return element("tr", {}, name, element("td", {}, element("span", { class: "state" })), cell(), cell(), cell("n"), cell("n"), cell("n"), cell("n"));
}

function updateRow(row, operation) {
  const [name, state, what, kind, before, after, moved, at] = row.cells;
  setText(name.firstElementChild, path(operation));
  const why = operation.error_message ? shown(operation.error_message) : "";
  setText(name.lastElementChild, why);
  show(name.lastElementChild, Boolean(why));
  setText(what, operation.operation);
  const cause = operation.cause && operation.cause !== "error" ? ` (${operation.cause})` : "";
  setText(state.firstElementChild, (STATUS[operation.status] ?? operation.status) + cause);
  setAttribute(state.firstElementChild, "class", operation.status === "success" ? "state good" : "state bad");
  setText(kind, operation.kind ?? "");
  setText(before, bytes(operation.size_before));
  setText(after, bytes(operation.size_after));
  setText(moved, operation.bytes === 0 ? "–" : bytes(operation.bytes));
  const moment = time(operation.started_at);
  setText(at, new Date(moment).toLocaleTimeString());
  setAttribute(at, "title", exact(moment));
  const digests = [operation.md5_before && `MD5 before ${operation.md5_before}`, operation.md5_after && `MD5 after ${operation.md5_after}`];
  setAttribute(row, "title", digests.filter(Boolean).join("\n") || null);
}
