//! Iterations: how each series stands, the list of past runs, and points to plot.
//!
//! Runs are ordered by when they began, and runs that began together by their ids. An order by id
//! alone would be wrong: an opslog that waited while the database was down gets in late, with a
//! greater id.
//!
//! The index `idx_series` has the runs of one series, dry or not, of one status, in that order.
//! Every answer is put together from the first rows of such sequences ([`Sequence`]). So the last
//! success of a pair that has failed for a year is found as fast as any.

use super::series::Series;
use super::{ENDINGS, RUNNING, Reader, STATUSES};
use crate::ledger::Iteration;
use crate::ledger::database::{DbResult, Row};
use crate::ledger::history::named;
use crate::ledger::schema::{ITERATIONS, iteration_columns};
use crate::ledger::value::Value;

/// Where one direction of a pair stands. A run that is not over is in `running` alone.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The pair and direction.
    pub series: Series,
    /// The run that is at work.
    pub running: Option<Iteration>,
    /// The last run that is over.
    pub last_run: Option<Iteration>,
    /// The last run that did everything.
    pub last_success: Option<Iteration>,
    /// The last dry run that is over.
    pub last_dry_run: Option<Iteration>,
}

/// Which runs are asked for.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Only runs of this pair.
    pub pair: Option<String>,
    /// Only runs of this direction.
    pub direction: Option<String>,
    /// Only runs with this status.
    pub status: Option<String>,
    /// `Some(true)` for dry runs only, `Some(false)` for none of them.
    pub dry_run: Option<bool>,
    /// Only those that come after the run with this id in the list.
    pub before: Option<i64>,
    /// So many, at most.
    pub limit: usize,
}

/// A part of the list.
#[derive(Clone, Debug)]
pub struct Runs {
    /// The latest first.
    pub runs: Vec<Iteration>,
    /// `Some` if there are more, after the run with this id.
    pub next: Option<i64>,
}

/// The points of one series, the oldest first.
#[derive(Clone, Debug)]
pub struct History {
    /// The pair and direction.
    pub series: Series,
    /// One for each run that is over.
    pub points: Vec<Point>,
    /// There were more in that time. The points are the latest ones.
    pub is_cut: bool,
}

/// A run to be drawn: the columns `id`, `started_at`, `ended_at`, `status`,
/// `total_bytes_transferred` and `files_…`.
pub type Point = Iteration;

const POINT: [&str; 9] = [
    "id",
    "started_at",
    "ended_at",
    "status",
    "total_bytes_transferred",
    "files_created",
    "files_updated",
    "files_deleted",
    "files_failed",
];

/// Points of one answer, at most. With a hundred series that is the last 60 runs of each, with more
/// series fewer runs.
const POINTS: usize = 6000;

/// Parts of one statement, at most. SQLite allows 500.
const PARTS: usize = 64;

/// The runs of one series, dry or not, of one status.
struct Sequence<'a> {
    series: &'a Series,
    dry_run: bool,
    status: &'a str,
}

/// A position in the list.
struct Place {
    started_at: Value,
    id: i64,
}

impl Reader {
    /// Where every series stands.
    ///
    /// The last run is the one that began last. A run that says it began after `latest` (RFC 3339)
    /// has a clock that is wrong, and must not hide the runs after it. Between it and the others,
    /// the one with the greater id is the last.
    pub fn standings(&mut self, latest: &str) -> DbResult<Vec<Standing>> {
        let series = self.series(None, None)?;
        series.into_iter().map(|series| self.standing(series, latest)).collect()
    }

