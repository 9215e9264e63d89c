//! The operations of one iteration, of which there may be ten million.
//!
//! Rows are read in the order of their ids, in stretches of the index `idx_iteration`, and rows
//! that do not match are left out on the way. There is no index for status, operation or parts of a
//! path: each would cost every flush of every run. So a search that finds little looks at many
//! rows. It stops after a time, says how far it came, and can be resumed from there.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Reader;
use crate::ledger::Iteration;
use crate::ledger::database::{DbResult, Row};
use crate::ledger::history::named;
use crate::ledger::schema::OPERATIONS;
use crate::ledger::value::Value;

/// Which operations are asked for.
#[derive(Clone, Debug, Default)]
pub struct OperationsFilter {
    /// Id of their run.
    pub iteration: i64,
    /// `success` or `fail`.
    pub status: Option<String>,
    /// `create`, `update` or `delete`.
    pub operation: Option<String>,
    /// A part of the path, compared to the letter.
    pub path: Option<String>,
    /// Only those with a greater id.
    pub after: i64,
    /// So many, at most.
    pub limit: usize,
    /// A search begins no further stretch after this.
    pub patience: Duration,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Operations {
    /// In the order of their ids: the columns by name, and `filepath_b64`.
    pub operations: Vec<Iteration>,
    /// `Some` if there may be more, with ids greater than this.
    pub next: Option<i64>,
    /// Rows that were looked at.
    pub looked_at: u64,
}

/// Rows of one stretch if not every row matches. One takes some ten milliseconds.
const STRETCH: usize = 10_000;

const COLUMNS: [&str; 17] = [
    "id",
    "iteration_id",
    "dry_run",
    "operation",
    "kind",
    "filepath",
    "size_before",
    "size_after",
    "md5_before",
    "md5_after",
    "bytes",
    "started_at",
    "ended_at",
    "status",
    "cause",
    "error_message",
    "compares",
];

impl Reader {
    /// The operations of a run that match, and how far the search came.
    pub fn operations(&mut self, filter: &OperationsFilter) -> DbResult<Operations> {
        let begun = Instant::now();
        let mut found = Operations { operations: Vec::new(), next: None, looked_at: 0 };
        let mut after = filter.after;
        let stretch = if filter.matches_every_row() { filter.limit + 1 } else { STRETCH };
        while let Some((end, rows)) = self.stretch(filter.iteration, after, stretch)? {
            let wanted = filter.limit - found.operations.len() + 1;
            let mut matching = self.matching(filter, after, end, wanted)?;
            found.looked_at += rows;
            if matching.len() == wanted {
                matching.truncate(wanted - 1);
                found.operations.append(&mut matching);
                found.next = found.operations.last().and_then(|row| row["id"].as_i64());
                return Ok(found);
            }
            found.operations.append(&mut matching);
            after = end;
            if begun.elapsed() >= filter.patience {
                found.next = Some(after);
                return Ok(found);
            }
        }
        Ok(found)
    }

    /// The last id of the next stretch of an iteration's rows, and how many rows it has. `None` if
    /// there are no more rows.
    fn stretch(&mut self, iteration: i64, after: i64, rows: usize) -> DbResult<Option<(i64, u64)>> {
        let query = format!(
            "SELECT MAX(id), COUNT(*) FROM (SELECT id FROM {OPERATIONS} WHERE iteration_id = ? AND id > ? \
             ORDER BY id LIMIT {rows}) AS stretch"
        );
        let row = self.db.first(&query, &[Value::Int(iteration), Value::Int(after)])?;
        Ok(row.and_then(|row| Some((row[0].as_int()?, row[1].as_count()))))
    }

