//! Asking the ledger without a way to change it: what the dashboard knows of it.
//!
//! A question with its filters comes in, rows by the names of their columns go out. The session is
//! read-only, tables are neither made nor brought up to date, and each question has a time limit. A
//! table with a million runs, or an iteration with ten million operations, costs no more than a
//! small one. Every query goes along an index and stops after a number of rows (`runs.rs`,
//! `operations.rs`), and sums over everything are kept and only added to (`totals.rs`).
//!
//! Each file here is the home of its queries: `series.rs` for the pairs that there are, `runs.rs`
//! for iterations, `operations.rs` for operations, `totals.rs` for sums.

mod operations;
mod runs;
mod series;
mod totals;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

pub use self::operations::{Operations, OperationsFilter};
pub use self::runs::{History, Point, RunFilter, Runs, Standing};
pub use self::series::{MOST_SERIES, Series};
pub use self::totals::{Sums, Totals};
use super::database::{Database, DbError, DbResult};
use super::schema::{self, SchemaState};
use super::{Dsn, mysql, sqlite};

/// The `status` of a run that is not over.
pub(super) const RUNNING: &str = "running";
/// Every `status` of a run.
pub const STATUSES: [&str; 4] = [RUNNING, ENDINGS[0], ENDINGS[1], ENDINGS[2]];
/// The `status` of a run that is over.
pub const ENDINGS: [&str; 3] = ["success", "partial_failure", "failed"];

/// How long a connection is used. What was found when it was opened (columns, an index) may change.
const LIFE: Duration = Duration::from_secs(60);

/// The identity of a file, whatever its name: device and inode.
type FileId = (u64, u64);

/// An open database that is only read.
pub struct Reader {
    db: Box<dyn Database>,
    found: SchemaState,
    /// `None` for a server.
    file: Option<FileId>,
    opened: Instant,
}

impl Reader {
    /// Opens a database whose questions are given up after `limit`. `None` if nobody has recorded a
    /// run there yet. Fails if the database cannot be reached, or its tables are not those of
    /// ha-sync.
    pub fn open(dsn: &Dsn, limit: Duration) -> DbResult<Option<Self>> {
        // Looked up before the file is opened: if it is replaced in between, the next look tells.
        let file = file_id(dsn)?;
        let mut db: Box<dyn Database> = match dsn {
            Dsn::None => return Err(DbError::refused("there is none")),
            Dsn::Sqlite(_) if file.is_none() => return Ok(None),
            Dsn::Sqlite(path) => Box::new(sqlite::Sqlite::open_to_read(path, limit)?),
            Dsn::MySql(server) => Box::new(mysql::MySql::connect_to_read(server, limit)?),
        };
        let found = SchemaState::look(&mut *db)?;
        found.refuse_what_is_not_ours()?;
        Ok((!found.is_empty()).then_some(Self { db, found, file, opened: Instant::now() }))
    }

    /// Whether the next question may be asked here: the connection is young, and its file is the
    /// one that the path leads to. (An open file keeps its inode, so no other file can have the
    /// same one.)
    pub fn is_current(&self, dsn: &Dsn) -> bool {
        self.opened.elapsed() < LIFE && file_id(dsn).is_ok_and(|file| file == self.file)
    }

    /// The columns, for a `SELECT`. A column that the table of an older release lacks is NULL.
    fn selected(&self, table: &str, columns: &[&str]) -> String {
        let column = |name: &&str| {
            if self.found.has(table, name) { (*name).to_owned() } else { format!("NULL AS {name}") }
        };
        columns.iter().map(column).collect::<Vec<_>>().join(", ")
    }

    /// The table of runs, to be read along `idx_series` if the table has that index.
    fn runs_by_series(&self) -> String {
        let hint = if self.found.has_series {
            self.db.dialect().by_index(schema::SERIES)
        } else {
            String::new()
        };
        format!("{}{hint}", schema::ITERATIONS)
    }

    fn selected_runs(&self) -> String {
        self.selected(schema::ITERATIONS, &schema::iteration_columns())
    }
}

/// The file that the path leads to now. `None` for a server, and for a file that is not there yet
/// though its directory is.
fn file_id(dsn: &Dsn) -> DbResult<Option<FileId>> {
    let Dsn::Sqlite(path) = dsn else { return Ok(None) };
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => has_folder(path).map(|()| None),
        Err(error) => Err(DbError::lost(error.to_string())),
    }
}

/// Fails if the directory of the file is missing. Then a mount is missing or the path is wrong, and
/// there is nothing to begin with.
fn has_folder(path: &Path) -> DbResult<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(DbError::lost("its folder is not a directory")),
        Err(error) => Err(DbError::lost(format!("its folder: {error}"))),
    }
}
