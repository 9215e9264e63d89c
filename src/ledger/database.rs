//! All that the ledger asks of a database. MySQL and SQLite answer, in [`super::mysql`] and
//! [`super::sqlite`]. The SQL is the same for both, with `?` for a value.

use std::hash::{BuildHasher as _, RandomState};
use std::thread;
use std::time::{Duration, Instant};

use super::value::Value;

/// One row.
pub(super) type Row = Vec<Value>;

/// An open database.
pub(super) trait Database: Send {
    /// The SQL dialect that it speaks.
    fn dialect(&self) -> Dialect;

    /// Runs a statement that returns no rows. Returns how many rows it changed.
    fn execute(&mut self, sql: &str, values: &[Value]) -> DbResult<u64>;

    /// Runs a query and hands over one row at a time, in constant memory.
    fn query(&mut self, sql: &str, values: &[Value], each: &mut dyn FnMut(Row)) -> DbResult<()>;

    /// Inserts rows, in as few statements as the database accepts.
    fn insert(&mut self, table: &str, columns: &[&str], rows: &[Row]) -> DbResult<()>;

    /// The first row of a query; `None` if it has none.
    fn first(&mut self, sql: &str, values: &[Value]) -> DbResult<Option<Row>> {
        let mut first = None;
        self.query(sql, values, &mut |row| {
            first.get_or_insert(row);
        })?;
        Ok(first)
    }
}

/// The SQL dialect of a database, as far as the two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    MySql,
    Sqlite,
}

impl Dialect {
    /// Begins a transaction that will write.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::MySql => "START TRANSACTION",
            // Not `BEGIN`: a transaction that reads first and writes later can be refused for good.
            Self::Sqlite => "BEGIN IMMEDIATE",
        }
    }

    /// Stands after a table: use this index and no other one. By its statistics, MySQL may take
    /// another index for better, and sort.
    pub(super) fn by_index(self, index: &str) -> String {
        match self {
            Self::MySql => format!(" FORCE INDEX ({index})"),
            Self::Sqlite => String::new(), // It takes the index that covers most of the conditions.
        }
    }

    /// A `SELECT` with an order and a limit of its own, as a part of a `UNION ALL`.
    pub(super) fn part(self, select: &str) -> String {
        match self {
            // As a derived table, each part would be written to a temporary table, on disk because
            // of its `TEXT` columns. That is six times as slow.
            Self::MySql => format!("({select})"),
            Self::Sqlite => format!("SELECT * FROM ({select}) AS part"),
        }
    }

    /// Stands after a `SELECT`: nobody else changes the rows until the transaction ends.
    pub(super) fn for_update(self) -> &'static str {
        match self {
            Self::MySql => " FOR UPDATE",
            Self::Sqlite => "", // Only one transaction writes at a time.
        }
    }
}

/// The answer of a database, or why there is none.
pub(super) type DbResult<T> = Result<T, DbError>;

/// What a database said instead of an answer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct DbError {
    pub(super) kind: ErrorKind,
    pub(super) message: String,
}

/// What can be done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorKind {
    /// Somebody was in the way (deadlock, lock wait timeout, the same row at the same time). The
    /// transaction is undone, and another try may succeed.
    Contended,
    /// The connection cannot be used any more.
    Lost,
    /// The question was given up at its time limit. The connection is as good as before.
    Late,
    /// No further try will succeed until somebody does something about it.
    Refused,
}

impl DbError {
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Refused, message: message.into() }
    }

    /// Whether the database will not do it on this connection, however often it is asked.
    pub fn is_refused(&self) -> bool {
        self.kind == ErrorKind::Refused
    }

    /// The error of a database whose tables were there before and are gone.
    pub fn gone() -> Self {
        Self::lost("there are no tables any more")
    }

    pub(super) fn lost(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Lost, message: message.into() }
    }
}

/// No further try begins after this. A try that waits for a lock takes up to 5 s, a deadlock no
/// time at all.
const TRYING: Duration = Duration::from_secs(10);

/// The longest pause between two tries.
const PAUSE_MILLISECONDS: u64 = 100;

/// Does all of `work` or, if it fails, nothing.
///
/// If somebody was in the way, the transaction is tried again after a pause of random length. With
/// a fixed length, the many that begin in the same minute would all meet again. If the answer to
/// the commit is lost, nobody knows whether it was done. That is [`ErrorKind::Lost`], and whoever
/// comes again has to look.
pub(super) fn in_transaction<T>(
    db: &mut dyn Database,
    mut work: impl FnMut(&mut dyn Database) -> DbResult<T>,
) -> DbResult<T> {
    let begun = Instant::now();
    loop {
        match try_once(db, &mut work) {
            Err(error) if error.kind == ErrorKind::Contended && begun.elapsed() < TRYING => pause(),
            ended => return ended,
        }
    }
}

fn pause() {
    let random = RandomState::new().hash_one(());
    thread::sleep(Duration::from_millis(random % PAUSE_MILLISECONDS));
}

fn try_once<T>(
    db: &mut dyn Database,
    work: &mut impl FnMut(&mut dyn Database) -> DbResult<T>,
) -> DbResult<T> {
    db.execute(db.dialect().begin(), &[])?;
    let worked = work(db).and_then(|done| db.execute("COMMIT", &[]).map(|_| done));
    worked.map_err(|error| match error.kind {
        ErrorKind::Lost => error,
        // If the rollback fails, the next transaction would begin inside this one and commit what
        // it did.
        _ if db.execute("ROLLBACK", &[]).is_err() => DbError { kind: ErrorKind::Lost, ..error },
        _ => error,
    })
}
