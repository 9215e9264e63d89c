//! The ledger: the audit trail as a database. Opslogs go in, each line exactly once (`flush.rs`); what past
//! runs did comes out (`history.rs`, and `read/` for who changes nothing).
//!
//! The opslog is the truth and the database its copy, so whatever fails here costs time and nothing else.
//! MySQL and SQLite hold the same tables and get the same SQL (`database.rs`). Their clients block, and a
//! name server, a server that takes connections and never answers, or a file on a dead NFS server can
//! block them for longer than any timeout of theirs. So everything is done on a thread that is waited for
//! as long as agreed and then left to itself (`access.rs`): exactly-once does not care who else is at it.
//! That holds in every case, which an async runtime around the same blocking calls would not do better.

mod access;
mod batches;
mod charset;
mod database;
mod dsn;
mod flush;
mod history;
mod iteration;
mod mysql;
mod operation;
mod pending;
mod plan;
mod prune;
mod read;
mod schema;
mod sqlite;
mod value;

use std::path::Path;
use std::time::{Duration, Instant};

pub use self::access::{Access, Background, Failure, Reason};
use self::charset::Charset;
pub use self::database::DbError;
use self::database::{Answer, Database, in_transaction};
pub use self::dsn::{Address, Dsn, DsnError, Secret, Server, Tls};
pub use self::flush::{FlushError, Flushed};
pub use self::history::{Filter, Iteration};
pub use self::pending::{Limits, Passed, Whose, flush_each, flush_one, flush_pending};
pub use self::read::{
    ENDINGS, History, MOST_SERIES, Operations, OperationsFilter, Point, Reader, RunFilter, Runs, STATUSES,
    Series, Standing, Sums, Totals,
};
use self::schema::Found;
use self::value::Value;
use crate::opslog::{Damage, Header};

/// An open database whose tables are in place.
pub struct Ledger {
    db: Box<dyn Database>,
    charset: Charset,
}

impl Ledger {
    /// Opens a database and makes sure of the tables. [`Dsn::None`] is none.
    pub fn open(dsn: &Dsn) -> Answer<Self> {
        let mut db = connect(dsn)?;
        let (charset, is_quick) = schema::ensure(&mut *db)?;
        if !is_quick && schema::quicken(&mut *db).is_err() {
            // Recording needs a connection, not the index.
            db = connect(dsn)?;
        }
        Ok(Self { db, charset })
    }

    /// The same to ask only: a file that may not be written to will do, where its tables are in place. Each question
    /// is given up after the limit.
    pub fn open_to_read(dsn: &Dsn, limit: Duration) -> Answer<Self> {
        Self::open(dsn).or_else(|error| {
            let Dsn::Sqlite(path) = dsn else { return Err(error) };
            let opened = sqlite::Sqlite::open_to_read(path, limit).and_then(|mut db| {
                let found = Found::look(&mut db)?;
                Ok((db, found))
            });
            match opened {
                Ok((db, found)) if found.is_complete() => {
                    Ok(Self { db: Box::new(db), charset: found.charset })
                }
                _ => Err(error),
            }
        })
    }

    /// Writes down that a run has begun.
    pub fn begin(&mut self, header: &Header) -> Answer<()> {
        let charset = self.charset;
        in_transaction(&mut *self.db, |db| iteration::take(db, header, charset).map(drop))
    }

    /// Flushes a sealed opslog, until then at most, and deletes it when all of it is in.
    pub fn flush(&mut self, opslog: &Path, until: Instant) -> Result<Flushed, FlushError> {
        flush::flush(self, opslog, until)
    }

    /// When the last successful dry run of the pair and direction was begun, if it was between the same roots
    /// and its plan was that of this opslog.
    pub fn plan_current_since(
        &mut self,
        opslog: &Path,
        header: &Header,
    ) -> Result<Option<String>, FlushError> {
        let digest = plan::PlanDigest::of_opslog(opslog).map_err(|damage| match damage {
            Damage::Io(error) => error,
            damage => std::io::Error::other(damage.to_string()),
        })?;
        Ok(plan::current_since(self, header, &digest)?)
    }

    /// The latest runs, the latest first.
    pub fn history(&mut self, filter: &Filter) -> Answer<Vec<Iteration>> {
        history::history(&mut *self.db, filter)
    }

    /// Removes the operation rows of runs that began before then. Returns how many; `false`: the time was
    /// over before all were removed.
    pub fn prune(&mut self, before: std::time::SystemTime, until: Instant) -> Answer<(u64, bool)> {
        prune::prune(&mut *self.db, before, until)
    }

    /// Whether a run is over and all of its opslog is in.
    pub fn is_recorded(&mut self, run_id: &str) -> Answer<bool> {
        let query = format!(
            "SELECT id FROM {} WHERE run_id = ? AND status <> 'running' AND flushed_rows = opslog_rows",
            schema::ITERATIONS
        );
        Ok(self.db.first(&query, &[Value::text(run_id)])?.is_some())
    }

    /// Lines of a run's opslog that are in.
    fn flushed_rows(&mut self, run_id: &str) -> Answer<u64> {
        let query = format!("SELECT flushed_rows FROM {} WHERE run_id = ?", schema::ITERATIONS);
        let row = self.db.first(&query, &[Value::text(run_id)])?;
        Ok(row.map_or(0, |row| row[0].as_count()))
    }
}

fn connect(dsn: &Dsn) -> Answer<Box<dyn Database>> {
    Ok(match dsn {
        Dsn::None => return Err(DbError::refused("there is none")),
        Dsn::Sqlite(path) => Box::new(sqlite::Sqlite::open(path)?),
        Dsn::MySql(server) => Box::new(mysql::MySql::connect(server)?),
    })
}
