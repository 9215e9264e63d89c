//! The row of one operation: a line of an opslog, as the columns hold it.

use super::charset::{Charset, cut};
use super::database::Row;
use super::value::Value;
use crate::opslog::Record;

/// Characters of `filepath` and of `error_message`.
const PATH: usize = 4096;
const MESSAGE: usize = 4096;

/// The values in the order of the table's columns, beginning with the iteration's id, which is not
/// known yet.
pub(super) fn row(record: &Record<'_>, dry_run: bool, charset: Charset) -> Row {
    let iteration = Value::Null;
    let fitting = charset.fit(&record.filepath);
    let shown = cut(&fitting, PATH);
    // A path that the text does not tell exactly is also kept as its bytes.
    let is_exact = record.filepath_b64.is_none() && shown == record.filepath;
    let raw = if is_exact { None } else { record.path_bytes() };
    let message =
        record.error_message.as_deref().map(|text| cut(&charset.fit(text), MESSAGE).to_owned());
    vec![
        iteration,
        dry_run.into(),
        Value::text(record.operation.name()),
        Value::text(shown),
        record.size_before.into(),
        record.size_after.into(),
        record.md5_before.clone().into(),
        record.md5_after.clone().into(),
        Value::time(&record.started_at),
        Value::time(&record.ended_at),
        Value::text(record.status.name()),
        message.into(),
        Value::text(record.kind.name()),
        record.bytes.into(),
        record.cause.map(|cause| Value::text(cause.name())).into(),
        record.compares.into(),
        raw.map(Value::Bytes).into(),
    ]
}

/// Sets the iteration that the operation belongs to.
pub(super) fn set_iteration(row: &mut Row, iteration: i64) {
    row[0] = Value::Int(iteration);
}

/// Approximate bytes of a row, in memory and in a statement.
pub(super) fn size(row: &Row) -> usize {
    row.iter()
        .map(|value| match value {
            Value::Null | Value::Int(_) => 8,
            Value::Text(text) => text.len() + 8,
            Value::Bytes(bytes) => 2 * bytes.len() + 8,
        })
        .sum()
}