    fn standing(&mut self, series: Series, latest: &str) -> DbResult<Standing> {
        let sequences = sequences(std::slice::from_ref(&series), None, None);
        let columns = iteration_columns();
        let rows = self.latest(&sequences, &self.selected_runs(), "", &[], 1)?;
        let in_words = |rows| -> Vec<Iteration> {
            in_order(rows).iter().map(|row| named(&columns, row)).collect()
        };
        let (ahead, mut runs) =
            in_words(rows).into_iter().partition::<Vec<_>, _>(|run| is_after(run, latest));
        if !ahead.is_empty() {
            let until = [Value::time(latest)];
            runs = in_words(self.latest(
                &sequences,
                &self.selected_runs(),
                " AND started_at <= ?",
                &until,
                1,
            )?);
        }
        let first = |wanted: &dyn Fn(&Iteration) -> bool| {
            let of = |runs: &[Iteration]| runs.iter().find(|run| wanted(run)).cloned();
            of(&runs).into_iter().chain(of(&ahead)).max_by_key(|run| run["id"].as_i64())
        };
        let real = first(&|run| run["dry_run"] == false);
        Ok(Standing {
            // A dead run that still says `running` stops counting when a later run comes.
            running: real.filter(|run| run["status"] == RUNNING),
            last_run: first(&|run| run["dry_run"] == false && run["status"] != RUNNING),
            last_success: first(&|run| run["dry_run"] == false && run["status"] == "success"),
            last_dry_run: first(&|run| run["dry_run"] == true && run["status"] != RUNNING),
            series,
        })
    }

    /// A part of the list. `None` if there is no run with the id that it was to come after.
    pub fn runs(&mut self, filter: &RunFilter) -> DbResult<Option<Runs>> {
        let place = match filter.before.map(|id| self.place(id)).transpose()? {
            Some(None) => return Ok(None),
            place => place.flatten(),
        };
        let (beyond, from) = place.map_or(("", Vec::new()), |place| {
            let values = vec![place.started_at.clone(), place.started_at, Value::Int(place.id)];
            (" AND started_at <= ? AND (started_at < ? OR id < ?)", values)
        });
        let columns = iteration_columns();
        let asked = filter.limit + 1;
        let rows = if filter.asks_for_everything() {
            self.everything(beyond, &from, asked)?
        } else {
            let series = self.series(filter.pair.as_deref(), filter.direction.as_deref())?;
            let sequences = sequences(&series, filter.dry_run, filter.status.as_deref());
            self.latest(&sequences, &self.selected_runs(), beyond, &from, asked)?
        };
        let mut rows = in_order(rows);
        let has_more = rows.len() > filter.limit;
        rows.truncate(filter.limit);
        let next = rows.last().filter(|_| has_more).and_then(|row| row[0].as_int());
        Ok(Some(Runs { runs: rows.iter().map(|row| named(&columns, row)).collect(), next }))
    }

    /// One run.
    pub fn run(&mut self, id: i64) -> DbResult<Option<Iteration>> {
        let query = format!("SELECT {} FROM {ITERATIONS} WHERE id = ?", self.selected_runs());
        let row = self.db.first(&query, &[Value::Int(id)])?;
        Ok(row.map(|row| named(&iteration_columns(), &row)))
    }

    /// The runs that are over and began at `since` (RFC 3339) or later, of every series or of one
    /// pair's. Each series has its latest `limit` runs, or fewer if there are so many series that
    /// the answer would have no bound.
    pub fn history(
        &mut self,
        pair: Option<&str>,
        since: &str,
        limit: usize,
    ) -> DbResult<Vec<History>> {
        let (columns, since) = (POINT.join(", "), [Value::time(since)]);
        let all = self.series(pair, None)?;
        let limit = limit.min(POINTS / all.len().max(1));
        let mut found = Vec::new();
        for series in all {
            let sequences: Vec<Sequence<'_>> = ENDINGS
                .iter()
                .map(|status| Sequence { series: &series, dry_run: false, status })
                .collect();
            let rows =
                self.latest(&sequences, &columns, " AND started_at >= ?", &since, limit + 1)?;
            let mut rows = in_order_by(rows, 1);
            let is_cut = rows.len() > limit;
            rows.truncate(limit);
            rows.reverse();
            let points = rows.iter().map(|row| named(&POINT, row)).collect();
            found.push(History { series, points, is_cut });
        }
        Ok(found)
    }

    fn place(&mut self, id: i64) -> DbResult<Option<Place>> {
        let query = format!("SELECT started_at FROM {ITERATIONS} WHERE id = ?");
        let row = self.db.first(&query, &[Value::Int(id)])?;
        Ok(row.map(|mut row| Place { started_at: row.swap_remove(0), id }))
    }

