//! The row of a run. It begins as `running`, counts the lines of the opslog that are in, and in the
//! end holds what the opslog's footer says.
//!
//! The run id makes the row unique. Whoever writes takes the row first ([`take`]), so that two who
//! flush the same opslog do it one after the other.

use std::time::SystemTime;

use super::charset::{Charset, cut};
use super::database::{Database, DbError, DbResult, Row};
use super::schema::ITERATIONS;
use super::value::Value;
use crate::model::Summary;
use crate::opslog::{Footer, Header, RunStatus};
use crate::time::to_rfc3339;

/// Characters of `src` and `dest`.
const ROOT: usize = 512;

/// Characters of `host`, and of `version`.
const HOST: usize = 255;
const VERSION: usize = 32;

/// Characters of `error_message`, a `TEXT` of 65,535 bytes.
const MESSAGE: usize = 16_000;

/// What the row says now, for the transaction that has taken it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) id: i64,
    /// Lines of the opslog that are in.
    pub(super) flushed: u64,
    status: String,
}

/// How a run ended, as its row will say.
#[derive(Debug)]
pub(super) struct Ending {
    ended_at: String,
    status: RunStatus,
    /// Lines of the opslog; `None` if it is damaged.
    rows: Option<u64>,
    counts: Summary,
    retired: u64,
    error_message: Option<String>,
    plan_digest: Option<String>,
}

impl Ending {
    pub(super) fn of(footer: Footer, plan_digest: Option<String>) -> Self {
        Self {
            ended_at: footer.ended_at,
            status: footer.status,
            rows: Some(footer.operations),
            counts: footer.counts,
            retired: footer.retired_unflushed,
            error_message: footer.error_message,
            plan_digest,
        }
    }

    /// The ending of a damaged opslog, which does not tell. The counts are those of the lines that
    /// are in.
    pub(super) fn unknown(counts: Summary, reason: String) -> Self {
        Self {
            ended_at: to_rfc3339(SystemTime::now()),
            status: RunStatus::Failed,
            rows: None,
            counts,
            retired: 0,
            error_message: Some(reason),
            plan_digest: None,
        }
    }

    /// Whether this ending replaces what the row says. A longer opslog knows more than a shorter
    /// one of the same run, which was taken for dead, recovered, and then went on. Of two opslogs
    /// of the same length, the one that came to its end knows more. A damaged one knows nothing.
    fn knows_more_than(&self, row: &Taken) -> bool {
        row.status == "running"
            || self.rows.is_some_and(|rows| {
                row.flushed < rows || (row.flushed == rows && row.status == "failed")
            })
    }
}

/// Locks the row of a run until the transaction ends, and makes the row if there is none.
///
/// Whether there is one is asked without a lock. If a locking read finds no row, InnoDB locks the
/// gap where the row would be. For a UUIDv7 that is the end of the index, where every other run
/// wants to insert its own row.
pub(super) fn take(db: &mut dyn Database, header: &Header, charset: Charset) -> DbResult<Taken> {
    if find(db, header, "")?.is_none() {
        insert(db, header, charset)?;
    }
    let lock = db.dialect().for_update();
    find(db, header, lock)?
        .ok_or_else(|| DbError::refused("the row of the run that was just there is gone"))
}

fn insert(db: &mut dyn Database, header: &Header, charset: Charset) -> DbResult<()> {
    let columns =
        "run_id, sync_pair, direction, src, dest, started_at, status, dry_run, host, version";
    db.execute(
        &format!(
            "INSERT INTO {ITERATIONS} ({columns}) VALUES (?, ?, ?, ?, ?, ?, 'running', ?, ?, ?)"
        ),
        &[
            Value::text(&header.run_id),
            Value::text(&header.pair),
            Value::text(&header.direction),
            root_column(&header.src, charset),
            root_column(&header.dest, charset),
            Value::time(&header.started_at),
            header.dry_run.into(),
            fitted(&header.host, HOST, charset),
            fitted(&header.version, VERSION, charset),
        ],
    )
    .map(drop)
}

/// `src` or `dest`, as the column holds it.
pub(super) fn root_column(root: &str, charset: Charset) -> Value {
    fitted(root, ROOT, charset)
}

fn fitted(text: &str, chars: usize, charset: Charset) -> Value {
    Value::text(cut(&charset.fit(text), chars))
}

fn find(db: &mut dyn Database, header: &Header, lock: &str) -> DbResult<Option<Taken>> {
    let query = format!("SELECT id, flushed_rows, status FROM {ITERATIONS} WHERE run_id = ?{lock}");
    let row = db.first(&query, &[Value::text(&header.run_id)])?;
    Ok(row.and_then(|row| {
        let status = row[2].as_text().unwrap_or_default();
        Some(Taken { id: row[0].as_int()?, flushed: row[1].as_count(), status })
    }))
}

/// Records how many lines are in and, with an ending, how the run ended. The caller has to have
/// taken the row.
pub(super) fn update(
    db: &mut dyn Database,
    row: &Taken,
    flushed: u64,
    ending: Option<&Ending>,
    charset: Charset,
) -> DbResult<()> {
    let ending = ending.filter(|ending| ending.knows_more_than(row));
    let (set, mut values) =
        ending.map_or_else(|| (String::new(), Row::new()), |ending| ended(ending, charset));
    values.insert(0, Value::count(flushed));
    values.push(Value::Int(row.id));
    db.execute(&format!("UPDATE {ITERATIONS} SET flushed_rows = ?{set} WHERE id = ?"), &values)
        .map(drop)
}

/// The columns that an ending sets, and their values.
fn ended(ending: &Ending, charset: Charset) -> (String, Row) {
    let counts = &ending.counts;
    let mut all: serde_json::Map<String, serde_json::Value> =
        counts.fields().map(|(name, value)| (name.to_owned(), value.into())).collect();
    all.insert("retired_unflushed".into(), ending.retired.into());
    let message =
        ending.error_message.as_deref().map(|text| cut(&charset.fit(text), MESSAGE).to_owned());
    let columns: [(&str, Value); 12] = [
        ("ended_at", Value::time(&ending.ended_at)),
        ("status", Value::text(ending.status.name())),
        ("files_created", Value::small_count(counts.created)),
        ("files_updated", Value::small_count(counts.updated)),
        ("files_deleted", Value::small_count(counts.deleted)),
        ("files_skipped", Value::small_count(counts.skipped())),
        ("files_failed", Value::small_count(counts.failed)),
        ("total_bytes_transferred", Value::count(counts.copied_bytes)),
        ("error_message", message.into()),
        ("opslog_rows", ending.rows.map_or(Value::Null, Value::count)),
        ("counts", Value::Text(serde_json::Value::Object(all).to_string())),
        ("plan_digest", ending.plan_digest.clone().into()),
    ];
    let set = columns.iter().map(|(name, _)| format!(", {name} = ?")).collect();
    (set, columns.into_iter().map(|(_, value)| value).collect())
}
