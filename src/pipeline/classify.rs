//! Classify: what is to be done about one name, from the entries of both sides and nothing else.
//!
//! In come the joined entries and the rules, out goes a [`Decision`]. The winner is the same seen
//! from both sides: swap the entries and the mirrored ruling comes out. That is what keeps two
//! opposite runs from undoing each other, so the comparison is written once, for two sides that
//! do not know which of them is read ([`Ruling`]), and only then turned into work for a destination.

use std::cmp::Ordering;
use std::time::Duration;

use crate::model::{Action, Decision, Entry, EntryKind, Joined, Md5, Side, Timestamp};

/// The user's options that decide.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Two mtimes no further apart than this are equal.
    pub mtime_threshold: Duration,
    /// Steps in which the coarser side keeps mtimes: those that show alike there are equal, too.
    pub granularity: Duration,
    /// When contents are compared.
    pub checksum: Checksum,
    /// How old a file has to be; nothing: any age will do.
    pub min_age: Option<MinAge>,
}

impl Rules {
    /// Whether two mtimes are the same as far as both sides can tell.
    pub(super) fn are_alike(&self, one: Timestamp, other: Timestamp) -> bool {
        one.truncated(self.granularity) == other.truncated(self.granularity)
    }

    /// Whether two mtimes count as equal.
    pub(super) fn are_close(&self, one: Timestamp, other: Timestamp) -> bool {
        self.are_alike(one, other) || one.distance(other) <= self.mtime_threshold
    }
}

/// The age from which on files, and directories that would be deleted, are touched: what is younger may still be
/// on its way here.
#[derive(Clone, Copy, Debug)]
pub struct MinAge {
    /// How long ago its last change must be.
    pub age: Duration,
    /// When the run began.
    pub now: Timestamp,
}

/// A file dated further ahead than this is no fresh one seen by a wrong clock: its date says nothing.
const AHEAD: Duration = Duration::from_secs(24 * 3600);

impl MinAge {
    fn is_young(self, entry: &Entry) -> bool {
        let distance = entry.mtime.distance(self.now);
        distance < if entry.mtime > self.now { self.age.max(AHEAD) } else { self.age }
    }
}

/// When the contents of two files of one size are compared by MD5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Where the mtimes differ.
    Mismatch,
    /// Also where they are equal.
    Always,
    /// Never: a newer mtime means a copy.
    Never,
}

/// Decides about one name.
pub fn classify(joined: Joined<'_>, rules: &Rules) -> Decision {
    if let Some(hands_off) = hands_off(joined) {
        return hands_off;
    }
    match decide(joined, rules) {
        Decision::Act(_) | Decision::Extra if is_young(joined, rules) => Decision::SkipYoung,
        decision => decision,
    }
}

/// Whether one of the two is too young to be read, replaced or deleted.
fn is_young(joined: Joined<'_>, rules: &Rules) -> bool {
    let mut sides = [joined.source(), joined.dest()].into_iter().flatten();
    rules.min_age.is_some_and(|min_age| sides.any(|entry| min_age.is_young(entry)))
}

fn decide(joined: Joined<'_>, rules: &Rules) -> Decision {
    match joined {
        Joined::DestOnly(_) => Decision::Extra,
        Joined::SourceOnly(source) => carry(source, false),
        Joined::Both(source, dest) => match rule(source, dest, rules) {
            Ruling::Descend => Decision::Descend,
            Ruling::Equal { close } => Decision::InSync { close },
            Ruling::Wins { winner: Side::Source, compare } => carry(source, compare),
            Ruling::Wins { winner: Side::Dest, .. } => Decision::KeepDest,
            Ruling::TieUnlessEqual { len } => Decision::Act(Action::CompareThenBreakTie { len }),
            Ruling::Conflict => {
                Decision::Conflict { source: source.kind.describe(), dest: dest.kind.describe() }
            }
        },
    }
}

