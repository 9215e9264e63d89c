//! An opslog as batches of rows. They are made on a thread of their own: while one batch goes into
//! the database, the next one is read.

use std::io;
use std::mem;

use crossbeam_channel::Sender;

use super::charset::Charset;
use super::database::Row;
use super::operation;
use super::plan::PlanDigest;
use crate::model::Summary;
use crate::opslog::{Damage, End, Header, OpslogReader, Record};

/// Rows of one transaction, at most. It locks little and a kill undoes little, yet the database's
/// disk is waited for seldom enough.
const MOST_ROWS: usize = 4096;

/// Bytes of one transaction, at most and approximately.
const MOST_BYTES: usize = 2 << 20;

/// Consecutive lines, as rows.
#[derive(Default)]
pub(super) struct Batch {
    /// How many lines come before them.
    pub(super) first: u64,
    pub(super) rows: Vec<Row>,
    bytes: usize,
}

impl Batch {
    /// An empty batch after the first `first` lines.
    pub(super) fn after(first: u64) -> Self {
        Self { first, ..Self::default() }
    }
}

/// What is known of an opslog after it was read.
pub(super) struct WasRead {
    /// Lines of operations.
    pub(super) lines: u64,
    /// The last lines, which did not fill a batch.
    pub(super) rest: Batch,
    /// The sums over all lines.
    pub(super) counts: Summary,
    /// `None` unless it was a dry run.
    pub(super) plan_digest: Option<String>,
    pub(super) end: Result<End, Damage>,
}

/// An opslog that is being read.
pub(super) struct Batches<'a> {
    header: &'a Header,
    charset: Charset,
    to: Sender<Batch>,
    lines: u64,
    batch: Batch,
    counts: Summary,
    digest: PlanDigest,
}

impl<'a> Batches<'a> {
    /// Leaves out the first `first` lines, which are in the database already.
    pub(super) fn after(
        first: u64,
        header: &'a Header,
        charset: Charset,
        to: Sender<Batch>,
    ) -> Self {
        Self {
            header,
            charset,
            to,
            lines: 0,
            batch: Batch::after(first),
            counts: Summary::default(),
            digest: PlanDigest::default(),
        }
    }

    /// Reads the whole opslog, or as much of it as somebody takes.
    pub(super) fn read(mut self, reader: OpslogReader) -> WasRead {
        let end = reader.read(|record| self.add(&record));
        WasRead {
            lines: self.lines,
            rest: self.batch,
            counts: self.counts,
            plan_digest: self.header.dry_run.then(|| self.digest.to_string()),
            end,
        }
    }

    fn add(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.lines += 1;
        record.add_to(&mut self.counts);
        if self.header.dry_run {
            self.digest.add_record(record);
        }
        if self.lines <= self.batch.first {
            return Ok(());
        }
        let row = operation::row(record, self.header.dry_run, self.charset);
        self.batch.bytes += operation::size(&row);
        self.batch.rows.push(row);
        if self.batch.rows.len() < MOST_ROWS && self.batch.bytes < MOST_BYTES {
            return Ok(());
        }
        self.to
            .send(mem::replace(&mut self.batch, Batch::after(self.lines)))
            .map_err(|_| io::Error::other("nobody takes the rows"))
    }
}
