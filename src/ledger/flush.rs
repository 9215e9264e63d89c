//! One opslog into the database, each line exactly once, whatever happens meanwhile.
//!
//! A sealed opslog comes in, its rows go into the database, and then the file is deleted. The rows
//! go in transaction by transaction. Each transaction first takes the iteration's row and reads how
//! many lines are in. It leaves these lines out, and records how many are in now. So the database
//! alone decides where to go on: after a commit whose answer was lost, after a kill, and beside
//! another process that flushes the same file. Two batches of lines are in memory.
//!
//! Lines are known by their position alone, and a line that is missing or doubled shows only at the
//! end of the file. So the whole file is checked before the first row goes in. Otherwise the rows
//! of a file with wrong positions would be taken for those of the repaired file, also by a flush
//! that comes after a kill.

use std::fs;
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use super::batches::{Batch, Batches, WasRead};
use super::database::{DbError, DbResult, in_transaction};
use super::iteration::{self, Ending};
use super::schema::{ITERATIONS, OPERATIONS, operation_columns};
use super::value::Value;
use super::{Ledger, operation};
use crate::model::{Summary, shown};
use crate::opslog::{Damage, End, Header, OpslogReader, set_aside};

/// How often a flush that takes long is reported.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// What became of an opslog.
#[derive(Debug, PartialEq, Eq)]
pub enum Flushed {
    /// All of it is in, and the file is deleted.
    All {
        /// Lines of operations.
        rows: u64,
    },
    /// It is damaged, and kept under another name. None of its lines are in, or only those before a
    /// line whose values are wrong.
    SetAside {
        /// Where the file is now.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is not there any more: somebody else flushed it.
    Gone,
}

/// Why an opslog is not in the database, or not all of it. The lines that are in stay in, and the
/// file stays.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The file could not be read, renamed or deleted.
    #[error("the opslog: {0}")]
    Opslog(#[from] io::Error),
    /// Its time was over. The number is that of the operations that are in.
    #[error("the time for it is over; {0} operations are in")]
    OutOfTime(u64),
}

impl Ledger {
    /// Flushes a sealed opslog, until `until` at most, and deletes it when all of it is in the
    /// database.
    pub fn flush(&mut self, opslog: &Path, until: Instant) -> Result<Flushed, FlushError> {
        flush(self, opslog, until)
    }

    /// How many lines of a run's opslog are in.
    fn flushed_rows(&mut self, run_id: &str) -> DbResult<u64> {
        let query = format!("SELECT flushed_rows FROM {ITERATIONS} WHERE run_id = ?");
        let row = self.db.first(&query, &[Value::text(run_id)])?;
        Ok(row.map_or(0, |row| row[0].as_count()))
    }
}

fn flush(ledger: &mut Ledger, path: &Path, until: Instant) -> Result<Flushed, FlushError> {
    let (header, mut reader) = match OpslogReader::open(path) {
        Ok(opened) => opened,
        Err(Damage::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Flushed::Gone);
        }
        Err(Damage::Io(error)) => return Err(error.into()),
        Err(damage) => return aside(path, damage.to_string()),
    };
    let mut flush = Flush::begin(ledger, &header, path, until)?;
    if let Err(damage) = reader.check() {
        let nothing = Batch::after(flush.flushed);
        return flush.end_damaged(nothing, Summary::default(), damage);
    }
    let read = flush.all_but_the_rest(reader)?;
    let ending = match read.end {
        Ok(End::Sealed(footer)) if footer.operations == read.lines => {
            Ending::of(*footer, read.plan_digest)
        }
        Ok(_) => return Err(io::Error::other("it was changed while it was read").into()),
        Err(damage) => return flush.end_damaged(read.rest, read.counts, damage),
    };
    flush.send(read.rest, Some(&ending))?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(Flushed::All { rows: read.lines }),
    }
}

fn aside(path: &Path, reason: String) -> Result<Flushed, FlushError> {
    match set_aside(path) {
        Ok(path) => Ok(Flushed::SetAside { path, reason }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Flushed::Gone),
        Err(error) => Err(error.into()),
    }
}

/// An opslog that is being flushed.
struct Flush<'a> {
    ledger: &'a mut Ledger,
    header: &'a Header,
    path: &'a Path,
    until: Instant,
    told: Instant,
    /// Lines that are in, as the database says.
    flushed: u64,
}

impl<'a> Flush<'a> {
    fn begin(
        ledger: &'a mut Ledger,
        header: &'a Header,
        path: &'a Path,
        until: Instant,
    ) -> Result<Self, FlushError> {
        let flushed = ledger.flushed_rows(&header.run_id)?;
        Ok(Self { ledger, header, path, until, told: Instant::now(), flushed })
    }

    /// Sends all full batches. The rest goes in together with how the run ended.
    fn all_but_the_rest(&mut self, reader: OpslogReader) -> Result<WasRead, FlushError> {
        // One batch is being read and one goes in; none waits between them.
        let (to, batches) = bounded(0);
        let reading = Batches::after(self.flushed, self.header, self.ledger.charset, to);
        thread::scope(|threads| {
            let thread = Builder::new()
                .name("opslog".into())
                .spawn_scoped(threads, move || reading.read(reader))?;
            for batch in batches {
                self.send(batch, None)?;
                self.look_at_the_clock()?;
            }
            Ok(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })
    }

    /// One transaction: the lines of a batch that are not in yet, and how many lines are in then.
    fn send(&mut self, mut batch: Batch, ending: Option<&Ending>) -> Result<(), FlushError> {
        let (header, charset, end) =
            (self.header, self.ledger.charset, batch.first + batch.rows.len() as u64);
        self.flushed = in_transaction(&mut *self.ledger.db, |db| {
            let row = iteration::take(db, header, charset)?;
            let Some(is_in) = row.flushed.checked_sub(batch.first) else {
                return Err(DbError::refused(
                    "there are fewer rows than there were: somebody removed or restored some",
                ));
            };
            let is_in = usize::try_from(is_in).unwrap_or(usize::MAX).min(batch.rows.len());
            let missing = &mut batch.rows[is_in..];
            missing.iter_mut().for_each(|operation| operation::set_iteration(operation, row.id));
            db.insert(OPERATIONS, &operation_columns(), missing)?;
            let flushed = end.max(row.flushed);
            iteration::update(db, &row, flushed, ending, charset)?;
            Ok(flushed)
        })?;
        Ok(())
    }

    /// Sends the last lines before the damage, and that nobody knows how the run ended.
    fn end_damaged(
        mut self,
        rest: Batch,
        counts: Summary,
        damage: Damage,
    ) -> Result<Flushed, FlushError> {
        if let Damage::Io(error) = damage {
            return Err(error.into());
        }
        let reason = format!("the opslog is damaged and was set aside: {damage}");
        self.send(rest, Some(&Ending::unknown(counts, reason)))?;
        aside(self.path, damage.to_string())
    }

    fn look_at_the_clock(&mut self) -> Result<(), FlushError> {
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            tracing::info!("{}: {} operations are in the database", shown(self.path), self.flushed);
        }
        if Instant::now() < self.until { Ok(()) } else { Err(FlushError::OutOfTime(self.flushed)) }
    }
}
