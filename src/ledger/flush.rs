//! One opslog into the database, each line exactly once, whatever happens meanwhile.
//!
//! In comes a sealed opslog, out go its rows; then the file is deleted. The rows go in transaction by
//! transaction, and each of them takes the iteration's row first, looks there how many lines are in, leaves
//! these out, and says how many are in now. So the database alone decides where to go on: after a commit
//! whose answer got lost, after a kill, and beside another process that flushes the same file. Only one
//! batch of lines is in memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::database::{DbError, Row, in_transaction};
use super::iteration::{self, Ending};
use super::plan::PlanDigest;
use super::schema::{OPERATIONS, operation_columns};
use super::{Ledger, operation};
use crate::model::{Summary, shown};
use crate::opslog::{Damage, End, Header, OpslogReader, Record, set_aside};

/// A transaction holds no more rows than this: what it locks and what a kill undoes stays small, and the
/// database's disk is waited for seldom enough.
const BATCH_ROWS: usize = 8192;

/// Nor more than about so many bytes.
const BATCH_BYTES: usize = 4 << 20;

/// How often one hears of it while it lasts.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// What became of an opslog.
#[derive(Debug, PartialEq, Eq)]
pub enum Flushed {
    /// It is in, and the file is gone.
    All {
        /// Lines of operations.
        rows: u64,
    },
    /// It is damaged: what could be read before the damage is in, the file is kept under another name.
    SetAside {
        /// Where it lies now.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody else did it.
    Gone,
}

/// Why an opslog is not in, or not all of it. What is in stays in, and the file stays.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// The database's reason.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The file's.
    #[error("the opslog: {0}")]
    Opslog(#[from] io::Error),
    /// It has been given so much time and no more.
    #[error("the time for it is over; {0} operations are in")]
    OutOfTime(u64),
}

/// Flushes one opslog, until then at most.
pub(super) fn flush(ledger: &mut Ledger, path: &Path, until: Instant) -> Result<Flushed, FlushError> {
    let (header, reader) = match OpslogReader::open(path) {
        Ok(opened) => opened,
        Err(Damage::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(Flushed::Gone),
        Err(Damage::Io(error)) => return Err(error.into()),
        Err(damage) => return aside(path, damage.to_string()),
    };
    let mut flush = Flush::begin(ledger, &header, path, until)?;
    let end = reader.read(|record| flush.add(&record));
    if let Some(error) = flush.error.take() {
        return Err(error);
    }
    let damage = match end {
        Ok(End::Sealed(footer)) if footer.operations == flush.read => {
            let rows = flush.finish(Ending::of(*footer))?;
            return match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
                _ => Ok(Flushed::All { rows }),
            };
        }
        Ok(End::Sealed(footer)) => {
            format!("it holds {} operations, its last line says {}", flush.read, footer.operations)
        }
        Ok(End::Torn { .. }) => "its last line is torn".to_owned(),
        Err(Damage::Io(error)) => return Err(error.into()),
        Err(damage) => damage.to_string(),
    };
    let (read, counts) = (flush.read, flush.counts.clone());
    flush.finish(Ending::unknown(
        read,
        counts,
        format!("the opslog is damaged and was set aside: {damage}"),
    ))?;
    aside(path, damage)
}

fn aside(path: &Path, reason: String) -> Result<Flushed, FlushError> {
    match set_aside(path) {
        Ok(path) => Ok(Flushed::SetAside { path, reason }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Flushed::Gone),
        Err(error) => Err(error.into()),
    }
}

/// An opslog on its way.
struct Flush<'a> {
    ledger: &'a mut Ledger,
    header: &'a Header,
    path: &'a Path,
    until: Instant,
    told: Instant,
    /// Lines read.
    read: u64,
    /// Lines that the database says are in.
    flushed: u64,
    /// The lines from `flushed` on.
    batch: Vec<Row>,
    batch_bytes: usize,
    counts: Summary,
    digest: PlanDigest,
    error: Option<FlushError>,
}

impl<'a> Flush<'a> {
    fn begin(
        ledger: &'a mut Ledger,
        header: &'a Header,
        path: &'a Path,
        until: Instant,
    ) -> Result<Self, FlushError> {
        let flushed = ledger.flushed_rows(&header.run_id)?;
        let (counts, digest) = (Summary::default(), PlanDigest::default());
        let (batch, batch_bytes, read, error, told) = (Vec::new(), 0, 0, None, Instant::now());
        Ok(Self {
            ledger,
            header,
            path,
            until,
            told,
            read,
            flushed,
            batch,
            batch_bytes,
            counts,
            digest,
            error,
        })
    }

    /// Takes up one line. An error ends the reading and is kept.
    fn add(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.read += 1;
        record.add_to(&mut self.counts);
        if self.header.dry_run {
            self.digest.add_record(record);
        }
        if self.read <= self.flushed {
            return Ok(());
        }
        let row = operation::row(record, self.header.dry_run, self.ledger.charset);
        self.batch_bytes += operation::size(&row);
        self.batch.push(row);
        if self.batch.len() < BATCH_ROWS && self.batch_bytes < BATCH_BYTES {
            return Ok(());
        }
        self.send(None).and_then(|()| self.look_at_the_clock()).map_err(|error| {
            self.error = Some(error);
            io::Error::other("the flush ended")
        })
    }

    /// One transaction: what is gathered, without what is in already, and how far that goes.
    fn send(&mut self, ending: Option<&Ending>) -> Result<(), FlushError> {
        let (header, charset, first, batch) =
            (self.header, self.ledger.charset, self.flushed, &mut self.batch);
        let end = first + batch.len() as u64;
        self.flushed = in_transaction(&mut *self.ledger.db, |db| {
            let row = iteration::take(db, header, charset)?;
            if row.flushed < first {
                return Err(DbError::refused(
                    "there are fewer rows than there were: somebody removed or restored some",
                ));
            }
            let is_in = usize::try_from(row.flushed - first).unwrap_or(usize::MAX).min(batch.len());
            let missing = &mut batch[is_in..];
            missing.iter_mut().for_each(|operation| operation::set_iteration(operation, row.id));
            db.insert(OPERATIONS, &operation_columns(), missing)?;
            let flushed = end.max(row.flushed);
            iteration::update(db, &row, flushed, ending, charset)?;
            Ok(flushed)
        })?;
        self.batch.clear();
        self.batch_bytes = 0;
        Ok(())
    }

    fn look_at_the_clock(&mut self) -> Result<(), FlushError> {
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            tracing::info!("{}: {} operations are in the database", shown(self.path), self.flushed);
        }
        if Instant::now() < self.until { Ok(()) } else { Err(FlushError::OutOfTime(self.flushed)) }
    }

    /// The last transaction: the rest, and how the run ended. Returns the lines of operations.
    fn finish(mut self, mut ending: Ending) -> Result<u64, FlushError> {
        ending.plan_digest = self.header.dry_run.then(|| self.digest.to_string());
        self.send(Some(&ending))?;
        Ok(self.read)
    }
}
