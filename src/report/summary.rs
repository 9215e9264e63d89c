//! The summary at the end of a run, for people and for programs.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::highlights::Highlights;
use super::units::{Bytes, Count, counted, elapsed, per_second};
use crate::model::{Escaped, RunKey, Summary};
use crate::opslog::RunStatus;
use crate::pipeline::Withheld;

/// What is reported at the end of a run.
#[derive(Debug)]
pub struct Ending<'a> {
    /// The pair and the direction.
    pub key: &'a RunKey,
    /// The run's id.
    pub run_id: &'a str,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The status that it ended with.
    pub status: RunStatus,
    /// The process's exit code.
    pub exit_code: u8,
    /// The time that it took.
    pub took: Duration,
    /// The counts.
    pub counts: &'a Summary,
    /// The highlights: what is reported by name.
    pub told: &'a Highlights,
    /// The error that ended it early.
    pub error: Option<&'a str>,
    /// The reason why nothing was deleted although there were candidates. `None` if nothing was
    /// withheld.
    pub withheld: Option<&'a Withheld>,
    /// The path of the opslog. `None` if it could not be sealed, or is in the database by now.
    pub opslog: Option<&'a std::path::Path>,
    /// The database in which the run is recorded. `None` if it is not.
    pub recorded: Option<&'a str>,
    /// The time when an earlier dry run with the same plan began. Then this one was not recorded.
    pub current_since: Option<&'a str>,
}

