//! Metrics for Prometheus, in its text format 0.0.4. `docs/monitoring.md` says what each means.
//!
//! A scrape asks where each series stands and reads the rows that are new since the last scrape. If
//! the database is away, the scrape is answered all the same: with `hasync_up 0`, and without
//! anything that it cannot know.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant, SystemTime};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::api::{number, standings};
use super::database::Unavailable;
use super::refusal::Refused;
use super::state::Shared;
use crate::ledger::{DbError, ENDINGS, Iteration, Reader, Series, Standing, Sums, Totals};
use crate::time::from_rfc3339;

/// How long one scrape reads rows that are new to it.
const CATCHING_UP: Duration = Duration::from_secs(2);

/// What the last run that is over left undone, apart from failures: a metric, the name of its
/// count, and its help text.
const UNDONE: [(&str, &str, &str); 3] = [
    (
        "hasync_last_run_deferred",
        "deferred",
        "Files that changed while they were copied in the last run that is over: the next one takes them up.",
    ),
    ("hasync_last_run_conflicts", "conflicts", "Paths in conflict in the last run that is over."),
    (
        "hasync_last_run_withheld_deletions",
        "withheld",
        "Deletions that a guard withheld in the last run that is over.",
    ),
];

/// What a scrape knows.
#[derive(Default)]
struct Known {
    standings: Vec<Standing>,
    /// `None` until all rows were read once: a sum that is too small is worse than none.
    sums: Option<BTreeMap<Series, Sums>>,
}

/// `GET /metrics`
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let totals = Arc::clone(&shared.totals);
    let known = shared.database.ask(move |reader| know(reader, &totals)).await;
    let text = match known {
        Ok(known) => text(true, &known.unwrap_or_default()),
        // The database was not asked, and `hasync_up` is about the database.
        Err(Unavailable::Busy) => return Refused::from(Unavailable::Busy).into_response(),
        Err(_) => text(false, &Known::default()),
    };
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

fn know(reader: &mut Reader, totals: &Mutex<Totals>) -> Result<Known, DbError> {
    let standings = standings(reader)?;
    let sums = match totals.try_lock() {
        Ok(mut totals) => {
            let is_whole = totals.catch_up(reader, Instant::now() + CATCHING_UP)?;
            is_whole.then(|| totals.sums())
        }
        // Another scrape is reading the sums, or a bug left them half-read. Neither is reported.
        Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => None,
    };
    Ok(Known { standings, sums })
}

/// A family of metrics that is being written.
struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl<'a> Family<'a> {
    fn begin(text: &'a mut String, name: &'static str, kind: &str, help: &str) -> Self {
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Self { text, name }
    }

    fn gauge(text: &'a mut String, name: &'static str, help: &str) -> Self {
        Self::begin(text, name, "gauge", help)
    }

    fn counter(text: &'a mut String, name: &'static str, help: &str) -> Self {
        Self::begin(text, name, "counter", help)
    }

    fn add(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        // Writing to a string cannot fail.
        let _written = writeln!(self.text, "{}{labels} {value}", self.name);
    }

    /// One value for each series that has one.
    fn of_each<'s, V: std::fmt::Display>(
        mut self,
        standings: &'s [Standing],
        value: impl Fn(&'s Standing) -> Option<V>,
    ) {
        for standing in standings {
            if let Some(value) = value(standing) {
                self.add(&labels(&standing.series), value);
            }
        }
    }
}

