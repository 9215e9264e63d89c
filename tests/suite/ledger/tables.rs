//! Tables that an older release made, or somebody else.

use mysql::prelude::Queryable as _;

use super::base::*;
use super::mariadb::Server;
use crate::fixture::*;

/// What the first release ran, word for word.
pub const FIRST_RELEASE: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS sync_iterations (
  id BIGINT AUTO_INCREMENT PRIMARY KEY, sync_pair VARCHAR(255) NOT NULL, direction VARCHAR(64) NOT NULL,
  src VARCHAR(512) NOT NULL, dest VARCHAR(512) NOT NULL, started_at DATETIME(3) NOT NULL, ended_at DATETIME(3),
  status ENUM('running','success','partial_failure','failed') NOT NULL DEFAULT 'running',
  dry_run TINYINT(1) NOT NULL DEFAULT 0, files_created INT DEFAULT 0, files_updated INT DEFAULT 0, files_deleted INT DEFAULT 0,
  files_skipped INT DEFAULT 0, files_failed INT DEFAULT 0, total_bytes_transferred BIGINT DEFAULT 0, error_message TEXT,
  INDEX idx_pair (sync_pair), INDEX idx_started (started_at), INDEX idx_dry_run (dry_run))",
    "CREATE TABLE IF NOT EXISTS sync_operations (
  id BIGINT AUTO_INCREMENT PRIMARY KEY, iteration_id BIGINT NOT NULL, dry_run TINYINT(1) NOT NULL DEFAULT 0,
  operation ENUM('create','update','delete') NOT NULL, filepath VARCHAR(4096) NOT NULL, size_before BIGINT, size_after BIGINT,
  md5_before VARCHAR(32), md5_after VARCHAR(32), started_at DATETIME(3) NOT NULL, ended_at DATETIME(3),
  status ENUM('success','fail') NOT NULL, error_message VARCHAR(4096), INDEX idx_iteration (iteration_id),
  CONSTRAINT fk_iteration FOREIGN KEY (iteration_id) REFERENCES sync_iterations(id))",
];

/// The same for SQLite.
pub const FIRST_RELEASE_SQLITE: [&str; 2] = [
    "CREATE TABLE sync_iterations (id INTEGER PRIMARY KEY AUTOINCREMENT, sync_pair TEXT NOT NULL, direction TEXT NOT NULL,
  src TEXT NOT NULL, dest TEXT NOT NULL, started_at TEXT NOT NULL, ended_at TEXT, status TEXT NOT NULL DEFAULT 'running',
  dry_run INTEGER NOT NULL DEFAULT 0, files_created INTEGER DEFAULT 0, files_updated INTEGER DEFAULT 0,
  files_deleted INTEGER DEFAULT 0, files_skipped INTEGER DEFAULT 0, files_failed INTEGER DEFAULT 0,
  total_bytes_transferred INTEGER DEFAULT 0, error_message TEXT)",
    "CREATE TABLE sync_operations (id INTEGER PRIMARY KEY AUTOINCREMENT, iteration_id INTEGER NOT NULL, dry_run INTEGER NOT NULL
  DEFAULT 0, operation TEXT NOT NULL, filepath TEXT NOT NULL, size_before INTEGER, size_after INTEGER, md5_before TEXT,
  md5_after TEXT, started_at TEXT NOT NULL, ended_at TEXT, status TEXT NOT NULL, error_message TEXT)",
];

pub const ROWS: [&str; 2] = [
    "INSERT INTO sync_iterations (id, sync_pair, direction, src, dest, started_at, ended_at, status, dry_run, files_created) VALUES \
     (7, 'media', 'fwd', '/a', '/b', '2026-01-02 03:04:05.678', '2026-01-02 03:04:06.000', 'success', 1, 2), \
     (8, 'media', 'fwd', '/a', '/b', '2026-01-03 03:04:05.678', NULL, 'running', 0, 0)",
    "INSERT INTO sync_operations (iteration_id, dry_run, operation, filepath, size_after, started_at, status) VALUES \
     (7, 1, 'create', 'caf\u{e9}', 1, '2026-01-02 03:04:05.700', 'success'), \
     (7, 1, 'create', 'b', 1, '2026-01-02 03:04:05.700', 'success')",
];

on_both! {
    fn tables_of_the_first_release_get_our_columns_and_lose_nothing(base) {
        base.execute(if base.is_sqlite() { &FIRST_RELEASE_SQLITE } else { &FIRST_RELEASE });
        base.execute(&ROWS);
        let iterations = "SELECT id, sync_pair, started_at, ended_at, status, dry_run, files_created, error_message FROM sync_iterations WHERE id < 9";
        let operations = "SELECT * FROM sync_operations WHERE iteration_id = 7";
        let before = (base.rows(iterations), base.rows(operations));
        let opslog = Opslog::new(&base.pair.logs, "media", 1, 5).lay_down();
        let ran = base.flush();
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        base.assert_all_in(&[opslog]);
        assert_eq!(base.rows(iterations), before.0);
        for (now, before) in base.rows(operations).iter().zip(&before.1) {
            assert_eq!(&now[..before.len()], before);
        }
        let history = base.ask(&["history", "--format", "json"]).json();
        assert_eq!(history.iter().map(|run| run["id"].as_i64().unwrap()).collect::<Vec<_>>(), [9, 8, 7]);
        assert_eq!(history[2]["started_at"], "2026-01-02T03:04:05.678Z");
        assert_eq!((&history[2]["run_id"], &history[2]["flushed_rows"]), (&serde_json::Value::Null, &0.into()));
    }

    fn tables_of_somebody_else_are_left_alone(base) {
        base.execute(&["CREATE TABLE sync_operations (id INTEGER, what TEXT)"]);
        let opslog = Opslog::new(&base.pair.logs, "media", 1, 5).lay_down();
        let ran = base.flush();
        assert_eq!(ran.code, Some(5));
        assert!(ran.stderr.contains("the table sync_operations lacks the column iteration_id"), "{}", ran.stderr);
        assert_eq!(base.pair.sync(&[]).code, Some(0), "a run does not care");
        base.execute(&["DROP TABLE sync_operations"]);
        assert_eq!(base.flush().code, Some(0));
        base.assert_all_in(&[opslog]);
    }

    fn two_that_come_first_make_the_tables_once(base) {
        let opslogs: Vec<Opslog> = (1..5).map(|number| Opslog::new(&base.pair.logs, "test", number, 3).lay_down()).collect();
        let children: Vec<_> = (0..4).map(|_| base.flush_command().stdout(std::process::Stdio::null()).spawn().unwrap()).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        base.assert_all_in(&opslogs);
    }
}

