//! Evidence: what the scan and the copies taught that deletions depend on.
//!
//! A candidate is a name that the source lacks; what it names may still be wanted. It may be the
//! former name of a file that did not arrive. Or the destination folds upper and lower case or
//! forms of Unicode, and shows a name that the source has under another spelling. And if the
//! destination as a whole is in trouble, nothing can be said about any candidate.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use crate::locked::locked;
use crate::model::{Entry, Failure, RelPath, Side, Timestamp};
use crate::tree::concerns_whole_tree;

/// Entries of each kind that are remembered at most, some 50 MB. If there are more, nothing is
/// deleted.
const REMEMBERED: usize = 1_000_000;

/// What is known so far.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Evidence {
    /// The first reason to delete nothing at all.
    doubt: OnceLock<String>,
    /// Sizes and mtimes of source files whose version the destination does not hold under their
    /// names.
    not_arrived: Mutex<BTreeSet<(u64, Timestamp)>>,
    /// Inodes at the destination that were found under names which its listings lacked.
    aliased: Mutex<HashSet<u64>>,
}

impl Evidence {
    /// A path failed.
    pub(in crate::pipeline) fn failed(&self, path: &RelPath, failure: &Failure) {
        if failure
            .fault
            .is_some_and(|fault| fault.side == Side::Dest && concerns_whole_tree(fault.errno))
        {
            let path = String::from_utf8_lossy(path.as_bytes());
            self.doubt.get_or_init(|| {
                format!(
                    "the destination is in trouble ({path}: {}), and what could not be copied may be a candidate under its \
                     former name. Mend the destination and run again",
                    failure.reason
                )
            });
        }
    }

    /// One root was found inside the other one: what is deleted in one of them is gone from the
    /// other, too.
    pub(in crate::pipeline) fn roots_are_nested(&self) {
        self.doubt.get_or_init(|| {
            "one root lies inside the other one. Check what is mounted there".to_owned()
        });
    }

    /// A source file's version is not at the destination, for whatever reason: a candidate may be
    /// its former name.
    pub(in crate::pipeline) fn did_not_arrive(&self, source: &Entry) {
        let Some(len) = source.file_len() else { return };
        let mut not_arrived = locked(&self.not_arrived);
        if not_arrived.len() <= REMEMBERED {
            not_arrived.insert((len, source.mtime));
        }
    }

    /// Something stands at the destination under a name that its listing lacked. Either it was just
    /// made, or the file system takes two spellings for one name.
    pub(in crate::pipeline) fn aliased(&self, dest: &Entry) {
        let mut aliased = locked(&self.aliased);
        if aliased.len() <= REMEMBERED {
            aliased.insert(dest.inode);
        }
    }

    /// Why a candidate has to stay; `None` if the evidence does not protect it.
    pub(in crate::pipeline) fn protects(
        &self,
        candidate: &Entry,
        threshold: Duration,
    ) -> Option<&'static str> {
        if locked(&self.aliased).contains(&candidate.inode) {
            return Some("the source has it under another spelling of its name");
        }
        let wanted = (candidate.file_len()?, candidate.mtime);
        let not_arrived = locked(&self.not_arrived);
        let mut nearest = not_arrived
            .range(..=wanted)
            .next_back()
            .into_iter()
            .chain(not_arrived.range(wanted..).next());
        let is_close = |(len, mtime): &(u64, Timestamp)| {
            *len == wanted.0 && mtime.distance(wanted.1) <= threshold
        };
        nearest
            .any(is_close)
            .then_some("it may be the former name of a file that could not be carried over")
    }

    /// Why nothing at all should be deleted; `None` if the evidence allows it.
    pub(in crate::pipeline) fn doubt(&self) -> Option<String> {
        if let Some(doubt) = self.doubt.get() {
            return Some(doubt.clone());
        }
        let forgotten =
            locked(&self.not_arrived).len().max(locked(&self.aliased).len()) > REMEMBERED;
        forgotten.then(|| {
            format!(
                "more than {REMEMBERED} files could not be carried over, and candidates may be their former names. \
                 Mend what failed and run again"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EntryKind;

    fn file(len: u64, seconds: i64, inode: u64) -> Entry {
        let mtime = Timestamp { seconds, nanoseconds: 0 };
        Entry { kind: EntryKind::File { len }, mtime, inode, ..Entry::unreadable(0) }
    }

    #[test]
    fn trouble_counts_at_dest_only() {
        let no_space = std::io::Error::from_raw_os_error(28);
        let doubt = |side| {
            let evidence = Evidence::default();
            evidence.failed(&"a/b".into(), &Failure::fault(side, "writing", &no_space));
            evidence.doubt()
        };
        assert!(doubt(Side::Dest).unwrap().contains("a/b: writing: No space left"));
        assert_eq!(doubt(Side::Source), None);
    }

    #[test]
    fn a_file_that_did_not_arrive_protects_candidates_of_its_size_and_mtime() {
        let evidence = Evidence::default();
        for (len, seconds) in [(5, 100), (5, 200), (7, 150)] {
            evidence.did_not_arrive(&file(len, seconds, 1));
        }
        let protects = |len, seconds| {
            evidence.protects(&file(len, seconds, 2), Duration::from_secs(2)).is_some()
        };
        for (len, seconds, expected) in [
            (5, 98, true),
            (5, 102, true),
            (5, 97, false),
            (5, 103, false),
            (5, 199, true),
            (5, 150, false),
            (6, 100, false),
            (7, 152, true),
            (8, 0, false),
        ] {
            assert_eq!(protects(len, seconds), expected, "{len} bytes at {seconds}");
        }
        assert_eq!(evidence.doubt(), None);
        (0..=REMEMBERED as u64).for_each(|len| evidence.did_not_arrive(&file(len, 0, 1)));
        assert!(evidence.doubt().is_some(), "too many to remember");
    }

    #[test]
    fn what_was_met_under_another_name_is_protected_whatever_it_is() {
        let evidence = Evidence::default();
        evidence.aliased(&file(1, 1, 42));
        let dir = |inode| Entry { kind: EntryKind::Directory, inode, ..Entry::unreadable(0) };
        assert!(evidence.protects(&dir(42), Duration::ZERO).is_some());
        assert!(evidence.protects(&dir(43), Duration::ZERO).is_none());
    }
}
