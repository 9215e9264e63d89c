//! Rows that no run made: many of them, or of a shape that is wanted.

use std::fmt::Write as _;

use crate::ledger::base::Base;

/// A run's row; the rest of its columns are as in a run that did everything.
#[derive(Clone, Debug)]
pub struct Run {
    pub id: i64,
    pub pair: &'static str,
    pub direction: &'static str,
    pub status: &'static str,
    pub dry_run: bool,
    /// Minutes before now.
    pub age: i64,
    /// How long it took.
    pub seconds: i64,
    pub counts: [i64; 4],
    pub bytes: i64,
    pub error: Option<&'static str>,
}

impl Run {
    pub fn new(id: i64, pair: &'static str, direction: &'static str, age: i64) -> Self {
        let (status, counts) = ("success", [3, 2, 1, 0]);
        Self {
            id,
            pair,
            direction,
            status,
            dry_run: false,
            age,
            seconds: 30,
            counts,
            bytes: 5 << 20,
            error: None,
        }
    }

    pub fn failed(self, status: &'static str, paths: i64, error: Option<&'static str>) -> Self {
        let [created, updated, deleted, _] = self.counts;
        Self { status, counts: [created, updated, deleted, paths], error, ..self }
    }

    pub fn dry(self) -> Self {
        Self { dry_run: true, ..self }
    }

    fn values(&self, now: i64) -> String {
        let time = |seconds: i64| {
            let time =
                std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds as u64);
            ha_sync::time::to_rfc3339(time).replace('T', " ").replace('Z', "")
        };
        let begun = now - self.age * 60;
        let is_running = self.status == "running";
        let ended =
            if is_running { "NULL".into() } else { format!("'{}'", time(begun + self.seconds)) };
        let error = self
            .error
            .map_or_else(|| "NULL".into(), |text| format!("'{}'", text.replace('\'', "''")));
        let [created, updated, deleted, failed] = self.counts;
        let Self { id, pair, direction, status, bytes, .. } = self;
        format!(
            "({id}, '{pair}', '{direction}', '/mnt/dell/{pair}', '/mnt/hp/{pair}', '{}', {ended}, '{status}', {}, {created}, \
             {updated}, {deleted}, 1000, {failed}, {bytes}, {error}, '00000000-0000-7000-8000-{id:012}', 0, 0, '{{}}', \
             'node-1', '0.1.0')",
            time(begun),
            u8::from(self.dry_run),
        )
    }
}

const RUN_COLUMNS: &str = "id, sync_pair, direction, src, dest, started_at, ended_at, status, dry_run, files_created, files_updated, \
                           files_deleted, files_skipped, files_failed, total_bytes_transferred, error_message, run_id, flushed_rows, \
                           opslog_rows, counts, host, version";

/// Rows in one statement.
const AT_ONCE: usize = 2000;

/// Puts runs in.
pub fn insert_runs(base: &Base, runs: impl IntoIterator<Item = Run>) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
        as i64;
    insert(base, "sync_iterations", RUN_COLUMNS, runs.into_iter().map(|run| run.values(now)));
}

/// Puts that many creates into one run. Every thousandth failed, every ten-thousandth has another
/// kind of name.
pub fn insert_operations(base: &Base, iteration: i64, rows: usize) {
    let columns = "iteration_id, dry_run, operation, filepath, size_after, md5_after, started_at, ended_at, status, error_message, kind, bytes, cause";
    let values = (0..rows).map(|index| {
        let name = if index % 10_000 == 9_999 { "needle" } else { "file" };
        let (status, error, cause) = if index % 1000 == 999 {
            ("fail", "'cannot open it at the source: Permission denied'", "'error'")
        } else {
            ("success", "NULL", "NULL")
        };
        format!(
            "({iteration}, 0, '{}', 'films/{:03}/{name}-{index:07}.mkv', 4096, '9a0364b9e99bb480dd25e1f0284c8555', \
             '2026-11-23 23:09:44.916', '2026-11-23 23:09:44.917', '{status}', {error}, 'file', 4096, {cause})",
            ["create", "update"][index % 2],
            index / 1000,
        )
    });
    insert(base, "sync_operations", columns, values);
    base.execute(&[&format!(
        "UPDATE sync_iterations SET flushed_rows = {rows}, opslog_rows = {rows} WHERE id = {iteration}"
    )]);
}

fn insert(base: &Base, table: &str, columns: &str, values: impl Iterator<Item = String>) {
    let mut statements = Vec::new();
    let mut rows = values.peekable();
    while rows.peek().is_some() {
        let mut statement = format!("INSERT INTO {table} ({columns}) VALUES ");
        for (index, row) in rows.by_ref().take(AT_ONCE).enumerate() {
            write!(statement, "{}{row}", if index == 0 { "" } else { "," }).unwrap();
        }
        statements.push(statement);
    }
    base.execute_at_once(&statements);
}
