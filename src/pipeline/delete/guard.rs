//! Guard: whether the evidence is good enough to delete anything at all.
//!
//! The guard is asked once, after every copy has its result and before the first deletion. The
//! answer holds for all candidates: all of them are tried or none. What must hold for a single
//! candidate is looked at right before it is deleted (`recheck`).
//!
//! A mirror that deletes on bad evidence is worse than none: an empty source is more often a disk
//! that is not mounted than a wish, and a destination that cannot take new files must not lose old
//! ones, which may be the same files under their former names.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::candidates::Collected;
use crate::model::{Entry, EntryKind, Joined, Name, RelPath, Side};
use crate::pipeline::context::Context;
use crate::pipeline::options::{Deletion, MaxDelete};
use crate::pipeline::selection::Selection;
use crate::pipeline::trees::Trees;
use crate::tree::{Freshness, Tree};

/// A percentage never stops fewer candidates than this: in a small folder, half of it is an
/// ordinary day's work.
const ORDINARY: u64 = 100;

/// Why none of the candidates may be deleted; `None` if they may.
pub(in crate::pipeline) fn doubt(
    context: &Context<'_>,
    trees: &Trees,
    deletion: &Deletion,
    collected: &Collected,
) -> Option<String> {
    let lost = || {
        let error = collected.lost.as_ref()?;
        Some(format!(
            "the list of candidates could not be kept: {error}. Set TMPDIR to a folder on a disk with room"
        ))
    };
    let required = deletion.require_file.as_ref();
    lost()
        .or_else(|| root_doubt(&trees.source, Side::Source, required))
        .or_else(|| root_doubt(&trees.dest, Side::Dest, required))
        .or_else(|| emptiness(&trees.source, &context.options.selection))
        .or_else(|| context.evidence.doubt())
        .or_else(|| too_many(deletion.max, collected.count, context.counted().dest_entries))
}

fn too_many(max: MaxDelete, count: u64, dest_entries: u64) -> Option<String> {
    let (allowed, limit) = match max {
        MaxDelete::Unlimited => return None,
        MaxDelete::Count(allowed) => (allowed, format!("--max-delete {allowed} allows")),
        MaxDelete::Percent(percent) => {
            // Rounded down, and exact up to 2^53 entries.
            let allowed = ((dest_entries as f64 * percent / 100.0) as u64).max(ORDINARY - 1);
            (allowed, format!("--max-delete {percent}% allows, which is {allowed}"))
        }
    };
    (count > allowed).then(|| {
        format!(
            "{count} of {dest_entries} entries would go, more than {limit}. If that is right, run once with \
             --max-delete {count}"
        )
    })
}

/// The root that was opened at the start must still be what its path leads to, with the file that
/// marks it.
fn root_doubt(tree: &Tree, side: Side, required: Option<&Name>) -> Option<String> {
    let (path, name) = (tree.path().display(), side.name());
    match tree.is_in_place() {
        Ok(true) => {}
        Ok(false) => {
            return Some(format!(
                "{name}, {path}, is no longer the folder that it was when the run began. Check what is mounted there"
            ));
        }
        Err(error) => return Some(format!("{name}, {path}, cannot be looked at again: {error}")),
    }
    missing_file(tree, required?).map(|missing| format!("{missing}. Check what is mounted there"))
}

/// What is wrong with the file that must be in a root; `None` if it is there.
pub fn missing_file(tree: &Tree, name: &Name) -> Option<String> {
    let wanted = tree.path().join(OsStr::from_bytes(name));
    let is = match tree.root().look(name, Freshness::Server) {
        Ok(Some(Entry { kind: EntryKind::File { .. }, .. })) => return None,
        Ok(Some(entry)) => format!("is {}", entry.kind.describe()),
        Ok(None) => "is not there".to_owned(),
        Err(error) => format!("cannot be looked at: {error}"),
    };
    Some(format!("the required file {} {is}", wanted.display()))
}

/// An empty source does not prove anything.
fn emptiness(source: &Tree, selection: &Selection) -> Option<String> {
    let mut names = selection.in_directory(RelPath::root);
    let holds = source.holds(|name, entry| !names.excludes(name, Joined::SourceOnly(entry)));
    let path = source.path().display();
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
}
