// Values as people read them: times, sizes, counts, names.

let offset = 0; // The server's clock, less ours.

export function setClock(now) {
  offset = Date.parse(now) - Date.now();
}

export const now = () => Date.now() + offset;

export const time = (text) => (text ? Date.parse(text) : null);

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/// 40 ms, 4.2 s, 3 min 05 s, 2 h 10 min, 5 d 3 h
export function span(milliseconds) {
  if (milliseconds === null || Number.isNaN(milliseconds)) return "–";
  if (milliseconds < 1000) return `${Math.max(0, Math.round(milliseconds))} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const first = UNITS.findIndex(([, size]) => Math.round(seconds) >= size);
  const [unit, size] = UNITS[first];
  const [smaller, part] = UNITS[first + 1];
  const whole = Math.floor(Math.round(seconds) / size);
  const rest = Math.floor((Math.round(seconds) % size) / part);
  return rest ? `${whole} ${unit} ${rest} ${smaller}` : `${whole} ${unit}`;
}

/// 12 s, 5 min, 3 h 20 min, 14 h, 4 d: no finer than it matters.
export function age(moment) {
  const seconds = Math.max(0, Math.round((now() - moment) / 1000));
  if (seconds >= 3600 && seconds < 10 * 3600) return span(Math.floor(seconds / 60) * 60_000);
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? UNITS.at(-1);
  return `${Math.floor(seconds / size)} ${unit}`;
}

export const ago = (moment) => (now() - moment < 5000 ? "just now" : `${age(moment)} ago`);

/// In the reader's own time zone, with the zone.
export function exact(moment) {
  return new Date(moment).toLocaleString(undefined, {
    year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
  });
}

const BYTES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

export function bytes(count) {
  if (count === null || count === undefined) return "–";
  let unit = 0;
  let size = count;
  while (size >= 1024 && unit < BYTES.length - 1) {
    size /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return `${size.toFixed(digits)} ${BYTES[unit]}`;
}

export const count = (number) => (number === null || number === undefined ? "–" : number.toLocaleString("en-US"));

export const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

// Control characters, and those that reorder text or are not seen: a name must neither leave its place nor look
// like another one. The same as in messages of ha-sync.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}\\]/gu;
const SHORT = { "\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\" };

export function shown(text) {
  return text.replace(HIDDEN, (c) => SHORT[c] ?? `\\u{${c.codePointAt(0).toString(16)}}`);
}

/// A path: its exact bytes where the text does not tell them.
export function path(operation) {
  if (operation.filepath === "" && !operation.filepath_b64) return ". (the root)";
  if (!operation.filepath_b64) return shown(operation.filepath);
  const raw = Uint8Array.from(atob(operation.filepath_b64), (c) => c.charCodeAt(0));
  let text = "";
  for (let at = 0; at < raw.length; ) {
    const length = sequence(raw, at);
    if (length) text += shown(new TextDecoder().decode(raw.subarray(at, at + length)));
    else text += `\\x${raw[at].toString(16).padStart(2, "0")}`;
    at += length || 1;
  }
  return text;
}

/// Bytes of the character that begins there; 0 where none does.
function sequence(raw, at) {
  const first = raw[at];
  const length = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : (first & 0xf0) === 0xe0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
  try {
    new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw.subarray(at, at + length));
  } catch {
    return 0;
  }
  return at + length <= raw.length ? length : 0;
}

export const STATUS = { running: "Running", success: "Done", partial_failure: "Partly failed", failed: "Failed", fail: "Failed" };

/// How a run stands, as a word.
export function status(run) {
  const word = STATUS[run.status] ?? shown(run.status);
  return run.dry_run ? `${word === "Done" ? "Planned" : word} (dry run)` : word;
}

export const took = (run) => (run.ended_at ? time(run.ended_at) - time(run.started_at) : null);

/// Files that changed while they were copied: no failure, and not done either. Nothing where there are none.
export function deferred(run) {
  const number = run?.counts?.deferred ?? 0;
  return number > 0 ? `${count(number)} deferred to the next run` : "";
}

// Counts beyond failed paths that make a run a partial failure.
const UNDONE = [["conflicts", "conflict", "conflicts"], ["withheld", "deletion withheld", "deletions withheld"]];

/// What went wrong in a run, as one sentence; nothing where nothing did.
export function wrong(run) {
  const parts = [];
  if (run.files_failed > 0) parts.push(plural(run.files_failed, "path failed", "paths failed"));
  for (const [name, one, many] of UNDONE) {
    const number = run.counts?.[name] ?? 0;
    if (number > 0) parts.push(plural(number, one, many));
  }
  if (deferred(run)) parts.push(deferred(run));
  if (run.error_message) parts.push(shown(run.error_message));
  return parts.join(" · ");
}