    /// The first rows of the list of all runs.
    fn everything(&mut self, beyond: &str, from: &[Value], limit: usize) -> DbResult<Vec<Row>> {
        let which =
            if beyond.is_empty() { String::new() } else { beyond.replacen(" AND ", " WHERE ", 1) };
        let query = format!(
            "SELECT {} FROM {ITERATIONS}{which} ORDER BY started_at DESC, id DESC LIMIT {limit}",
            self.selected_runs()
        );
        self.rows(&query, from)
    }

    /// The first rows of each sequence.
    fn latest(
        &mut self,
        sequences: &[Sequence<'_>],
        columns: &str,
        which: &str,
        and: &[Value],
        limit: usize,
    ) -> DbResult<Vec<Row>> {
        let table = self.runs_by_series();
        let part = self.db.dialect().part(&format!(
            "SELECT {columns} FROM {table} WHERE sync_pair = ? AND direction = ? AND dry_run = ? \
             AND status = ?{which} ORDER BY started_at DESC, id DESC LIMIT {limit}"
        ));
        let mut found = Vec::new();
        for some in sequences.chunks(PARTS) {
            let query = vec![&*part; some.len()].join(" UNION ALL ");
            let values: Row = some
                .iter()
                .flat_map(|sequence| sequence.values().into_iter().chain(and.iter().cloned()))
                .collect();
            found.append(&mut self.rows(&query, &values)?);
        }
        Ok(found)
    }

    fn rows(&mut self, query: &str, values: &[Value]) -> DbResult<Vec<Row>> {
        let mut found = Vec::new();
        self.db.query(query, values, &mut |row| found.push(row))?;
        Ok(found)
    }
}

impl RunFilter {
    fn asks_for_everything(&self) -> bool {
        self.pair.is_none()
            && self.direction.is_none()
            && self.status.is_none()
            && self.dry_run.is_none()
    }
}

impl Sequence<'_> {
    fn values(&self) -> [Value; 4] {
        let Series { pair, direction } = self.series;
        [Value::text(pair), Value::text(direction), self.dry_run.into(), Value::text(self.status)]
    }
}

fn sequences<'a>(
    series: &'a [Series],
    dry_run: Option<bool>,
    status: Option<&'a str>,
) -> Vec<Sequence<'a>> {
    let dry_runs = dry_run.map_or(vec![false, true], |dry_run| vec![dry_run]);
    let statuses = status.map_or(STATUSES.to_vec(), |status| vec![status]);
    let mut found = Vec::new();
    for series in series {
        for dry_run in &dry_runs {
            found.extend(statuses.iter().map(|status| Sequence {
                series,
                dry_run: *dry_run,
                status,
            }));
        }
    }
    found
}

/// Whether a run began after `latest`. Times sort as their texts do.
fn is_after(run: &Iteration, latest: &str) -> bool {
    run["started_at"].as_str().is_some_and(|begun| begun > latest)
}

/// Sorts rows with all columns by `started_at`, then by id, the latest first.
fn in_order(rows: Vec<Row>) -> Vec<Row> {
    in_order_by(rows, STARTED_AT)
}

/// The same for rows that have `started_at` elsewhere. Times sort as their texts do.
fn in_order_by(mut rows: Vec<Row>, started_at: usize) -> Vec<Row> {
    rows.sort_by_cached_key(|row| std::cmp::Reverse((row[started_at].as_text(), row[0].as_int())));
    rows
}

/// The position of `started_at` among the columns of an iteration.
const STARTED_AT: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_goes_by_columns_that_are_where_they_are_looked_for() {
        let columns = iteration_columns();
        assert_eq!((columns[0], columns[STARTED_AT]), ("id", "started_at"));
        assert_eq!((POINT[0], POINT[1]), ("id", "started_at"));
    }

    #[test]
    fn a_filter_asks_for_no_more_sequences_than_it_needs() {
        let series = ["fwd", "back"]
            .map(|direction| Series { pair: "media".into(), direction: direction.into() });
        assert_eq!(sequences(&series, None, None).len(), 16);
        assert_eq!(sequences(&series, Some(true), None).len(), 8);
        assert_eq!(sequences(&series[..1], Some(false), Some("failed")).len(), 1);
    }
}
