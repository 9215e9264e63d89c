//! The ledger: the audit trail as a database. Opslogs go in, each line exactly once (`flush.rs`).
//! What past runs did comes out (`history.rs`, and `read/` for readers that change nothing).
//!
//! The opslog is the truth and the database is its copy, so whatever fails here costs time and
//! nothing else. MySQL and SQLite hold the same tables and get the same SQL (`database.rs`).
//!
//! The database clients block. A name server, a server that accepts connections and never answers,
//! or a file on a dead NFS server can block them for longer than any of their timeouts. So all work
//! is done on a thread. The caller waits for it as long as agreed and then leaves it to itself
//! (`access.rs`): exactly-once does not depend on who else is at work. This holds in every case,
//! and an async runtime around the same blocking calls would do no better.

mod access;
mod batches;
mod charset;
mod current_plan;
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

use std::time::{Duration, Instant};

pub use self::access::{Access, Background, Failure, Reason};
use self::charset::Charset;
pub use self::database::DbError;
use self::database::{Database, DbResult, in_transaction};
pub use self::dsn::{Address, Dsn, DsnError, Secret, Server, Tls};
pub use self::flush::{FlushError, Flushed};
pub use self::history::{Filter, Iteration};
pub use self::pending::{FlushReport, Limits, Scope, flush_each, flush_one, flush_pending};
pub use self::read::{
    ENDINGS, History, MOST_SERIES, Operations, OperationsFilter, Point, Reader, RunFilter, Runs,
    STATUSES, Series, Standing, Sums, Totals,
};
use self::schema::SchemaState;
use self::value::Value;
use crate::opslog::Header;

/// An open database whose tables are in place.
pub struct Ledger {
    db: Box<dyn Database>,
    charset: Charset,
}

impl Ledger {
    /// Opens a database, and makes its tables or brings them up to date. [`Dsn::None`] is refused.
    pub fn open(dsn: &Dsn) -> DbResult<Self> {
        let mut db = connect(dsn)?;
        let (charset, is_quick) = schema::ensure(&mut *db)?;
        if !is_quick && schema::quicken(&mut *db).is_err() {
            // The connection was lost. Recording needs one, but not the index.
            db = connect(dsn)?;
        }
        Ok(Self { db, charset })
    }

    /// Like [`Ledger::open`], for questions only. A file that may not be written to will do if its
    /// tables are in place; each question to it is then given up after `limit`.
    pub fn open_to_read(dsn: &Dsn, limit: Duration) -> DbResult<Self> {
        Self::open(dsn).or_else(|error| {
            let Dsn::Sqlite(path) = dsn else { return Err(error) };
            let opened = sqlite::Sqlite::open_to_read(path, limit).and_then(|mut db| {
                let found = SchemaState::look(&mut db)?;
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

    /// Records that a run has begun.
    pub fn begin(&mut self, header: &Header) -> DbResult<()> {
        let charset = self.charset;
        in_transaction(&mut *self.db, |db| iteration::take(db, header, charset).map(drop))
    }

    /// The latest runs, the latest first.
    pub fn history(&mut self, filter: &Filter) -> DbResult<Vec<Iteration>> {
        history::history(&mut *self.db, filter)
    }

    /// Removes the operation rows of runs that began before `before`. Returns how many rows were
    /// removed, and `false` if the time was over before all of them were.
    pub fn prune(
        &mut self,
        before: std::time::SystemTime,
        until: Instant,
    ) -> DbResult<(u64, bool)> {
        prune::prune(&mut *self.db, before, until)
    }

    /// Whether a run is over and all lines of its opslog are in.
    pub fn is_recorded(&mut self, run_id: &str) -> DbResult<bool> {
        let query = format!(
            "SELECT id FROM {} WHERE run_id = ? AND status <> 'running' AND flushed_rows = opslog_rows",
            schema::ITERATIONS
        );
        Ok(self.db.first(&query, &[Value::text(run_id)])?.is_some())
    }
}

fn connect(dsn: &Dsn) -> DbResult<Box<dyn Database>> {
    Ok(match dsn {
        Dsn::None => return Err(DbError::refused("there is none")),
        Dsn::Sqlite(path) => Box::new(sqlite::Sqlite::open(path)?),
        Dsn::MySql(server) => Box::new(mysql::MySql::connect(server)?),
    })
}
