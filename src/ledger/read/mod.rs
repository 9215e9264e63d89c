//! Asking the ledger without a way to change it: what the dashboard knows of it.
//!
//! What goes in is a question with its filters, what comes out are rows by the names of their columns. The
//! session is read-only, tables are neither made nor brought up to date, and each question has a limit. A
//! table with a million runs or an iteration with ten million operations costs no more than a small one:
//! every query goes along an index and stops after a number of rows (`runs.rs`, `operations.rs`), and sums
//! over everything are kept and only added to (`totals.rs`).
//!
//! Each file here is the home of its queries: `series.rs` which pairs there are, `runs.rs` iterations,
//! `operations.rs` operations, `totals.rs` sums.

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
use super::database::{Answer, Database, DbError};
use super::schema::{self, Found};
use super::{Dsn, mysql, sqlite};

/// A run that is not over, in the word of its column.
pub(super) const RUNNING: &str = "running";
/// How a run stands, in the words of its column.
pub const STATUSES: [&str; 4] = [RUNNING, ENDINGS[0], ENDINGS[1], ENDINGS[2]];
/// How one that is over stands.
pub const ENDINGS: [&str; 3] = ["success", "partial_failure", "failed"];

/// How long a connection is used: what was found at its beginning (columns, an index) may change.
const LIFE: Duration = Duration::from_secs(60);

/// Which file it is, whatever its name: device and inode.
type FileId = (u64, u64);

/// An open database that is only read.
pub struct Reader {
    db: Box<dyn Database>,
    found: Found,
    /// Nothing: a server.
    file: Option<FileId>,
    opened: Instant,
}

impl Reader {
    /// Opens a database. Nothing: nobody has recorded a run there yet.
    pub fn open(dsn: &Dsn, limit: Duration) -> Answer<Option<Self>> {
        // Before it is opened: where it is replaced in between, the next look tells.
        let file = file_id(dsn)?;
        let mut db: Box<dyn Database> = match dsn {
            Dsn::None => return Err(DbError::refused("there is none")),
            Dsn::Sqlite(_) if file.is_none() => return Ok(None),
            Dsn::Sqlite(path) => Box::new(sqlite::Sqlite::open_to_read(path, limit)?),
            Dsn::MySql(server) => Box::new(mysql::MySql::connect_to_read(server, limit)?),
        };
        let found = Found::look(&mut *db)?;
        found.refuse_what_is_not_ours()?;
        Ok((!found.is_empty()).then_some(Self { db, found, file, opened: Instant::now() }))
    }

    /// Whether the next question may be put here: it is young, and its file is the one that the name leads to. (One
    /// that is open keeps its inode, so that no other file has the same.)
    pub fn is_current(&self, dsn: &Dsn) -> bool {
        self.opened.elapsed() < LIFE && file_id(dsn).is_ok_and(|file| file == self.file)
    }

    /// The columns as they are asked for: one that an older release's table lacks is NULL.
    fn selected(&self, table: &str, columns: &[&str]) -> String {
        let column = |name: &&str| {
            if self.found.has(table, name) { (*name).to_owned() } else { format!("NULL AS {name}") }
        };
        columns.iter().map(column).collect::<Vec<_>>().join(", ")
    }

    /// The table of runs, to be read along `idx_series`, where an older release's has that.
    fn runs_by_series(&self) -> String {
        let hint =
            if self.found.has_series { self.db.dialect().by_index(schema::SERIES) } else { String::new() };
        format!("{}{hint}", schema::ITERATIONS)
    }

    fn selected_runs(&self) -> String {
        self.selected(schema::ITERATIONS, &schema::iteration_columns())
    }
}

/// The file that the name leads to now. Nothing: none is there yet, though its folder is; or it is a server.
fn file_id(dsn: &Dsn) -> Answer<Option<FileId>> {
    let Dsn::Sqlite(path) = dsn else { return Ok(None) };
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => has_folder(path).map(|()| None),
        Err(error) => Err(DbError::lost(error.to_string())),
    }
}

/// A folder that is missing is a mount that is missing, or a name that is wrong: nothing to begin with.
fn has_folder(path: &Path) -> Answer<()> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(DbError::lost("its folder is none")),
        Err(error) => Err(DbError::lost(format!("its folder: {error}"))),
    }
}
