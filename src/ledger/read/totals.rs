//! Sums over all runs that are over, dry runs left out. They grow and never shrink.
//!
//! The sums are added up once, in bounded pieces, and from then on only new rows are read. The rows
//! of runs stay for ever, so a dashboard that begins anew comes to the same sums. So a counter does
//! not start from nothing when the dashboard does. It needs no table of its own, which every flush
//! would have to write to.
//!
//! A row may change after it was read: a run that was `running` ends. So its id is kept until it
//! does. A row may also appear below one that is there, because its number was given and its
//! transaction was not yet committed. So the last [`TAIL`] rows are never taken for settled and are
//! read each time. (One kind of row changes below them: that of a run that was taken for dead and
//! went on after hundreds of others had begun. It counts as what it was until the next start.)

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::{FileId, RUNNING, Reader, Series};
use crate::ledger::database::{DbResult, Row};
use crate::ledger::schema::ITERATIONS;
use crate::ledger::value::Value;

/// What the runs of one series did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Runs by status.
    pub runs: BTreeMap<String, u64>,
    /// Paths that were created.
    pub created: u64,
    /// Paths that were updated.
    pub updated: u64,
    /// Paths that were deleted.
    pub deleted: u64,
    /// Paths that failed.
    pub failed: u64,
    /// Bytes of content that were transferred.
    pub bytes: u64,
}

/// The sums, and how far they go.
#[derive(Debug)]
pub struct Totals {
    settled: BTreeMap<Series, Sums>,
    /// Every row up to this id is in `settled` or in `open`.
    settled_to: i64,
    /// The run id of that row and the file that it is in. By now another database may be there
    /// under the same name.
    settled_run: Value,
    file: Option<FileId>,
    /// Rows of runs that were not over.
    open: BTreeSet<i64>,
    /// Sums over the last rows, which are not settled yet.
    tail: BTreeMap<Series, Sums>,
}

/// Rows that are read at once.
const BATCH: usize = 5000;

/// Rows that are never taken for settled: more than begin during one transaction.
const TAIL: usize = 256;

const COLUMNS: [&str; 11] = [
    "id",
    "sync_pair",
    "direction",
    "dry_run",
    "status",
    "files_created",
    "files_updated",
    "files_deleted",
    "files_failed",
    "total_bytes_transferred",
    "run_id",
];

impl Default for Totals {
    fn default() -> Self {
        let (settled, tail) = Default::default();
        Self {
            settled,
            settled_to: 0,
            settled_run: Value::Null,
            file: None,
            open: BTreeSet::new(),
            tail,
        }
    }
}

impl Totals {
    /// Reads the rows that are new. `false` if the time was over before all were read; go on
    /// another time.
    pub fn catch_up(&mut self, reader: &mut Reader, until: Instant) -> DbResult<bool> {
        if self.file != reader.file || !self.is_of(reader)? {
            *self = Self { file: reader.file, ..Self::default() };
        }
        self.look_at_open(reader)?;
        loop {
            let rows = rows_after(reader, self.settled_to)?;
            let is_last = rows.len() < BATCH;
            let (settling, tail) = rows.split_at(rows.len().saturating_sub(TAIL));
            settling.iter().for_each(|row| self.settle(row));
            if is_last {
                self.tail.clear();
                tail.iter().filter(|row| !is_running(row)).for_each(|row| add(&mut self.tail, row));
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
        }
    }

    /// Whether the row up to which all is settled is still of the same run.
    fn is_of(&self, reader: &mut Reader) -> DbResult<bool> {
        if self.settled_to == 0 {
            return Ok(true);
        }
        let query = format!(
            "SELECT {} FROM {ITERATIONS} WHERE id = ?",
            reader.selected(ITERATIONS, &["run_id"])
        );
        let row = reader.db.first(&query, &[Value::Int(self.settled_to)])?;
        Ok(row.is_some_and(|row| row[0] == self.settled_run))
    }

    /// The sums over all rows that were read.
    pub fn sums(&self) -> BTreeMap<Series, Sums> {
        let mut sums = self.settled.clone();
        for (series, tail) in &self.tail {
            *sums.entry(series.clone()).or_default() += tail;
        }
        sums
    }

    fn settle(&mut self, row: &Row) {
        let Some(id) = row[0].as_int() else { return };
        self.settled_to = id;
        self.settled_run = row[10].clone();
        if is_running(row) {
            self.open.insert(id);
        } else {
            add(&mut self.settled, row);
        }
    }

    fn look_at_open(&mut self, reader: &mut Reader) -> DbResult<()> {
        let ids: Vec<i64> = self.open.iter().copied().collect();
        for some in ids.chunks(BATCH) {
            let marks = vec!["?"; some.len()].join(",");
            let values: Row = some.iter().map(|id| Value::Int(*id)).collect();
            let query =
                format!("SELECT {} FROM {ITERATIONS} WHERE id IN ({marks})", columns(reader));
            let (open, settled) = (&mut self.open, &mut self.settled);
            let mut there = BTreeSet::new();
            reader.db.query(&query, &values, &mut |row| {
                let Some(id) = row[0].as_int() else { return };
                there.insert(id);
                if !is_running(&row) && open.remove(&id) {
                    add(settled, &row);
                }
            })?;
            // A run whose row was removed never ends.
            open.retain(|id| there.contains(id) || some.binary_search(id).is_err());
        }
        Ok(())
    }
}

fn rows_after(reader: &mut Reader, id: i64) -> DbResult<Vec<Row>> {
    let mut rows = Vec::new();
    let query = format!(
        "SELECT {} FROM {ITERATIONS} WHERE id > ? ORDER BY id LIMIT {BATCH}",
        columns(reader)
    );
    reader.db.query(&query, &[Value::Int(id)], &mut |row| rows.push(row))?;
    Ok(rows)
}

fn columns(reader: &Reader) -> String {
    reader.selected(ITERATIONS, &COLUMNS)
}

fn is_running(row: &Row) -> bool {
    row[4].as_bytes() == RUNNING.as_bytes()
}

fn add(sums: &mut BTreeMap<Series, Sums>, row: &Row) {
    if row[3].as_int() == Some(1) {
        return;
    }
    let text = |column: usize| row[column].as_text().unwrap_or_default();
    let of = sums.entry(Series { pair: text(1), direction: text(2) }).or_default();
    let [created, updated, deleted, failed, bytes] =
        [5, 6, 7, 8, 9].map(|column| row[column].as_count());
    let runs = BTreeMap::from([(text(4), 1)]);
    *of += &Sums { runs, created, updated, deleted, failed, bytes };
}

impl std::ops::AddAssign<&Sums> for Sums {
    fn add_assign(&mut self, other: &Sums) {
        for (status, runs) in &other.runs {
            *self.runs.entry(status.clone()).or_default() += runs;
        }
        for (sum, more) in [
            (&mut self.created, other.created),
            (&mut self.updated, other.updated),
            (&mut self.deleted, other.deleted),
            (&mut self.failed, other.failed),
            (&mut self.bytes, other.bytes),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}
