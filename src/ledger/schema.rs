//! The tables: made if they are missing, and brought up to date if an older release made them.
//!
//! An open database comes in, and what its text columns can hold goes out. The columns of the first
//! release stay as they are for ever. Ours are added at the end and may be NULL or have a default,
//! so that the server adds them without rewriting the table. If everything is in place, nothing is
//! changed, and no right to change anything is needed.

use std::sync::Once;

use super::charset::Charset;
use super::database::{Database, DbError, DbResult, Dialect, ErrorKind, in_transaction};

pub(super) const ITERATIONS: &str = "sync_iterations";
pub(super) const OPERATIONS: &str = "sync_operations";

struct Table {
    name: &'static str,
    mysql: &'static str,
    sqlite: &'static str,
    /// Columns that the first release had.
    first: &'static [&'static str],
    /// Columns that we added: name, type for MySQL, type for SQLite.
    ours: &'static [(&'static str, &'static str, &'static str)],
}

const TABLES: [Table; 2] = [
    Table {
        name: ITERATIONS,
        mysql: "id BIGINT AUTO_INCREMENT PRIMARY KEY, sync_pair VARCHAR(255) NOT NULL, direction VARCHAR(64) NOT NULL, \
                src VARCHAR(512) NOT NULL, dest VARCHAR(512) NOT NULL, started_at DATETIME(3) NOT NULL, ended_at DATETIME(3), \
                status ENUM('running','success','partial_failure','failed') NOT NULL DEFAULT 'running', \
                dry_run TINYINT(1) NOT NULL DEFAULT 0, files_created INT DEFAULT 0, files_updated INT DEFAULT 0, \
                files_deleted INT DEFAULT 0, files_skipped INT DEFAULT 0, files_failed INT DEFAULT 0, \
                total_bytes_transferred BIGINT DEFAULT 0, error_message TEXT, \
                INDEX idx_pair (sync_pair), INDEX idx_started (started_at), INDEX idx_dry_run (dry_run)",
        sqlite: "id INTEGER PRIMARY KEY AUTOINCREMENT, sync_pair TEXT NOT NULL, direction TEXT NOT NULL, \
                 src TEXT NOT NULL, dest TEXT NOT NULL, started_at TEXT NOT NULL, ended_at TEXT, \
                 status TEXT NOT NULL DEFAULT 'running' CHECK (status IN ('running','success','partial_failure','failed')), \
                 dry_run INTEGER NOT NULL DEFAULT 0, files_created INTEGER DEFAULT 0, files_updated INTEGER DEFAULT 0, \
                 files_deleted INTEGER DEFAULT 0, files_skipped INTEGER DEFAULT 0, files_failed INTEGER DEFAULT 0, \
                 total_bytes_transferred INTEGER DEFAULT 0, error_message TEXT",
        first: &[
            "id",
            "sync_pair",
            "direction",
            "src",
            "dest",
            "started_at",
            "ended_at",
            "status",
            "dry_run",
            "files_created",
            "files_updated",
            "files_deleted",
            "files_skipped",
            "files_failed",
            "total_bytes_transferred",
            "error_message",
        ],
        ours: &[
            ("run_id", "CHAR(36)", "TEXT"),
            ("flushed_rows", "BIGINT NOT NULL DEFAULT 0", "INTEGER NOT NULL DEFAULT 0"),
            ("opslog_rows", "BIGINT", "INTEGER"),
            ("counts", "TEXT", "TEXT"),
            ("plan_digest", "VARCHAR(128)", "TEXT"),
            ("host", "VARCHAR(255)", "TEXT"),
            ("version", "VARCHAR(32)", "TEXT"),
        ],
    },
    Table {
        name: OPERATIONS,
        mysql: "id BIGINT AUTO_INCREMENT PRIMARY KEY, iteration_id BIGINT NOT NULL, dry_run TINYINT(1) NOT NULL DEFAULT 0, \
                operation ENUM('create','update','delete') NOT NULL, filepath VARCHAR(4096) NOT NULL, size_before BIGINT, \
                size_after BIGINT, md5_before VARCHAR(32), md5_after VARCHAR(32), started_at DATETIME(3) NOT NULL, \
                ended_at DATETIME(3), status ENUM('success','fail') NOT NULL, error_message VARCHAR(4096), \
                INDEX idx_iteration (iteration_id), \
                CONSTRAINT fk_iteration FOREIGN KEY (iteration_id) REFERENCES sync_iterations(id)",
        sqlite: "id INTEGER PRIMARY KEY AUTOINCREMENT, iteration_id INTEGER NOT NULL REFERENCES sync_iterations(id), \
                 dry_run INTEGER NOT NULL DEFAULT 0, \
                 operation TEXT NOT NULL CHECK (operation IN ('create','update','delete')), filepath TEXT NOT NULL, \
                 size_before INTEGER, size_after INTEGER, md5_before TEXT, md5_after TEXT, started_at TEXT NOT NULL, \
                 ended_at TEXT, status TEXT NOT NULL CHECK (status IN ('success','fail')), error_message TEXT",
        first: &[
            "id",
            "iteration_id",
            "dry_run",
            "operation",
            "filepath",
            "size_before",
            "size_after",
            "md5_before",
            "md5_after",
            "started_at",
            "ended_at",
            "status",
            "error_message",
        ],
        ours: &[
            ("kind", "VARCHAR(16)", "TEXT"),
            ("bytes", "BIGINT", "INTEGER"),
            ("cause", "VARCHAR(16)", "TEXT"),
            ("compares", "TINYINT(1)", "INTEGER"),
            ("filepath_raw", "LONGBLOB", "BLOB"),
        ],
    },
];

