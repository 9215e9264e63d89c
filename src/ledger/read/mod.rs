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

use std::time::Duration;

pub use self::operations::{Operations, OperationsFilter};
pub use self::runs::{History, Point, RunFilter, Runs, Standing};
pub use self::series::Series;
pub use self::totals::{Sums, Totals};
use super::database::{Answer, Database, DbError};
use super::schema::{self, Found};
use super::{Dsn, mysql, sqlite};

/// How a run stands, in the words of its column.
pub(super) const RUNNING: &str = "running";
pub(super) const STATUSES: [&str; 4] = [RUNNING, "success", "partial_failure", "failed"];

/// An open database that is only read.
pub struct Reader {
    db: Box<dyn Database>,
    found: Found,
}

impl Reader {
    /// Opens a database. Nothing: nobody has recorded a run there yet.
    pub fn open(dsn: &Dsn, limit: Duration) -> Answer<Option<Self>> {
        let mut db: Box<dyn Database> = match dsn {
            Dsn::None => return Err(DbError::refused("there is none")),
            Dsn::Sqlite(path) if !path.try_exists().map_err(|error| DbError::lost(error.to_string()))? => {
                return Ok(None);
            }
            Dsn::Sqlite(path) => Box::new(sqlite::Sqlite::open_to_read(path, limit)?),
            Dsn::MySql(server) => Box::new(mysql::MySql::connect_to_read(server, limit)?),
        };
        let found = Found::look(&mut *db)?;
        found.refuse_what_is_not_ours()?;
        Ok((!found.is_empty()).then_some(Self { db, found }))
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
