//! A database that a test writes to through the binary and looks into by itself: SQLite or MariaDB.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use ha_sync::opslog::{Line, OpslogReader};
use mysql::prelude::Queryable as _;
use serde_json::{Value, json};

use super::mariadb::Server;
use crate::fixture::*;

/// A pair of trees whose runs are recorded in a database.
pub struct Base {
    pub pair: Fixture,
    home: Home,
}

enum Home {
    Sqlite(PathBuf),
    MariaDb { server: &'static Server, name: String },
}

/// A row, as text; `NULL` for nothing.
pub type Row = Vec<String>;

impl Base {
    pub fn sqlite() -> Self {
        let mut pair = Fixture::new();
        let file = pair.scratch.path().join("rows.sqlite");
        pair.dsn = format!("sqlite:{}", file.display());
        Self { pair, home: Home::Sqlite(file) }
    }

    pub fn mariadb() -> Self {
        let mut pair = Fixture::new();
        let (server, name) = (Server::shared(), new_name());
        pair.dsn = server.database(&name);
        Self { pair, home: Home::MariaDb { server, name } }
    }

    /// What the database answers.
    pub fn rows(&self, sql: &str) -> Vec<Row> {
        match &self.home {
            Home::Sqlite(file) => {
                let connection = rusqlite::Connection::open(file).unwrap();
                connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
                sqlite_rows(&connection, sql)
            }
            Home::MariaDb { server, name } => server_rows(server, name, sql),
        }
    }

    /// The single value of a query.
    #[track_caller]
    pub fn one(&self, sql: &str) -> String {
        let rows = self.rows(sql);
        assert_eq!((rows.len(), rows.first().map(Vec::len)), (1, Some(1)), "{sql}: {rows:?}");
        rows[0][0].clone()
    }

    /// Runs statements that give no rows.
    pub fn execute(&self, statements: &[&str]) {
        statements.iter().for_each(|sql| drop(self.rows(sql)));
    }

    /// The same in one transaction, of statements that are many or long.
    pub fn execute_at_once(&self, statements: &[String]) {
        match &self.home {
            Home::Sqlite(file) => {
                let mut connection = rusqlite::Connection::open(file).unwrap();
                let transaction = connection.transaction().unwrap();
                statements.iter().for_each(|sql| transaction.execute_batch(sql).unwrap());
                transaction.commit().unwrap();
            }
            Home::MariaDb { .. } => {
                let mut connection = self.connection();
                connection.query_drop("BEGIN").unwrap();
                statements.iter().for_each(|sql| connection.query_drop(sql).unwrap());
                connection.query_drop("COMMIT").unwrap();
            }
        }
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self.home, Home::Sqlite(_))
    }

    /// A connection to the server's database.
    pub fn connection(&self) -> mysql::Conn {
        let Home::MariaDb { server, name } = &self.home else { panic!("SQLite is no server") };
        let mut connection = server.root();
        connection.query_drop(format!("USE {name}")).unwrap();
        connection
    }

    /// Keeps everybody else from writing until the guard goes.
    pub fn in_the_way(&self) -> Box<dyn std::any::Any> {
        match &self.home {
            Home::Sqlite(file) => {
                let connection = rusqlite::Connection::open(file).unwrap();
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                Box::new(connection)
            }
            Home::MariaDb { .. } => {
                let mut connection = self.connection();
                connection.query_drop("BEGIN").unwrap();
                connection.query_drop("SELECT * FROM sync_iterations FOR UPDATE").unwrap();
                Box::new(connection)
            }
        }
    }

    /// Has the tables made.
    pub fn make_tables(&self) {
        assert_eq!(self.ask(&["history"]).stdout, "no runs yet\n");
    }

    /// `ha-sync flush`.
    pub fn flush(&self) -> Ran {
        run(&mut self.flush_command())
    }

    pub fn flush_command(&self) -> std::process::Command {
        let mut command = binary();
        command
            .arg("flush")
            .arg("--log-dir")
            .arg(&self.pair.logs)
            .args(["--db-dsn", &self.pair.dsn]);
        command
    }

    /// Another subcommand.
    pub fn ask(&self, words: &[&str]) -> Ran {
        let mut command = binary();
        command
            .args(words)
            .arg("--log-dir")
            .arg(&self.pair.logs)
            .args(["--db-dsn", &self.pair.dsn]);
        run(&mut command)
    }