impl Ending<'_> {
    /// The summary as one line with a JSON object.
    pub fn to_json(&self) -> String {
        let counts: Map<String, Value> =
            self.counts.fields().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let summary = json!({
            "type": "summary",
            "pair": self.key.pair,
            "direction": self.key.direction,
            "run_id": self.run_id,
            "dry_run": self.dry_run,
            "status": self.status.name(),
            "exit_code": self.exit_code,
            "seconds": self.took.as_secs_f64(),
            "files_skipped": self.counts.skipped(),
            "counts": counts,
            "failures": self.told.failures,
            "spared": self.told.spared,
            "withheld": self.withheld.map(|withheld| json!({
                "candidates": withheld.candidates,
                "reason": withheld.reason,
                "examples": withheld.examples.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })),
            "error_message": self.error.map(str::to_owned).or_else(|| self.withheld.map(ToString::to_string)),
            "opslog": self.opslog.map(|path| path.to_string_lossy()),
            "database": self.recorded,
            "dry_run_current_as_of": self.current_since,
        });
        format!("{summary}\n")
    }

    /// The summary as a few lines of text.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}: {}\n", self.key, self.headline());
        for (label, value) in self.rows() {
            text.push_str(&format!("  {label:<12} {value}\n"));
        }
        text.push_str(&self.withheld());
        let failed = self.counts.failed + self.counts.conflicts + self.counts.deferred;
        let place = if self.opslog.is_some() { " in the opslog" } else { " in the database" };
        text.push_str(&named(&self.told.failures, failed, place));
        text.push_str(&named(&self.told.spared, self.counts.spared, ""));
        if let Some(path) = self.opslog {
            text.push_str(&format!(
                "  {:<12} {}\n",
                "opslog",
                Escaped(path.as_os_str().as_encoded_bytes())
            ));
        }
        if let Some(database) = self.recorded {
            text.push_str(&format!("  {:<12} in {database}\n", "recorded"));
        }
        if let Some(time) = self.current_since {
            text.push_str(&format!("Dry-run already current as of {time}. Nothing has changed.\n"));
        }
        text
    }

    fn headline(&self) -> String {
        let took = elapsed(self.took);
        let deletes = if self.withheld.is_some() { ", and nothing would be deleted" } else { "" };
        match (self.error, self.dry_run, self.status) {
            (Some(error), _, _) => format!("{} after {took}", Escaped(error.as_bytes())),
            (None, true, _) => format!("dry run, nothing was changed{deletes}; planned in {took}"),
            (None, false, RunStatus::Success) => format!("done in {took}"),
            (None, false, _) if self.withheld.is_some() => {
                format!("done in {took}, but nothing was deleted")
            }
            (None, false, _) => format!("done in {took}, not everything could be carried over"),
        }
    }

    /// Lines that tell why nothing was deleted, and examples of what would have been.
    fn withheld(&self) -> String {
        let Some(Withheld { candidates, reason, examples }) = self.withheld else {
            return String::new();
        };
        let what = counted(*candidates, "candidate", "candidates");
        let mut text =
            format!("  {:<12} {what} for deletion: {}\n", "withheld", Escaped(reason.as_bytes()));
        let examples: Vec<String> = examples.iter().map(|path| format!("  {path}")).collect();
        text.push_str(&named(&examples, *candidates, ""));
        text
    }

    /// The rows: label and text. Some are always there, others only if their count is not 0.
    fn rows(&self) -> Vec<(&'static str, String)> {
        let counts = self.counts;
        let transferred =
            format!("{}, {}/s", Bytes(counts.copied_bytes), Bytes(self.rate(counts.copied_bytes)));
        let entries = counts.source_entries + counts.dest_entries;
        let scanned = format!(
            "{} entries at the source, {} at the destination, {}/s",
            Count(counts.source_entries),
            Count(counts.dest_entries),
            Count(self.rate(entries))
        );
        let created = match counts.created_directories {
            0 => Count(counts.created).to_string(),
            directories => {
                format!(
                    "{} ({})",
                    Count(counts.created),
                    counted(directories, "directory", "directories")
                )
            }
        };
        let updated = match counts.updated_metadata {
            0 => Count(counts.updated).to_string(),
            metadata => format!("{} ({} only in metadata)", Count(counts.updated), Count(metadata)),
        };
        let skipped = format!(
            "{} (files and links: {} in sync, {} newer at the destination)",
            Count(counts.skipped()),
            Count(counts.in_sync),
            Count(counts.newer_at_dest)
        );
        let transfer = if self.dry_run {
            format!("at most {}", Bytes(counts.copied_bytes))
        } else {
            transferred
        };
        let mut rows = vec![
            ("scanned", scanned),
            ("created", created),
            ("updated", updated),
            ("skipped", skipped),
            ("transferred", transfer),
        ];
        if counts.deleted > 0 {
            rows.insert(3, ("deleted", Count(counts.deleted).to_string()));
        }
        let more = [
            ("failed", counts.failed, ""),
            (
                "in conflict",
                counts.conflicts,
                ": a directory on one side, something else on the other; left as they are",
            ),
            (
                "deferred",
                counts.deferred,
                ": changed while being copied; the next run takes them up",
            ),
            ("to compare", counts.to_compare, " of those in sync would be compared by content"),
            ("spared", counts.spared, ": candidates for deletion, left alone"),
            (
                "not reached",
                counts.not_reached,
                ": candidates for deletion; the next run looks at them again",
            ),
            ("only at dest", counts.only_at_dest, ", kept"),
            ("excluded", counts.excluded, ": names that globs leave out"),
            ("too young", counts.too_young, ": files that changed too recently"),
            (
                "close",
                counts.close_mtimes,
                ": mtimes that differ by no more than the threshold, taken for equal",
            ),
            (
                "hard links",
                counts.hard_linked,
                ": source files with several names, each copied as a file of its own",
            ),
            ("special", counts.special, ": fifos, sockets and devices, left alone"),
            ("not entered", counts.not_entered, ": mount points and log directories"),
            ("continued", counts.continued, " files whose copy an interrupted run had begun"),
            ("swept", counts.swept, ": temporaries of interrupted runs"),
        ];
        rows.extend(
            more.into_iter()
                .filter(|(_, count, _)| *count > 0)
                .map(|(label, count, what)| (label, format!("{}{what}", Count(count)))),
        );
        rows
    }

    fn rate(&self, amount: u64) -> u64 {
        per_second(amount, self.took)
    }
}

/// The first of so many, one a line, and the number of those beyond. `place` tells where these are.
fn named(first: &[String], of: u64, place: &str) -> String {
    let mut text: String = first.iter().map(|line| format!("  {line}\n")).collect();
    if let more @ 1.. = of.saturating_sub(first.len() as u64) {
        text.push_str(&format!("  and {} more{place}\n", Count(more)));
    }
    text
}
