//! What a dry run plans, as a digest: the set of path, operation and size before, in any order.
//!
//! Each line is hashed by itself and the hashes are added up, so that a plan of ten million lines
//! takes no more memory than an empty one. The digest is computed the same way from an opslog and
//! from rows.

use std::fmt;
use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::opslog::{Damage, OpslogReader, Record};

/// The number of lines, and the sum of their hashes.
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
            Some(_) => {
                self.add(&record.path_bytes().unwrap_or_default(), operation, record.size_before);
            }
        }
    }

    pub(super) fn add(&mut self, path: &[u8], operation: &str, size_before: Option<u64>) {
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

    /// The digest of an opslog.
    pub(super) fn of_opslog(path: &Path) -> Result<Self, Damage> {
        let mut digest = Self::default();
        let (_, reader) = OpslogReader::open(path)?;
        reader.read(|record| -> io::Result<()> {
            digest.add_record(&record);
            Ok(())
        })?;
        Ok(digest)
    }
}

fn halves(hash: &[u8]) -> (u128, u128) {
    let half = |part: &[u8]| part.iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte));
    (half(&hash[..16]), half(&hash[16..]))
}

/// The text that is kept in the iteration's row. Its first part tells how it was computed.
impl fmt::Display for PlanDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1:{}:{:032x}{:032x}", self.lines, self.sum.0, self.sum.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(lines: &[(&str, &str, Option<u64>)]) -> PlanDigest {
        let mut digest = PlanDigest::default();
        lines
            .iter()
            .for_each(|(path, operation, size)| digest.add(path.as_bytes(), operation, *size));
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
        assert_ne!(
            digest(&[("a", "create", Some(0))]),
            digest(&[a]),
            "nothing is not an empty file"
        );
    }
}
