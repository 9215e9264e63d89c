//! A million operations and many runs: every query goes along an index, on both databases.

use std::time::{Duration, Instant};

use mysql::prelude::Queryable as _;

use super::filled::{Run, insert_operations, insert_runs};
use super::server::Dashboard;
use crate::ledger::base::*;

const OPERATIONS: usize = 1_000_000;
const RUNS: i64 = 20_000;

/// Every kind of question, with a filter of each kind.
const QUESTIONS: [&str; 14] = [
    "/api/pairs",
    "/api/iterations",
    "/api/iterations?before=10000",
    "/api/iterations?pair=media&before=10000",
    "/api/iterations?status=failed",
    "/api/iterations?pair=ai&direction=back&status=success&dry_run=false",
    "/api/operations?iteration_id=7",
    "/api/operations?iteration_id=7&after=500000&limit=500",
    "/api/operations?iteration_id=7&status=fail",
    "/api/operations?iteration_id=7&q=needle&operation=update",
    "/api/operations?iteration_id=7&q=nothing-of-that-name",
    "/api/history",
    "/api/history?pair=media&days=7&limit=100",
    "/metrics",
];

fn fill(base: &Base) {
    base.make_tables();
    insert_runs(
        base,
        (1..=RUNS).map(|id| {
            let (pair, direction) = (
                ["ai", "games", "infra", "media"][id as usize % 4],
                ["there", "back"][id as usize / 4 % 2],
            );
            let run = Run::new(id, pair, direction, RUNS - id);
            if id % 500 == 0 { run.failed("failed", 0, Some("the disk is full")) } else { run }
        }),
    );
    insert_operations(base, 7, OPERATIONS);
    // Others before and after it.
    insert_operations(base, 8, 50_000);
}

/// The statements that the dashboard sent to the server.
fn sent(base: &Base) -> Vec<String> {
    let mut root = base.connection();
    let all = "log_output = 'TABLE', GLOBAL long_query_time = 0, GLOBAL slow_query_log = 1, GLOBAL general_log = 1";
    root.query_drop(format!("SET GLOBAL {all}")).unwrap();
    let dashboard = Dashboard::start(&base.pair.dsn, &[]);
    for question in QUESTIONS {
        assert_eq!(dashboard.get(question).status, 200, "{question}");
    }
    root.query_drop("SET GLOBAL general_log = 0, GLOBAL slow_query_log = 0").unwrap();
    // What they really read, with their values bound: two stretches at most, and never a table.
    let most: Option<(u64, String)> = root
        .query_first(
            "SELECT rows_examined, CONVERT(sql_text USING utf8mb4) FROM mysql.slow_log \
             WHERE user_host LIKE 'ha[%' AND sql_text LIKE '%FROM sync\\_%' ORDER BY rows_examined DESC LIMIT 1",
        )
        .unwrap();
    let (rows, sql) = most.unwrap();
    assert!((1000..=25_000).contains(&rows), "{rows}: {sql}");
    // Nor did they go through an index for what lies before a stretch. The rows that they examined
    // do not include that.
    let passed: Option<(String, u64)> =
        root.query_first("SHOW GLOBAL STATUS LIKE 'Handler\\_icp\\_attempts'").unwrap();
    assert!(passed.as_ref().is_none_or(|(_, entries)| *entries < 500_000), "{passed:?}");
    let said: Vec<String> = root.query(format!("SELECT DISTINCT {SAID}")).unwrap();
    said.into_iter().filter(|sql| sql.contains("FROM sync_")).collect()
}

/// Statements of the dashboard, with the values that were bound to them.
const SAID: &str = "CONVERT(argument USING utf8mb4) FROM mysql.general_log \
                    WHERE user_host LIKE 'ha[%' AND command_type IN ('Query', 'Execute')";