/// The winner between two files of equal size and mtime whose contents turned out to differ.
///
/// The exact mtime decides, then the greater digest: arbitrary, but the same from both sides.
pub(super) fn break_tie(source: (&Entry, Md5), dest: (&Entry, Md5)) -> Side {
    let order = source.0.mtime.cmp(&dest.0.mtime).then(source.1.cmp(&dest.1));
    if order == Ordering::Greater { Side::Source } else { Side::Dest }
}

/// The comparison of two sides, without a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ruling {
    /// Two directories.
    Descend,
    /// Nothing to carry.
    Equal { close: bool },
    /// This side holds the newer version; `compare`: look at the contents first, they may be equal.
    Wins { winner: Side, compare: bool },
    /// Equal as far as metadata tells; the contents shall be compared.
    TieUnlessEqual { len: u64 },
    /// A directory against something else.
    Conflict,
}

fn rule(source: &Entry, dest: &Entry, rules: &Rules) -> Ruling {
    use EntryKind::{Directory, File, Symlink};
    let alike = rules.are_alike(source.mtime, dest.mtime);
    let close = rules.are_close(source.mtime, dest.mtime);
    match (&source.kind, &dest.kind) {
        (Directory, Directory) => Ruling::Descend,
        (Directory, _) | (_, Directory) => Ruling::Conflict,
        (File { len }, File { len: other }) if len == other => match rules.checksum {
            Checksum::Always if close => Ruling::TieUnlessEqual { len: *len },
            _ if close => Ruling::Equal { close: !alike },
            checksum => wins(source.mtime.cmp(&dest.mtime), checksum != Checksum::Never),
        },
        // Within the threshold the exact mtime still decides, then the larger: a truncated copy loses.
        (File { len }, File { len: other }) => {
            wins(source.mtime.cmp(&dest.mtime).then(len.cmp(other)), false)
        }
        (Symlink { target }, Symlink { target: other }) if target == other => Ruling::Equal { close: false },
        (Symlink { target }, Symlink { target: other }) => {
            wins(source.mtime.cmp(&dest.mtime).then(target.cmp(other)), false)
        }
        // Two kinds: the newer wins, on a tie the file.
        (File { .. }, _) if close => Ruling::Wins { winner: Side::Source, compare: false },
        (_, File { .. }) if close => Ruling::Wins { winner: Side::Dest, compare: false },
        _ => wins(source.mtime.cmp(&dest.mtime), false),
    }
}

/// `order` is never `Equal` here: whoever calls has broken the tie.
fn wins(order: Ordering, compare: bool) -> Ruling {
    let winner = if order == Ordering::Greater { Side::Source } else { Side::Dest };
    Ruling::Wins { winner, compare }
}

/// What must not be touched, whatever stands on the other side. What is unknown comes first: it
/// is a failure, while the others are an ordinary sight.
fn hands_off(joined: Joined<'_>) -> Option<Decision> {
    let (source, dest) = (joined.source(), joined.dest());
    for (side, entry) in [(Side::Source, source), (Side::Dest, dest)] {
        if let Some(&Entry { kind: EntryKind::Unreadable { errno }, .. }) = entry {
            return Some(Decision::Unknown { side, errno });
        }
    }
    let either = |kind: EntryKind| [source, dest].into_iter().flatten().any(|entry| entry.kind == kind);
    if either(EntryKind::MountPoint) {
        Some(Decision::SkipMountPoint)
    } else {
        either(EntryKind::Special).then_some(Decision::SkipSpecial)
    }
}

/// Work for the destination: the source's version goes over.
fn carry(source: &Entry, compare: bool) -> Decision {
    match &source.kind {
        EntryKind::File { len } if compare => Decision::Act(Action::CompareThenCarry { len: *len }),
        EntryKind::File { len } => Decision::Act(Action::CopyFile { len: *len }),
        EntryKind::Symlink { target } => Decision::Act(Action::CopySymlink { target: target.clone() }),
        EntryKind::Directory => Decision::Descend,
        EntryKind::Special => Decision::SkipSpecial,
        EntryKind::MountPoint => Decision::SkipMountPoint,
        EntryKind::Unreadable { errno } => Decision::Unknown { side: Side::Source, errno: *errno },
    }
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
