//! Whether a plan was known before: whether the last successful dry run of the same pair and
//! direction, between the same roots, planned the same.

use std::io;
use std::path::Path;

use super::Ledger;
use super::database::DbResult;
use super::flush::FlushError;
use super::iteration::root_column;
use super::plan::PlanDigest;
use super::schema::{ITERATIONS, OPERATIONS};
use super::value::Value;
use crate::opslog::{Damage, Header};

impl Ledger {
    /// When the last successful dry run of the pair and direction began (RFC 3339, UTC). `None`
    /// unless it was between the same roots and its plan was that of this opslog.
    pub fn plan_current_since(
        &mut self,
        opslog: &Path,
        header: &Header,
    ) -> Result<Option<String>, FlushError> {
        let digest = PlanDigest::of_opslog(opslog).map_err(|damage| match damage {
            Damage::Io(error) => error,
            damage => io::Error::other(damage.to_string()),
        })?;
        Ok(current_since(self, header, &digest)?)
    }
}

fn current_since(
    ledger: &mut Ledger,
    header: &Header,
    digest: &PlanDigest,
) -> DbResult<Option<String>> {
    // The tables of an older release may compare without case: `There` may equal `there`.
    let query = format!(
        "SELECT id, started_at, plan_digest, src, dest FROM {ITERATIONS} WHERE sync_pair = ? AND direction = ? \
         AND HEX(direction) = HEX(?) AND dry_run = 1 AND status = 'success' ORDER BY started_at DESC, id DESC LIMIT 1"
    );
    let scope = [&header.pair, &header.direction, &header.direction].map(|text| Value::text(text));
    let Some(row) = ledger.db.first(&query, &scope)? else {
        return Ok(None);
    };
    if row[3..] != [&header.src, &header.dest].map(|root| root_column(root, ledger.charset)) {
        return Ok(None);
    }
    let known = match (row[2].as_text(), row[0].as_int()) {
        (Some(known), _) => known,
        // The row of an older release has no digest.
        (None, Some(id)) => digest_of_rows(ledger, id)?.to_string(),
        (None, None) => return Ok(None),
    };
    Ok((known == digest.to_string()).then(|| row[1].as_time()).flatten())
}

/// The digest of an iteration's rows.
fn digest_of_rows(ledger: &mut Ledger, iteration: i64) -> DbResult<PlanDigest> {
    let mut digest = PlanDigest::default();
    let query = format!(
        "SELECT filepath, filepath_raw, operation, size_before FROM {OPERATIONS} WHERE iteration_id = ?"
    );
    ledger.db.query(&query, &[Value::Int(iteration)], &mut |row| {
        let path = if row[1] == Value::Null { &row[0] } else { &row[1] };
        let size = row[3].as_int().and_then(|size| u64::try_from(size).ok());
        digest.add(path.as_bytes(), &row[2].as_text().unwrap_or_default(), size);
    })?;
    Ok(digest)
}
