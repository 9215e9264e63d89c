//! SQLite: the home of the crate `rusqlite`.
//!
//! The file may lie on a network file system. There the write-ahead log of SQLite loses data, since
//! it needs memory that all processes share. A rollback journal is right everywhere, and with few
//! and large transactions it is no slower. A commit returns when it is on disk.

use std::ffi::c_int;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};
use rusqlite::{Connection, Error, ErrorCode, OpenFlags, ToSql, params_from_iter};
use rustix::fs::{Access, access};

use super::database::{Database, DbError, DbResult, Dialect, ErrorKind, Row};
use super::value::Value;

/// How long a transaction waits for another one.
const PATIENCE: Duration = Duration::from_secs(5);

/// For the owner and the group only, as opslogs are: the file names every path of the trees.
const FILE_MODE: u32 = 0o640;

/// How long a question waits for a transaction that is being written to the file.
const READER_PATIENCE: Duration = Duration::from_secs(2);

/// Steps of SQLite's machine between two looks at the clock: some hundred microseconds.
const STEPS: c_int = 10_000;

/// Rows of one `INSERT`, at most. A statement itself costs as much as a row that it inserts, most
/// of it for the next id.
const ROWS_A_STATEMENT: usize = 64;

/// An open file.
pub(super) struct Sqlite {
    connection: Connection,
    /// When the current question was asked. `None` if questions have no time limit.
    asked: Option<Arc<Mutex<Instant>>>,
}

impl Sqlite {
    /// Opens a file, and makes it if it is missing.
    ///
    /// Only SQLite itself opens a file that is there. A process that closes any descriptor of a
    /// file gives up all locks that it has on it, also those of another connection in the middle of
    /// a transaction.
    pub(super) fn open(path: &Path) -> DbResult<Self> {
        let cannot = |error: io::Error| DbError::lost(format!("cannot open it: {error}"));
        make(path).map_err(cannot)?;
        access(path, Access::READ_OK | Access::WRITE_OK).map_err(|error| cannot(error.into()))?;
        // Without the flag for URIs: a name means a file and nothing else.
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(PATIENCE)?;
        let mode: String =
            connection.query_row("PRAGMA journal_mode = TRUNCATE", [], |row| row.get(0))?;
        if mode != "truncate" {
            let message = format!(
                "another process keeps it in the journal mode {mode}, which loses data on network file systems"
            );
            return Err(DbError::refused(message));
        }
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
        Ok(Self { connection, asked: None })
    }

    /// Opens a file that is there, to change nothing. Each question is given up after `limit`.
    pub(super) fn open_to_read(path: &Path, limit: Duration) -> DbResult<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(READER_PATIENCE)?;
        connection.execute_batch("PRAGMA query_only = ON;")?;
        let asked = Arc::new(Mutex::new(Instant::now()));
        let since = Arc::clone(&asked);
        let is_late = move || since.lock().is_ok_and(|since| since.elapsed() > limit);
        connection.progress_handler(STEPS, Some(is_late))?;
        Ok(Self { connection, asked: Some(asked) })
    }
}

/// Makes the file if it is missing. Then nobody else has it open.
fn make(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

impl Database for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn execute(&mut self, sql: &str, values: &[Value]) -> DbResult<u64> {
        let changed = self.connection.prepare_cached(sql)?.execute(params_from_iter(values))?;
        Ok(changed as u64)
    }

    fn query(&mut self, sql: &str, values: &[Value], each: &mut dyn FnMut(Row)) -> DbResult<()> {
        if let Some(mut asked) = self.asked.as_ref().and_then(|asked| asked.lock().ok()) {
            *asked = Instant::now();
        }
        let mut statement = self.connection.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let values: Result<Row, Error> =
                (0..columns).map(|column| row.get_ref(column).map(from_sqlite)).collect();
            each(values?);
        }
        Ok(())
    }

    fn insert(&mut self, table: &str, columns: &[&str], rows: &[Row]) -> DbResult<()> {
        let marks = format!("({})", vec!["?"; columns.len()].join(","));
        for rows in rows.chunks(ROWS_A_STATEMENT) {
            let all = vec![marks.as_str(); rows.len()].join(",");
            let sql = format!("INSERT INTO {table} ({}) VALUES {all}", columns.join(","));
            self.connection
                .prepare_cached(&sql)?
                .execute(params_from_iter(rows.iter().flatten()))?;
        }
        Ok(())
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(SqlValue::Null),
            Self::Int(number) => ToSqlOutput::Owned(SqlValue::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

fn from_sqlite(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) => Value::Text(number.to_string()),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
    }
}

impl From<Error> for DbError {
    fn from(error: Error) -> Self {
        let kind = match error.sqlite_error_code() {
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::ConstraintViolation,
            ) => ErrorKind::Contended,
            Some(ErrorCode::OperationInterrupted) => ErrorKind::Late,
            _ => ErrorKind::Refused,
        };
        Self { kind, message: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_can_change_nothing_and_gets_no_longer_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        Sqlite::open(&path).unwrap().execute("CREATE TABLE t (x)", &[]).unwrap();
        let mut reader = Sqlite::open_to_read(&path, Duration::from_millis(50)).unwrap();
        assert!(reader.execute("INSERT INTO t VALUES (1)", &[]).is_err());
        let endless =
            "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT MAX(x) FROM n";
        let stopped = reader.query(endless, &[], &mut drop).unwrap_err();
        assert_eq!((stopped.kind, stopped.message.as_str()), (ErrorKind::Late, "interrupted"));
        // The next question has its own time.
        assert_eq!(reader.first("SELECT COUNT(*) FROM t", &[]).unwrap(), Some(vec![Value::Int(0)]));
    }
}
