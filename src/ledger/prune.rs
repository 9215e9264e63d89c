//! Removing the operation rows of old runs. The runs' own rows stay, with their counts.
//!
//! The rows of the last successful dry run of a pair and direction stay, since the next one is
//! compared with it. The rows of a run that is not over, or not all in, stay too.

use std::time::{Instant, SystemTime};

use super::database::{Database, DbResult};
use super::schema::{ITERATIONS, OPERATIONS};
use super::value::Value;
use crate::time::to_rfc3339;

/// Rows that one statement removes, at most: what it locks stays small.
const BATCH: u16 = 5000;

/// Removes rows until all are removed or `until` has come. Returns how many rows were removed, and
/// whether all were.
pub(super) fn prune(
    db: &mut dyn Database,
    before: SystemTime,
    until: Instant,
) -> DbResult<(u64, bool)> {
    let mut removed = 0;
    for iteration in prunable(db, before)? {
        while let Some(last) = end_of_batch(db, iteration)? {
            if Instant::now() >= until {
                return Ok((removed, false));
            }
            // Both conditions are in the index of the iterations. With a subquery for the rows,
            // MySQL would read and lock the whole table, along with what others are inserting.
            let batch = format!("DELETE FROM {OPERATIONS} WHERE iteration_id = ? AND id <= ?");
            removed += db.execute(&batch, &[Value::Int(iteration), Value::Int(last)])?;
        }
    }
    Ok((removed, true))
}

/// The last of the first [`BATCH`] rows of an iteration. `None` if it has none.
fn end_of_batch(db: &mut dyn Database, iteration: i64) -> DbResult<Option<i64>> {
    let query = format!(
        "SELECT MAX(id) FROM (SELECT id FROM {OPERATIONS} WHERE iteration_id = ? ORDER BY id LIMIT {BATCH}) AS batch"
    );
    Ok(db.first(&query, &[Value::Int(iteration)])?.and_then(|row| row[0].as_int()))
}

fn prunable(db: &mut dyn Database, before: SystemTime) -> DbResult<Vec<i64>> {
    let query = format!(
        "SELECT i.id FROM {ITERATIONS} i WHERE i.started_at < ? AND i.status <> 'running' \
         AND EXISTS (SELECT 1 FROM {OPERATIONS} o WHERE o.iteration_id = i.id) \
         AND NOT (i.dry_run = 1 AND i.status = 'success' AND NOT EXISTS (\
           SELECT 1 FROM {ITERATIONS} later WHERE later.sync_pair = i.sync_pair AND later.direction = i.direction \
           AND HEX(later.direction) = HEX(i.direction) AND later.dry_run = 1 AND later.status = 'success' \
           AND (later.started_at > i.started_at OR (later.started_at = i.started_at AND later.id > i.id)))) \
         ORDER BY i.id"
    );
    let mut found = Vec::new();
    db.query(&query, &[Value::time(&to_rfc3339(before))], &mut |row| {
        found.extend(row[0].as_int());
    })?;
    Ok(found)
}