    /// The rows of a stretch that match.
    fn matching(
        &mut self,
        filter: &OperationsFilter,
        after: i64,
        end: i64,
        limit: usize,
    ) -> DbResult<Vec<Iteration>> {
        let mut values = vec![Value::Int(filter.iteration), Value::Int(after), Value::Int(end)];
        let mut which = String::new();
        // The column holds characters that do not fit in escaped form.
        let path = filter.path.as_deref().map(|part| self.found.charset.fit(part).into_owned());
        for (condition, text) in [
            (" AND status = ?", &filter.status),
            (" AND operation = ?", &filter.operation),
            (" AND INSTR(filepath, ?) > 0", &path),
        ] {
            if let Some(text) = text {
                which.push_str(condition);
                values.push(Value::text(text));
            }
        }
        let query = format!(
            "SELECT {}, {} FROM {OPERATIONS} WHERE iteration_id = ? AND id > ? AND id <= ?{which} ORDER BY id LIMIT {limit}",
            self.selected(OPERATIONS, &COLUMNS),
            self.selected(OPERATIONS, &["filepath_raw"]),
        );
        let mut found = Vec::new();
        self.db.query(&query, &values, &mut |row| found.push(operation(&row)))?;
        Ok(found)
    }
}

impl OperationsFilter {
    fn matches_every_row(&self) -> bool {
        self.status.is_none() && self.operation.is_none() && self.path.is_none()
    }
}

fn operation(row: &Row) -> Iteration {
    let mut operation = named(&COLUMNS, row);
    let raw = row.last().filter(|raw| **raw != Value::Null);
    let exact = raw.map(|raw| STANDARD.encode(raw.as_bytes()));
    operation.insert("filepath_b64".into(), exact.into());
    operation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::database::in_transaction;
    use crate::ledger::schema::operation_columns;
    use crate::ledger::{Dsn, Ledger};

    #[test]
    fn a_search_that_has_no_time_stops_after_each_stretch_and_comes_to_the_end_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let dsn = Dsn::Sqlite(folder.path().join("rows"));
        let mut ledger = Ledger::open(&dsn).unwrap();
        ledger
            .db
            .execute(
                "INSERT INTO sync_iterations (id, sync_pair, direction, src, dest, started_at) VALUES (1, 'p', 'd', 's', 'd', 't')",
                &[],
            )
            .unwrap();
        let all = operation_columns();
        let row = |index: usize| -> Row {
            let value = |column: &&str| match *column {
                "iteration_id" => Value::Int(1),
                "operation" => Value::text("create"),
                "filepath" => Value::Text(format!("file {index}")),
                "started_at" => Value::text("2026-01-01 00:00:00.000"),
                "status" => Value::text(if index == 34_999 { "fail" } else { "success" }),
                "dry_run" => Value::Int(0),
                _ => Value::Null,
            };
            all.iter().map(value).collect()
        };
        let rows: Vec<Row> = (0..35_000).map(row).collect();
        in_transaction(&mut *ledger.db, |db| db.insert(OPERATIONS, &all, &rows)).unwrap();

        let mut reader = Reader::open(&dsn, Duration::from_secs(10)).unwrap().unwrap();
        let mut filter = OperationsFilter {
            iteration: 1,
            status: Some("fail".into()),
            limit: 5,
            ..OperationsFilter::default()
        };
        let mut steps = Vec::new();
        loop {
            let found = reader.operations(&filter).unwrap();
            steps.push((found.operations.len(), found.looked_at, found.next));
            match found.next {
                Some(next) => filter.after = next,
                None => break,
            }
        }
        let stretch = STRETCH as u64;
        let paused = |end| (0, stretch, Some(end));
        let expected =
            [paused(10_000), paused(20_000), paused(30_000), (1, 5000, Some(35_000)), (0, 0, None)];
        assert_eq!(steps, expected);
        filter = OperationsFilter { patience: Duration::from_secs(60), after: 0, ..filter };
        let found = reader.operations(&filter).unwrap();
        assert_eq!((found.operations.len(), found.looked_at, found.next), (1, 35_000, None));
    }
}
