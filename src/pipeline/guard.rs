//! Guard: whether the evidence is good enough to delete anything at all.
//!
//! Asked once, after every copy has its result and before the first deletion; the answer holds for
//! all candidates: all of them are tried or none. What must hold for a single one is looked at
//! right before it is deleted (see `execute::delete`).
//!
//! A mirror that deletes on bad evidence is worse than none: an empty source is more often a disk
//! that is not mounted than a wish, and a destination that cannot take new files must not lose old
//! ones, which may be the same files under their former names.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::candidates::Collected;
use super::stage::Stage;
use super::{Filter, Trees};
use crate::model::{Entry, EntryKind, Failure, Joined, Name, RelPath, Side, Timestamp, shown};
use crate::tree::{Freshness, Tree, concerns_whole_tree};

/// A percentage never stops fewer candidates than this: in a small folder half of it is an ordinary day's work.
const ORDINARY: u64 = 100;

/// Files that could not be copied and are remembered at most; where there are more, nothing is deleted.
const REMEMBERED: usize = 100_000;

/// What may be deleted, and under which conditions.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// How many candidates are too many.
    pub max: MaxDelete,
    /// A file that must be in both roots.
    pub require_file: Option<Name>,
}

/// More candidates than this, and none is deleted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MaxDelete {
    /// So many.
    Count(u64),
    /// So many in a hundred of the destination's entries, but never fewer than a hundred.
    Percent(f64),
    /// Any number is allowed.
    Unlimited,
}

/// Candidates that were not deleted, none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// How many.
    pub candidates: u64,
    /// Why, and what to do, in a sentence or two.
    pub reason: String,
    /// The paths of the first few.
    pub examples: Vec<RelPath>,
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing was deleted: {}", self.reason)
    }
}

impl MaxDelete {
    /// How many candidates may be deleted, where the destination has so many entries.
    fn allowed(self, dest_entries: u64) -> u64 {
        match self {
            Self::Count(count) => count,
            // Rounded down, and exact up to 2^53 entries.
            Self::Percent(percent) => ((dest_entries as f64 * percent / 100.0) as u64).max(ORDINARY - 1),
            Self::Unlimited => u64::MAX,
        }
    }
}

/// What the copies taught about both trees.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// The first sign that the destination as a whole is in trouble.
    trouble: OnceLock<String>,
    uncopied: Mutex<Uncopied>,
}

/// Sizes and mtimes of source files that did not arrive.
#[derive(Debug, Default)]
struct Uncopied {
    by_len: HashMap<u64, Vec<Timestamp>>,
    count: usize,
}

impl Evidence {
    /// A path failed.
    pub(super) fn failed(&self, path: &RelPath, failure: &Failure) {
        if failure.fault.is_some_and(|fault| fault.side == Side::Dest && concerns_whole_tree(fault.errno)) {
            self.trouble.get_or_init(|| format!("{path}: {}", failure.reason));
        }
    }

    /// A source file did not arrive: it may be what a candidate was renamed to.
    pub(super) fn did_not_arrive(&self, source: &Entry) {
        let Some(len) = source.file_len() else { return };
        let mut uncopied = self.uncopied.lock().unwrap_or_else(PoisonError::into_inner);
        uncopied.count += 1;
        if uncopied.count <= REMEMBERED {
            uncopied.by_len.entry(len).or_default().push(source.mtime);
        }
    }

    /// Whether a candidate may be the former name of a file that did not arrive.
    pub(super) fn is_wanted(&self, candidate: &Entry, threshold: Duration) -> bool {
        let Some(len) = candidate.file_len() else { return false };
        let uncopied = self.uncopied.lock().unwrap_or_else(PoisonError::into_inner);
        let is_close = |mtime: &Timestamp| mtime.distance(candidate.mtime) <= threshold;
        uncopied.by_len.get(&len).is_some_and(|mtimes| mtimes.iter().any(is_close))
    }

    fn doubt(&self) -> Option<String> {
        if let Some(trouble) = self.trouble.get() {
            return Some(format!(
                "the destination is in trouble ({trouble}), and what could not be copied may be a candidate under its \
                 new name. Mend the destination and run again"
            ));
        }
        let count = self.uncopied.lock().unwrap_or_else(PoisonError::into_inner).count;
        (count > REMEMBERED).then(|| {
            format!("{count} files could not be copied, and candidates may be their former names. Mend that and run again")
        })
    }
}

/// Why none of the candidates may be deleted; nothing where they may.
pub(super) fn doubt(
    stage: &Stage<'_>,
    trees: &Trees,
    deletion: &Deletion,
    collected: &Collected,
) -> Option<String> {
    let dest_entries = stage.counted().dest_entries;
    let lost = || {
        collected.lost.as_ref().map(|error| {
        format!("the list of candidates could not be kept: {error}. Set TMPDIR to a folder on a disk with room")
    })
    };
    lost()
        .or_else(|| root_doubt(&trees.source, Side::Source, deletion))
        .or_else(|| root_doubt(&trees.dest, Side::Dest, deletion))
        .or_else(|| emptiness(&trees.source, &stage.options.filter))
        .or_else(|| stage.evidence.doubt())
        .or_else(|| too_many(deletion.max, collected.count, dest_entries))
}