#[test]
fn every_query_goes_along_an_index() {
    let (mariadb, sqlite) = (Base::mariadb(), Base::sqlite());
    fill(&mariadb);
    fill(&sqlite);
    let statements = sent(&mariadb);
    assert!(statements.len() > 20, "{statements:#?}");
    for sql in &statements {
        for mut row in mariadb.rows(&format!("EXPLAIN {sql}")) {
            // id, select_type, table, type, possible_keys, key, key_len, ref, rows, Extra. MySQL
            // has two more.
            if row.len() == 12 {
                drop((row.remove(10), row.remove(3)));
            }
            let (table, kind, key) = (&row[2], &row[3], &row[5]);
            let is_table = table.starts_with("sync_");
            assert!(
                !is_table
                    || (kind != "ALL" && kind != "index" && key != "NULL")
                    || is_walk(&row, sql),
                "{sql}\n{row:?}"
            );
            assert!(!is_table || !row[9].contains("filesort"), "{sql}\n{row:?}");
        }
        let sql = for_sqlite(sql);
        for row in sqlite.rows(&format!("EXPLAIN QUERY PLAN {sql}")) {
            let plan = &row[3];
            let is_walk = plan.contains("INDEX") && ends_early(&sql);
            let is_scan = plan.starts_with("SCAN sync_") && !is_walk;
            assert!(!is_scan && !plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
        }
    }
}

/// What SQLite is asked in the place of this: the same in its own words.
fn for_sqlite(sql: &str) -> String {
    let sql = sql.replace(" FORCE INDEX (idx_series)", "");
    match sql.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(parts) => {
            let parts =
                parts.split(") UNION ALL (").map(|part| format!("SELECT * FROM ({part}) AS part"));
            parts.collect::<Vec<_>>().join(" UNION ALL ")
        }
        None => sql,
    }
}

/// A walk along a whole index that ends at its first rows: its order is the one that is asked for.
fn is_walk(row: &[String], sql: &str) -> bool {
    row[3] == "index" && row[5] != "NULL" && ends_early(sql)
}

fn ends_early(sql: &str) -> bool {
    sql.contains("LIMIT") && !sql.contains("WHERE")
}

/// How long each question takes, beside the database's own time for the same statements. The times
/// are shown, not asserted.
#[test]
#[ignore = "it measures: cargo nextest run --release --run-ignored only -E 'test(beside_the_database)' --no-capture"]
#[allow(clippy::print_stdout)]
fn each_answer_is_shown_beside_the_database_s_own_time() {
    let (mariadb, sqlite) = (Base::mariadb(), Base::sqlite());
    [&mariadb, &sqlite].into_iter().for_each(fill);
    let dashboards = [&mariadb, &sqlite].map(|base| Dashboard::start(&base.pair.dsn, &[]));
    let mut server = mariadb.connection();
    let file = rusqlite::Connection::open(sqlite.pair.dsn.trim_start_matches("sqlite:")).unwrap();
    println!("MariaDB: answer, own time; SQLite: answer, own time; question");
    for question in QUESTIONS {
        let said = statements(&mut server, &mariadb, question);
        let answered =
            dashboards.each_ref().map(|dashboard| best(|| drop(dashboard.get(question))));
        let in_server =
            best(|| said.iter().for_each(|sql| drop(server.query::<mysql::Row, _>(sql).unwrap())));
        let in_file =
            best(|| assert!(said.iter().map(|sql| rows(&file, sql)).sum::<usize>() < 10_000));
        let times =
            [answered[0], in_server, answered[1], in_file].map(|time| time.as_secs_f64() * 1000.0);
        println!(
            "{:8.1} {:8.1} {:8.1} {:8.1} ms  {question}",
            times[0], times[1], times[2], times[3]
        );
    }
}

/// What a dashboard asks the server when the same question comes again. It is a dashboard of its
/// own: MariaDB logs the values of only those statements that were prepared while it logs.
fn statements(server: &mut mysql::Conn, base: &Base, question: &str) -> Vec<String> {
    server.query_drop("SET GLOBAL log_output = 'TABLE', GLOBAL general_log = 1").unwrap();
    let dashboard = Dashboard::start(&base.pair.dsn, &[]);
    dashboard.get(question);
    server.query_drop("TRUNCATE mysql.general_log").unwrap();
    dashboard.get(question);
    server.query_drop("SET GLOBAL general_log = 0").unwrap();
    let said: Vec<String> = server.query(format!("SELECT {SAID}")).unwrap();
    said.into_iter().filter(|sql| sql.contains("FROM sync_")).collect()
}

fn rows(file: &rusqlite::Connection, sql: &str) -> usize {
    let mut statement = file.prepare(&for_sqlite(sql)).unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut count = 0;
    while rows.next().unwrap().is_some() {
        count += 1;
    }
    count
}

/// The best of three.
fn best(mut work: impl FnMut()) -> Duration {
    let timed = |_| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    };
    (0..3).map(timed).min().unwrap()
}
