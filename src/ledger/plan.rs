//! What a dry run plans, as a digest: the set of path, operation and size before, in whatever order.
//!
//! Each line is hashed by itself and the hashes are added up, so that a plan of ten million lines takes
//! no more memory than an empty one. It is computed the same way from an opslog and from rows.

use std::fmt;
use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::Ledger;
use super::database::Answer;
use super::iteration::root_column;
use super::schema::{ITERATIONS, OPERATIONS};
use super::value::Value;
use crate::opslog::{Damage, Header, OpslogReader, Record};

/// The sum over the lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PlanDigest {
    lines: u64,
    sum: (u128, u128),
}

impl PlanDigest {
    pub(super) fn add_record(&mut self, record: &Record<'_>) {
        let operation = record.operation.name();
        match &record.filepath_b64 {
            None => self.add(record.filepath.as_bytes(), operation, record.size_before),
            Some(_) => self.add(&record.path_bytes().unwrap_or_default(), operation, record.size_before),
        }
    }

    fn add(&mut self, path: &[u8], operation: &str, size_before: Option<u64>) {
        let mut hash = Sha256::new();
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path);
        hash.update(size_before.map_or([0; 9], |size| {
            let mut known = [1; 9];
            known[1..].copy_from_slice(&size.to_le_bytes());
            known
        }));
        hash.update(operation);
        let (low, high) = halves(&hash.finalize());
        self.lines += 1;
        self.sum = (self.sum.0.wrapping_add(low), self.sum.1.wrapping_add(high));
    }

    /// That of an opslog.
    pub(super) fn of_opslog(path: &Path) -> Result<Self, Damage> {
        let mut digest = Self::default();
        let (_, reader) = OpslogReader::open(path)?;
        reader.read(|record| -> io::Result<()> {
            digest.add_record(&record);
            Ok(())
        })?;
        Ok(digest)
    }

    /// That of an iteration's rows.
    fn of_rows(ledger: &mut Ledger, iteration: i64) -> Answer<Self> {
        let mut digest = Self::default();
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
}

fn halves(hash: &[u8]) -> (u128, u128) {
    let half = |part: &[u8]| part.iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte));
    (half(&hash[..16]), half(&hash[16..]))
}

/// As it is kept on the iteration. The first part tells how it was computed.
impl fmt::Display for PlanDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1:{}:{:032x}{:032x}", self.lines, self.sum.0, self.sum.1)
    }
}

/// When the last successful dry run of the pair and direction was begun, if it was between the same roots and its
/// plan was this one.
pub(super) fn current_since(
    ledger: &mut Ledger,
    header: &Header,
    digest: &PlanDigest,
) -> Answer<Option<String>> {
    // In tables of an older release `There` may equal `there`.
    let query = format!(
        "SELECT id, started_at, plan_digest, src, dest FROM {ITERATIONS} WHERE sync_pair = ? AND direction = ? \
         AND HEX(direction) = HEX(?) AND dry_run = 1 AND status = 'success' ORDER BY started_at DESC, id DESC LIMIT 1"
    );
    let whose = [&header.pair, &header.direction, &header.direction].map(|text| Value::text(text));
    let Some(row) = ledger.db.first(&query, &whose)? else {
        return Ok(None);
    };
    if row[3..] != [&header.src, &header.dest].map(|root| root_column(root, ledger.charset)) {
        return Ok(None);
    }
    let known = match (row[2].as_text(), row[0].as_int()) {
        (Some(known), _) => known,
        // An older release's.
        (None, Some(id)) => PlanDigest::of_rows(ledger, id)?.to_string(),
        (None, None) => return Ok(None),
    };
    Ok((known == digest.to_string()).then(|| row[1].as_time()).flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(lines: &[(&str, &str, Option<u64>)]) -> PlanDigest {
        let mut digest = PlanDigest::default();
        lines.iter().for_each(|(path, operation, size)| digest.add(path.as_bytes(), operation, *size));
        digest
    }

    #[test]
    fn a_plan_is_a_set_and_every_part_of_a_line_counts() {
        let (a, b) = (("a", "create", None), ("b", "update", Some(1)));
        assert_eq!(digest(&[a, b]), digest(&[b, a]));
        let others: [&[_]; 7] = [
            &[],
            &[a],
            &[a, b, b],
            &[a, ("b", "update", Some(2))],
            &[a, ("b", "update", None)],
            &[a, ("b", "delete", Some(1))],
            &[a, ("c", "update", Some(1))],
        ];
        for other in others {
            assert_ne!(digest(&[a, b]).to_string(), digest(other).to_string(), "{other:?}");
        }
        assert_ne!(digest(&[("a", "create", Some(0))]), digest(&[a]), "nothing is not an empty file");
    }
}