fn too_many(max: MaxDelete, count: u64, dest_entries: u64) -> Option<String> {
    let allowed = max.allowed(dest_entries);
    if count <= allowed {
        return None;
    }
    let mut text = format!("{count} of {dest_entries} entries would go");
    let written = match max {
        MaxDelete::Count(_) => write!(text, ", more than --max-delete {allowed} allows"),
        MaxDelete::Percent(percent) => {
            write!(text, ", more than --max-delete {percent}% allows, which is {allowed}")
        }
        MaxDelete::Unlimited => Ok(()),
    };
    debug_assert!(written.is_ok(), "writing to a string does not fail");
    Some(format!("{text}. If that is right, run once with --max-delete {count}"))
}

/// The root that was opened at the start must still be what its path leads to, with the file that marks it.
fn root_doubt(tree: &Tree, side: Side, deletion: &Deletion) -> Option<String> {
    let (path, name) = (shown(tree.path()), side.name());
    match tree.is_in_place() {
        Ok(true) => {}
        Ok(false) => {
            return Some(format!(
                "{name}, {path}, is no longer the folder that it was when the run began. Check what is mounted there"
            ));
        }
        Err(error) => return Some(format!("{name}, {path}, cannot be looked at again: {error}")),
    }
    let required = deletion.require_file.as_ref()?;
    missing_file(tree, required).map(|missing| format!("{missing}. Check what is mounted there"))
}

/// What is wrong with the file that must be in a root; nothing where it is there.
pub fn missing_file(tree: &Tree, name: &Name) -> Option<String> {
    let wanted = tree.path().join(OsStr::from_bytes(name));
    match tree.root().look(name, Freshness::Server) {
        Ok(Some(Entry { kind: EntryKind::File { .. }, .. })) => None,
        Ok(Some(entry)) => Some(format!("the required file {} is {}", shown(&wanted), entry.kind.describe())),
        Ok(None) => Some(format!("the required file {} is not there", shown(&wanted))),
        Err(error) => Some(format!("the required file {} cannot be looked at: {error}", shown(&wanted))),
    }
}

/// An empty source is no evidence of anything.
fn emptiness(source: &Tree, filter: &Filter) -> Option<String> {
    let mut names = filter.in_directory(RelPath::root);
    let holds = source.holds(|name, entry| !names.excludes(name, Joined::SourceOnly(entry)));
    let path = shown(source.path());
    match holds {
        Ok(true) => None,
        Ok(false) => Some(format!(
            "the source, {path}, has no entry that takes part in the sync, as if its disk were not mounted. If it is \
             meant to be empty, empty the destination by hand"
        )),
        Err(error) => Some(format!("the source, {path}, cannot be listed again: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_of_dests_entries_and_never_stops_fewer_than_a_hundred() {
        let cases = [
            (MaxDelete::Percent(50.0), 10, 10, true),
            (MaxDelete::Percent(50.0), 99, 99, true),
            (MaxDelete::Percent(50.0), 100, 199, false),
            (MaxDelete::Percent(50.0), 100, 200, true),
            (MaxDelete::Percent(50.0), 101, 200, false),
            (MaxDelete::Percent(0.0), 99, 1_000_000, true),
            (MaxDelete::Percent(0.0), 100, 1_000_000, false),
            (MaxDelete::Percent(0.5), 5000, 1_000_000, true),
            (MaxDelete::Percent(0.5), 5001, 1_000_000, false),
            (MaxDelete::Count(0), 1, 1000, false),
            (MaxDelete::Count(5), 5, 5, true),
            (MaxDelete::Count(5), 6, 1000, false),
            (MaxDelete::Unlimited, u64::MAX, u64::MAX, true),
        ];
        for (max, count, dest_entries, allowed) in cases {
            let doubt = too_many(max, count, dest_entries);
            assert_eq!(doubt.is_none(), allowed, "{max:?}: {count} of {dest_entries}");
        }
        let told = too_many(MaxDelete::Percent(50.0), 300, 400).unwrap();
        for word in ["300 of 400", "--max-delete 50%", "is 200", "--max-delete 300"] {
            assert!(told.contains(word), "{told}");
        }
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
        let at = |len, seconds| Entry {
            kind: EntryKind::File { len },
            mtime: Timestamp { seconds, nanoseconds: 0 },
            ..Entry::unreadable(0)
        };
        let evidence = Evidence::default();
        evidence.did_not_arrive(&at(5, 100));
        let threshold = Duration::from_secs(2);
        assert!(evidence.is_wanted(&at(5, 102), threshold));
        assert!(!evidence.is_wanted(&at(5, 103), threshold));
        assert!(!evidence.is_wanted(&at(6, 100), threshold));
        assert_eq!(evidence.doubt(), None);
        (0..REMEMBERED as u64).for_each(|len| evidence.did_not_arrive(&at(len, 0)));
        assert!(evidence.doubt().is_some(), "too many to remember");
    }
}