/// The index that keeps a run from having two rows.
const UNIQUE_RUN: &str = "uq_run_id";

/// The index by which the latest runs of a kind are found among a million (`read/`).
pub(super) const SERIES: &str = "idx_series";
const SERIES_ON: &str = "sync_pair, direction, dry_run, status, started_at";

/// How long a process that wants to change the tables waits for another one that does.
const PATIENCE_SECONDS: u8 = 4;

/// Makes sure of the tables. Returns what their text columns can hold, and whether the dashboard's
/// index is there.
pub(super) fn ensure(db: &mut dyn Database) -> DbResult<(Charset, bool)> {
    let mut found = SchemaState::look(db)?;
    found.refuse_what_is_not_ours()?;
    if !found.is_complete() {
        change(db, add_what_is_missing)?;
        found = SchemaState::look(db)?;
        found.refuse_what_is_not_ours()?;
    }
    Ok((found.charset, found.has_series))
}

/// The tables that were found in the database.
#[derive(Debug)]
pub(super) struct SchemaState {
    /// Names of tables and their columns.
    columns: Vec<(String, String)>,
    has_unique_run: bool,
    pub(super) has_series: bool,
    /// A table whose engine does not know transactions.
    unsafe_engine: Option<String>,
    pub(super) charset: Charset,
}

impl SchemaState {
    pub(super) fn look(db: &mut dyn Database) -> DbResult<Self> {
        let (columns, indexes) = match db.dialect() {
            Dialect::MySql => (
                "SELECT c.TABLE_NAME, c.COLUMN_NAME, c.CHARACTER_SET_NAME, t.ENGINE \
                 FROM information_schema.COLUMNS c JOIN information_schema.TABLES t \
                 ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME \
                 WHERE c.TABLE_SCHEMA = DATABASE() AND c.TABLE_NAME IN ('sync_iterations', 'sync_operations')",
                "SELECT SUM(COLUMN_NAME = 'run_id' AND NON_UNIQUE = 0), SUM(INDEX_NAME = 'idx_series') \
                 FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'sync_iterations'",
            ),
            Dialect::Sqlite => (
                "SELECT 'sync_iterations', name, NULL, 'InnoDB' FROM pragma_table_info('sync_iterations') \
                 UNION ALL SELECT 'sync_operations', name, NULL, 'InnoDB' FROM pragma_table_info('sync_operations')",
                "SELECT SUM(name = 'uq_run_id'), SUM(name = 'idx_series') FROM sqlite_master WHERE type = 'index'",
            ),
        };
        let mut found = Self {
            columns: Vec::new(),
            has_unique_run: false,
            has_series: false,
            unsafe_engine: None,
            charset: Charset::Utf8mb4,
        };
        db.query(columns, &[], &mut |row| {
            let mut texts = row.iter().map(|value| value.as_text().unwrap_or_default());
            let mut next = || texts.next().unwrap_or_default();
            let (table, column, charset, engine) = (next(), next(), next(), next());
            if !engine.eq_ignore_ascii_case("InnoDB") {
                found.unsafe_engine = Some(table.clone());
            }
            // The paths and messages are what counts: the ENUMs of the first release hold ASCII in
            // any set.
            found.charset = found.charset.min(Charset::named(&charset));
            found.columns.push((table, column));
        })?;
        if let Some(counts) = db.first(indexes, &[])? {
            (found.has_unique_run, found.has_series) =
                (counts[0].as_count() > 0, counts[1].as_count() > 0);
        }
        Ok(found)
    }

    pub(super) fn has(&self, table: &str, column: &str) -> bool {
        self.columns
            .iter()
            .any(|(in_table, name)| in_table == table && name.eq_ignore_ascii_case(column))
    }

    fn has_table(&self, table: &str) -> bool {
        self.columns.iter().any(|(name, _)| name == table)
    }

    /// Whether nobody has recorded a run here yet.
    pub(super) fn is_empty(&self) -> bool {
        TABLES.iter().any(|table| !self.has_table(table.name))
    }