fn text(is_up: bool, known: &Known) -> String {
    let mut text = String::new();
    Family::gauge(&mut text, "hasync_up", "Whether the database answered this scrape.")
        .add(&[], u8::from(is_up));
    Family::gauge(&mut text, "hasync_build_info", "The dashboard's version; always 1.")
        .add(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    if !known.standings.is_empty() {
        gauges(&mut text, &known.standings);
    }
    if let Some(sums) = known.sums.as_ref().filter(|sums| !sums.is_empty()) {
        counters(&mut text, sums);
    }
    text
}

fn gauges(text: &mut String, standings: &[Standing]) {
    Family::gauge(
        text,
        "hasync_last_success_timestamp_seconds",
        "When the last run that did everything ended.",
    )
    .of_each(standings, |standing| standing.last_success.as_ref().and_then(ended));
    Family::gauge(
        text,
        "hasync_last_run_timestamp_seconds",
        "When the last run that is over ended.",
    )
    .of_each(standings, |standing| standing.last_run.as_ref().and_then(ended));
    Family::gauge(
        text,
        "hasync_last_run_duration_seconds",
        "How long the last run that is over took.",
    )
    .of_each(standings, |standing| standing.last_run.as_ref().and_then(duration));
    Family::gauge(
        text,
        "hasync_last_run_failed",
        "Paths that failed in the last run that is over.",
    )
    .of_each(standings, |standing| {
        standing.last_run.as_ref().map(|run| number(run, "files_failed"))
    });
    for (name, count, help) in UNDONE {
        Family::gauge(text, name, help).of_each(standings, |standing| {
            standing.last_run.as_ref().map(|run| counted(run, count))
        });
    }
    Family::gauge(text, "hasync_running", "Whether a run is at work.")
        .of_each(standings, |standing| Some(u8::from(standing.running.is_some())));
    Family::gauge(
        text,
        "hasync_running_since_timestamp_seconds",
        "When the run that is at work began.",
    )
    .of_each(standings, |standing| {
        standing.running.as_ref().and_then(|run| seconds(run, "started_at"))
    });
    let mut family = Family::gauge(
        text,
        "hasync_last_run_status",
        "1 for the status of the last run that is over.",
    );
    for standing in standings {
        let Some(run) = &standing.last_run else { continue };
        for status in ENDINGS {
            family
                .add(&with(&standing.series, "status", status), u8::from(run["status"] == status));
        }
    }
}

fn counters(text: &mut String, sums: &BTreeMap<Series, Sums>) {
    let mut family = Family::counter(text, "hasync_runs_total", "Runs that are over, by status.");
    for (series, sums) in sums {
        for status in ENDINGS {
            family
                .add(&with(series, "status", status), sums.runs.get(status).copied().unwrap_or(0));
        }
    }
    let mut family = Family::counter(
        text,
        "hasync_files_total",
        "Files, directories and symlinks, by operation.",
    );
    for (series, sums) in sums {
        for (operation, files) in
            [("create", sums.created), ("update", sums.updated), ("delete", sums.deleted)]
        {
            family.add(&with(series, "operation", operation), files);
        }
    }
    let mut family =
        Family::counter(text, "hasync_bytes_transferred_total", "Content that was transferred.");
    sums.iter().for_each(|(series, sums)| family.add(&labels(series), sums.bytes));
    let mut family = Family::counter(text, "hasync_failed_total", "Paths that failed.");
    sums.iter().for_each(|(series, sums)| family.add(&labels(series), sums.failed));
}

fn labels(series: &Series) -> [(&'static str, &str); 2] {
    [("pair", &series.pair), ("direction", &series.direction)]
}

fn with<'a>(
    series: &'a Series,
    name: &'static str,
    value: &'a str,
) -> [(&'static str, &'a str); 3] {
    let [pair, direction] = labels(series);
    [pair, direction, (name, value)]
}

/// A label's value, escaped as the format demands.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn time(run: &Iteration, column: &str) -> Option<Duration> {
    let time = from_rfc3339(run[column].as_str()?)?;
    time.duration_since(SystemTime::UNIX_EPOCH).ok()
}

/// One of the counts that only some runs have; 0 if it is missing.
fn counted(run: &Iteration, name: &str) -> u64 {
    run["counts"][name].as_u64().unwrap_or(0)
}

fn seconds(run: &Iteration, column: &str) -> Option<f64> {
    time(run, column).map(|time| time.as_secs_f64())
}

fn ended(run: &Iteration) -> Option<f64> {
    seconds(run, "ended_at")
}

fn duration(run: &Iteration) -> Option<f64> {
    let (begun, ended) = (time(run, "started_at")?, time(run, "ended_at")?);
    Some(ended.saturating_sub(begun).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_labels_cannot_end_them() {
        let series = Series { pair: "a\"} 1\n\\".into(), direction: "fwd".into() };
        let mut text = String::new();
        Family::gauge(&mut text, "x", "y").add(&labels(&series), 1);
        assert_eq!(
            text,
            "# HELP x y\n# TYPE x gauge\nx{pair=\"a\\\"} 1\\n\\\\\",direction=\"fwd\"} 1\n"
        );
    }

    #[test]
    fn a_database_that_is_away_is_down_and_nothing_else_is_said() {
        let lines = text(false, &Known::default());
        let lines: Vec<&str> = lines.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "hasync_up 0",
                concat!("hasync_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1")
            ]
        );
    }
}
