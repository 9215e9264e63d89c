//! Classify: what is to be done about one name, from the entries of both sides and nothing else.
//!
//! In come the joined entries and the rules, out goes a [`Decision`]. The winner is the same seen
//! from both sides: swap the entries and the mirrored ruling comes out. That is what keeps two
//! opposite runs from undoing each other, so the comparison is written once, for two sides that
//! do not know which of them is read (`Ruling`), and only then turned into work for a destination.

mod rules;

use std::cmp::Ordering;

use crate::model::{Carry, Decision, Entry, EntryKind, Failure, Joined, Leave, Md5, Side};

pub use self::rules::{Checksum, MinAge, Policy, Rules};

/// Decides about one name.
///
/// ```
/// use std::time::Duration;
///
/// use ha_sync::model::{Carry, Decision, Entry, EntryKind, Joined, Leave, Timestamp};
/// use ha_sync::pipeline::{Checksum, Rules, classify};
///
/// let rules = Rules {
///     mtime_threshold: Duration::from_secs(2),
///     granularity: Duration::from_nanos(1),
///     checksum: Checksum::Mismatch,
///     min_age: None,
/// };
/// let file = |len, seconds| Entry {
///     kind: EntryKind::File { len },
///     mtime: Timestamp { seconds, nanoseconds: 0 },
///     ..Entry::unreadable(0)
/// };
/// let (old, new) = (file(5, 1000), file(9, 1003));
///
/// // The newer version goes over; seen from the other side, the destination keeps it.
/// let replace = Carry::Replace { source: &new, dest: &old };
/// assert_eq!(classify(Joined::Both(&new, &old), &rules), Decision::Carry(replace));
/// assert_eq!(classify(Joined::Both(&old, &new), &rules), Decision::Leave(Leave::NewerAtDest));
/// assert_eq!(classify(Joined::DestOnly(&old), &rules), Decision::OnlyAtDest(&old));
/// ```
pub fn classify<'a>(joined: Joined<&'a Entry>, rules: &Rules) -> Decision<'a> {
    if let Some(hands_off) = hands_off(joined) {
        return hands_off;
    }
    match decide(joined, rules) {
        Decision::Carry(_) | Decision::OnlyAtDest(_) if is_young(joined, rules) => {
            Decision::Leave(Leave::TooYoung)
        }
        decision => decision,
    }
}

/// Whether one of the two is too young to be read, replaced or deleted.
fn is_young(joined: Joined<&Entry>, rules: &Rules) -> bool {
    let mut sides = [joined.source(), joined.dest()].into_iter().flatten();
    rules.min_age.is_some_and(|min_age| sides.any(|entry| min_age.is_young(entry)))
}

/// Decides about files, symlinks and directories: what must not be touched does not come here.
fn decide<'a>(joined: Joined<&'a Entry>, rules: &Rules) -> Decision<'a> {
    match joined {
        Joined::DestOnly(dest) => Decision::OnlyAtDest(dest),
        Joined::SourceOnly(Entry { kind: EntryKind::Directory, .. }) => Decision::Descend,
        Joined::SourceOnly(source) => Decision::Carry(Carry::Create { source }),
        Joined::Both(source, dest) => match rule(source, dest, rules) {
            Ruling::Descend => Decision::Descend,
            Ruling::Equal { close } => Decision::Leave(Leave::InSync { close }),
            Ruling::Wins { winner: Side::Source, compare: true } => {
                Decision::Carry(Carry::Compare { source, dest, tie: false })
            }
            Ruling::Wins { winner: Side::Source, compare: false } => {
                Decision::Carry(Carry::Replace { source, dest })
            }
            Ruling::Wins { winner: Side::Dest, .. } => Decision::Leave(Leave::NewerAtDest),
            Ruling::TieUnlessEqual => Decision::Carry(Carry::Compare { source, dest, tie: true }),
            Ruling::Conflict => {
                Decision::Fail(Failure::conflict(source.kind.describe(), dest.kind.describe()))
            }
        },
    }
}

/// A file and the digest of its content.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Hashed<'e> {
    pub(in crate::pipeline) entry: &'e Entry,
    pub(in crate::pipeline) md5: Md5,
}

/// The winner between two files of equal size and mtime whose contents turned out to differ.
///
/// The exact mtime decides, then the greater digest: arbitrary, but the same from both sides.
pub(in crate::pipeline) fn break_tie(source: Hashed<'_>, dest: Hashed<'_>) -> Side {
    let order = source.entry.mtime.cmp(&dest.entry.mtime).then(source.md5.cmp(&dest.md5));
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
    TieUnlessEqual,
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
            Checksum::Always if close => Ruling::TieUnlessEqual,
            _ if close => Ruling::Equal { close: !alike },
            checksum => wins(source.mtime.cmp(&dest.mtime), checksum != Checksum::Never),
        },
        // Within the threshold the exact mtime still decides, then the larger size: a truncated
        // copy loses.
        (File { len }, File { len: other }) => {
            wins(source.mtime.cmp(&dest.mtime).then(len.cmp(other)), false)
        }
        (Symlink { target }, Symlink { target: other }) if target == other => {
            Ruling::Equal { close: false }
        }
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

/// What must not be touched, whatever stands on the other side. What is unknown comes first: it is
/// a failure, while the others are an ordinary sight.
fn hands_off(joined: Joined<&Entry>) -> Option<Decision<'static>> {
    let (source, dest) = (joined.source(), joined.dest());
    for (side, entry) in [(Side::Source, source), (Side::Dest, dest)] {
        if let Some(&Entry { kind: EntryKind::Unreadable { errno }, .. }) = entry {
            return Some(Decision::Fail(Failure::unknown(side, errno)));
        }
    }
    let either =
        |kind: EntryKind| [source, dest].into_iter().flatten().any(|entry| entry.kind == kind);
    if either(EntryKind::MountPoint) {
        Some(Decision::Leave(Leave::MountPoint))
    } else {
        either(EntryKind::Special).then_some(Decision::Leave(Leave::Special))
    }
}

#[cfg(test)]
mod tests;
