//! Past runs as a table of text.

use std::time::Duration;

use serde_json::Value as Json;

use super::units::{Bytes, Count, counted, elapsed};
use crate::ledger::Iteration;
use crate::model::Escaped;
use crate::time::from_rfc3339;

/// The columns: title, and whether it is aligned to the right.
const COLUMNS: [(&str, bool); 11] = [
    ("started (UTC)", false),
    ("pair", false),
    ("direction", false),
    ("status", false),
    ("took", true),
    ("created", true),
    ("updated", true),
    ("deleted", true),
    ("skipped", true),
    ("failed", true),
    ("bytes", true),
];

/// Counts that make a run a `partial_failure` and have no column: the name of the count, and its
/// noun in the singular and the plural.
const UNDONE: [(&str, &str, &str); 3] = [
    ("conflicts", "conflict", "conflicts"),
    ("deferred", "deferred", "deferred"),
    ("withheld", "deletion withheld", "deletions withheld"),
];

/// The table: one run a line, and below it why it ended early and what it left undone.
pub fn history_table(runs: &[Iteration]) -> String {
    if runs.is_empty() {
        return "no runs yet\n".into();
    }
    let rows: Vec<[String; COLUMNS.len()]> = runs.iter().map(cells).collect();
    let mut widths = COLUMNS.map(|(title, _)| title.len());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = line(&COLUMNS.map(|(title, _)| title.to_owned()), &widths);
    for (run, row) in runs.iter().zip(&rows) {
        text.push_str(&line(row, &widths));
        notes(run).for_each(|note| text.push_str(&format!("  {note}\n")));
    }
    text
}

/// What the cells do not tell: why the run ended early, and what it left undone.
fn notes(run: &Iteration) -> impl Iterator<Item = String> {
    let reason = run["error_message"].as_str().map(|error| Escaped(error.as_bytes()).to_string());
    let undone: Vec<String> = UNDONE
        .iter()
        .filter_map(|(name, one, many)| {
            let count = run["counts"][name].as_u64().filter(|count| *count > 0)?;
            Some(counted(count, one, many))
        })
        .collect();
    reason.into_iter().chain((!undone.is_empty()).then(|| undone.join(", ")))
}

fn line(cells: &[String; COLUMNS.len()], widths: &[usize; COLUMNS.len()]) -> String {
    let padded = cells.iter().zip(widths).zip(COLUMNS).map(|((cell, width), (_, to_the_right))| {
        if to_the_right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    });
    format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
}

fn cells(run: &Iteration) -> [String; COLUMNS.len()] {
    let text = |name: &str| Escaped(run[name].as_str().unwrap_or("-").as_bytes()).to_string();
    let count = |name: &str| {
        run[name].as_u64().map_or_else(|| "-".into(), |count| Count(count).to_string())
    };
    let dry = if run["dry_run"] == true { " (dry run)" } else { "" };
    [
        text("started_at")
            .replace('T', " ")
            .trim_end_matches('Z')
            .split('.')
            .next()
            .unwrap_or_default()
            .to_owned(),
        text("sync_pair"),
        text("direction"),
        format!("{}{dry}", text("status")),
        took(&run["started_at"], &run["ended_at"]),
        count("files_created"),
        count("files_updated"),
        count("files_deleted"),
        count("files_skipped"),
        count("files_failed"),
        run["total_bytes_transferred"]
            .as_u64()
            .map_or_else(|| "-".into(), |bytes| Bytes(bytes).to_string()),
    ]
}

fn took(from: &Json, to: &Json) -> String {
    let time = |text: &Json| text.as_str().and_then(from_rfc3339);
    match (time(from), time(to)) {
        (Some(from), Some(to)) => elapsed(to.duration_since(from).unwrap_or(Duration::ZERO)),
        _ => "-".into(),
    }
}