    /// For every opslog there is one finished iteration with as many rows as lines, each once; and
    /// all opslogs are gone.
    #[track_caller]
    pub fn assert_all_in(&self, opslogs: &[Opslog]) {
        assert_eq!(self.pair.log_files(".jsonl"), Vec::<PathBuf>::new());
        for opslog in opslogs {
            let run_id = &opslog.run_id;
            let query = format!(
                "SELECT COUNT(*), COUNT(DISTINCT o.filepath), MIN(i.flushed_rows), MIN(i.opslog_rows), MIN(i.status), \
                 COUNT(DISTINCT i.id) FROM sync_iterations i JOIN sync_operations o ON o.iteration_id = i.id \
                 WHERE i.run_id = '{run_id}'"
            );
            let (lines, one) = (opslog.operations.to_string(), "1".to_owned());
            let expected =
                vec![lines.clone(), lines.clone(), lines.clone(), lines, "success".into(), one];
            assert_eq!(self.rows(&query), [expected], "{run_id}");
        }
    }
}

pub fn new_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("db{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn sqlite_rows(connection: &rusqlite::Connection, sql: &str) -> Vec<Row> {
    use rusqlite::types::ValueRef;
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let text = |column| match row.get_ref(column).unwrap() {
            ValueRef::Null => "NULL".to_owned(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => number.to_string(),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                String::from_utf8_lossy(bytes).into_owned()
            }
        };
        found.push((0..columns).map(text).collect());
    }
    found
}

/// What a server answers to a question about one database.
pub fn server_rows(server: &Server, name: &str, sql: &str) -> Vec<Row> {
    let mut connection = server.root();
    connection.query_drop(format!("USE {name}")).unwrap();
    let rows: Vec<mysql::Row> = connection.query(sql).unwrap();
    let text = |value| match value {
        mysql::Value::NULL => "NULL".to_owned(),
        mysql::Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        other => other.as_sql(false),
    };
    rows.into_iter().map(|row| row.unwrap().into_iter().map(text).collect()).collect()
}

/// A sealed opslog that was not written by a run.
#[derive(Clone, Debug)]
pub struct Opslog {
    pub path: PathBuf,
    pub run_id: String,
    pub operations: usize,
    lines: Vec<Value>,
}

impl Opslog {
    /// One with so many creates, of a pair and of its own number.
    pub fn new(logs: &Path, pair: &str, number: u32, operations: usize) -> Self {
        let run_id = format!("01a20aac-2a4e-709d-b4e1-{number:012x}");
        let path = logs.join(format!("opslog-{pair}-fwd-20261123T230944Z-{number:08x}.jsonl"));
        let header = json!({
            "type": "header", "format": 1, "run_id": run_id, "pair": pair, "direction": "fwd", "src": "/mnt/a",
            "dest": "/mnt/b", "started_at": "2026-11-23T23:09:44.910Z", "dry_run": false, "version": "0.1.0",
            "host": "node-1", "pid": 5679, "options": {},
        });
        let mut lines = vec![header];
        lines.extend((0..operations).map(|index| operation(&format!("dir-{number}/file {index}"))));
        lines.push(json!({
            "type": "footer", "ended_at": "2026-11-23T23:09:45.000Z", "status": "success", "operations": operations,
            "counts": { "created": operations, "copied_bytes": 7 * operations }, "retired_unflushed": 0,
        }));
        Self { path, run_id, operations, lines }
    }

    /// Changes lines: 0 is the header.
    pub fn with(mut self, change: impl FnOnce(&mut Vec<Value>)) -> Self {
        change(&mut self.lines);
        self
    }

    /// The lines as text.
    pub fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Puts it where it waits.
    pub fn lay_down(self) -> Self {
        fs::create_dir_all(self.path.parent().unwrap()).unwrap();
        fs::write(&self.path, self.text()).unwrap();
        self
    }
}

/// The line of a create.
pub fn operation(path: &str) -> Value {
    json!({
        "type": "operation", "operation": "create", "filepath": path, "kind": "file", "size_after": 7,
        "md5_after": "9a0364b9e99bb480dd25e1f0284c8555", "bytes": 7, "started_at": "2026-11-23T23:09:44.916Z",
        "ended_at": "2026-11-23T23:09:44.917Z", "status": "success",
    })
}

/// Lines of operations in an opslog that a run wrote.
pub fn operations_in(path: &Path) -> usize {
    let mut lines = 0;
    let (_, reader) = OpslogReader::open(path).unwrap();
    reader
        .read(|record| {
            assert!(serde_json::to_string(&Line::Operation(record)).is_ok());
            lines += 1;
            Ok(())
        })
        .unwrap();
    lines
}

/// Writes each test twice: for SQLite and for MariaDB.
macro_rules! on_both {
    ($($(#[$doc:meta])* fn $name:ident($base:ident) $body:block)*) => {
        $($(#[$doc])* fn $name($base: &mut Base) $body)*
        mod sqlite {
            use super::Base;
            $(#[test] fn $name() { super::$name(&mut Base::sqlite()); })*
        }
        mod mariadb {
            use super::Base;
            $(#[test] fn $name() { super::$name(&mut Base::mariadb()); })*
        }
    };
}
pub(crate) use on_both;