#[test]
fn a_server_that_thinks_in_latin1_loses_nothing() {
    let server = Server::start(&[
        "--character-set-server=latin1",
        "--default-time-zone=+05:00",
        "--sql-mode=",
    ]);
    let mut pair = Fixture::new();
    pair.dsn = server.database("old");
    let mut root = server.root();
    root.query_drop("USE old").unwrap();
    FIRST_RELEASE.iter().chain(&ROWS).for_each(|sql| root.query_drop(sql).unwrap());
    let paths = ["caf\u{e9} €", "emoji 😀", "漢字"];
    let mut failed = operation("failed");
    (failed["status"], failed["error_message"]) = ("fail".into(), "cannot open 漢字".into());
    let lines = paths.iter().map(|path| operation(path)).chain([failed]).collect::<Vec<_>>();
    Opslog::new(&pair.logs, "media", 1, 4).with(|all| drop(all.splice(1..5, lines))).lay_down();
    let flush =
        |dsn: &str| run(binary().args(["flush", "--db-dsn", dsn, "--log-dir"]).arg(&pair.logs));
    let ran = flush(&pair.dsn);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    let rows = server_rows(
        &server,
        "old",
        "SELECT filepath, filepath_raw, error_message FROM sync_operations WHERE iteration_id > 8 ORDER BY id",
    );
    let expected = [
        ["caf\u{e9} €", "NULL", "NULL"],
        ["emoji \\u{1f600}", "emoji 😀", "NULL"],
        ["\\u{6f22}\\u{5b57}", "漢字", "NULL"],
        ["failed", "NULL", "cannot open \\u{6f22}\\u{5b57}"],
    ];
    assert_eq!(rows, expected);
    let time = server_rows(&server, "old", "SELECT started_at FROM sync_iterations WHERE id = 9");
    assert_eq!(time[0][0], "2026-11-23 23:09:44.910", "UTC, whatever the server's zone");

    // New tables are in utf8mb4 all the same.
    let dsn = server.database("new");
    Opslog::new(&pair.logs, "media", 1, 1).with(|all| all[1] = operation("emoji 😀")).lay_down();
    assert_eq!(flush(&dsn).code, Some(0));
    assert_eq!(
        server_rows(&server, "new", "SELECT filepath, filepath_raw FROM sync_operations"),
        [["emoji 😀", "NULL"]]
    );
}

#[test]
fn a_table_without_transactions_is_refused() {
    let base = Base::mariadb();
    base.execute(&[&format!("{} ENGINE=MyISAM", FIRST_RELEASE[0])]);
    Opslog::new(&base.pair.logs, "media", 1, 5).lay_down();
    let ran = base.flush();
    assert_eq!(ran.code, Some(5));
    assert!(
        ran.stderr.contains("the table sync_iterations knows no transactions"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_user_who_may_not_make_the_dashboard_s_index_records_runs_all_the_same() {
    let mut base = Base::mariadb();
    base.make_tables();
    let index = "SELECT COUNT(*) > 0 FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND INDEX_NAME = 'idx_series'";
    assert_eq!(base.one(index), "1");
    let name = base.one("SELECT DATABASE()");
    base.execute(&[
        "DROP INDEX idx_series ON sync_iterations",
        "CREATE USER IF NOT EXISTS poor@'%' IDENTIFIED BY 'x'",
        &format!("GRANT SELECT, INSERT, UPDATE ON {name}.* TO poor@'%'"),
    ]);
    let rich = base.pair.dsn.clone();
    base.pair.dsn = format!("poor:x@{}", rich.rsplit_once('@').unwrap().1);
    for (dsn, made) in [(base.pair.dsn.clone(), "0"), (rich, "1")] {
        base.pair.dsn = dsn;
        let ran = base.pair.sync(&[]);
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        let warnings =
            ran.stderr.lines().filter(|line| line.contains("INDEX command denied")).count();
        assert_eq!(
            (warnings, ran.stderr.lines().count()),
            if made == "0" { (1, 1) } else { (0, 0) },
            "{}",
            ran.stderr
        );
        assert!(ran.stdout.contains("recorded"), "{}", ran.stdout);
        assert_eq!(base.one(index), made);
    }
    assert_eq!(base.one("SELECT COUNT(*) FROM sync_iterations"), "2");
}