    pub(super) fn is_complete(&self) -> bool {
        let has_all = |table: &Table| {
            self.has_table(table.name)
                && table.ours.iter().all(|(column, ..)| self.has(table.name, column))
        };
        self.has_unique_run && TABLES.iter().all(has_all)
    }

    /// Refuses tables of these names that somebody else made, and tables without transactions. They
    /// are left alone.
    pub(super) fn refuse_what_is_not_ours(&self) -> DbResult<()> {
        for table in TABLES.iter().filter(|table| self.has_table(table.name)) {
            if let Some(missing) = table.first.iter().find(|column| !self.has(table.name, column)) {
                return Err(DbError::refused(format!(
                    "the table {} lacks the column {missing}: it is none of ha-sync's. Use another database",
                    table.name
                )));
            }
        }
        self.unsafe_engine.as_ref().map_or(Ok(()), |table| {
            Err(DbError::refused(format!(
                "the table {table} knows no transactions: change it with ALTER TABLE {table} ENGINE=InnoDB"
            )))
        })
    }
}

/// Makes the index that only the dashboard needs. A user who may not make it, or cannot, records
/// runs all the same. An error only says that the connection cannot be used any more.
pub(super) fn quicken(db: &mut dyn Database) -> DbResult<()> {
    static TELL: Once = Once::new();
    let Err(error) = change(db, add_series) else { return Ok(()) };
    // Once, because a process may come here with every opslog that it flushes.
    TELL.call_once(|| {
        tracing::warn!("the index {SERIES} cannot be made, the dashboard is slower: {error}");
    });
    if error.kind == ErrorKind::Lost { Err(error) } else { Ok(()) }
}

fn add_series(db: &mut dyn Database) -> DbResult<()> {
    if SchemaState::look(db)?.has_series {
        return Ok(());
    }
    db.execute(&format!("CREATE INDEX {SERIES} ON {ITERATIONS} ({SERIES_ON})"), &[]).map(drop)
}

/// Changes the tables, one process at a time. The second one finds everything done.
fn change(
    db: &mut dyn Database,
    mut add_what_is_missing: impl FnMut(&mut dyn Database) -> DbResult<()>,
) -> DbResult<()> {
    match db.dialect() {
        Dialect::Sqlite => in_transaction(db, add_what_is_missing),
        Dialect::MySql => {
            let name = "LEFT(CONCAT('ha-sync.', DATABASE()), 64)";
            let locked = db.first(&format!("SELECT GET_LOCK({name}, {PATIENCE_SECONDS})"), &[])?;
            if locked.and_then(|row| row[0].as_int()) != Some(1) {
                let message = "another process is changing the tables";
                return Err(DbError { kind: ErrorKind::Contended, message: message.into() });
            }
            let changed = add_what_is_missing(db);
            let released = db.first(&format!("SELECT RELEASE_LOCK({name})"), &[]);
            changed.and(released.map(drop))
        }
    }
}

fn add_what_is_missing(db: &mut dyn Database) -> DbResult<()> {
    let dialect = db.dialect();
    for table in &TABLES {
        let (columns, tail) = match dialect {
            Dialect::MySql => {
                (table.mysql, " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_bin")
            }
            Dialect::Sqlite => (table.sqlite, ""),
        };
        db.execute(&format!("CREATE TABLE IF NOT EXISTS {} ({columns}){tail}", table.name), &[])?;
        let found = SchemaState::look(db)?;
        for (column, mysql, sqlite) in
            table.ours.iter().filter(|(column, ..)| !found.has(table.name, column))
        {
            let of = if dialect == Dialect::MySql { mysql } else { sqlite };
            db.execute(&format!("ALTER TABLE {} ADD COLUMN {column} {of}", table.name), &[])?;
        }
    }
    if dialect == Dialect::Sqlite {
        for (index, on) in [
            ("idx_pair", "sync_iterations (sync_pair)"),
            ("idx_started", "sync_iterations (started_at)"),
            ("idx_dry_run", "sync_iterations (dry_run)"),
            ("idx_iteration", "sync_operations (iteration_id)"),
        ] {
            db.execute(&format!("CREATE INDEX IF NOT EXISTS {index} ON {on}"), &[])?;
        }
    }
    if !SchemaState::look(db)?.has_unique_run {
        db.execute(&format!("CREATE UNIQUE INDEX {UNIQUE_RUN} ON {ITERATIONS} (run_id)"), &[])?;
    }
    Ok(())
}

/// Every column of an iteration, in the order of the table.
pub(super) fn iteration_columns() -> Vec<&'static str> {
    columns(&TABLES[0])
}

/// Every column of an operation except its own id, which the database gives, in the order of the
/// table.
pub(super) fn operation_columns() -> Vec<&'static str> {
    columns(&TABLES[1]).split_off(1)
}

fn columns(table: &Table) -> Vec<&'static str> {
    table.first.iter().copied().chain(table.ours.iter().map(|(name, ..)| *name)).collect()
}
