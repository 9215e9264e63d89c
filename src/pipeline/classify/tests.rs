//! The whole table of decisions, one sentence a row, and the promise that both sides see the same
//! winner.

use proptest::prelude::*;

use std::time::Duration;

use super::*;
use crate::model::Timestamp;

const NOW: i64 = 1_700_000_000_000;

/// An entry that was last changed so many milliseconds after `NOW`.
fn entry(kind: EntryKind, milliseconds: i64) -> Entry {
    let at = NOW + milliseconds;
    let mtime = Timestamp { seconds: at / 1000, nanoseconds: (at % 1000 * 1_000_000) as u32 };
    Entry { kind, mtime, ctime: mtime, inode: 1, mode: 0o644, uid: 0, gid: 0, links: 1 }
}

fn file(len: u64, milliseconds: i64) -> Entry {
    entry(EntryKind::File { len }, milliseconds)
}

fn link(target: &str, milliseconds: i64) -> Entry {
    entry(EntryKind::Symlink { target: target.as_bytes().into() }, milliseconds)
}

fn dir(milliseconds: i64) -> Entry {
    entry(EntryKind::Directory, milliseconds)
}

fn special() -> Entry {
    entry(EntryKind::Special, 0)
}

fn mount() -> Entry {
    entry(EntryKind::MountPoint, 0)
}

fn unreadable() -> Entry {
    Entry::unreadable(13)
}

fn rules(checksum: Checksum) -> Rules {
    Rules {
        mtime_threshold: Duration::from_secs(2),
        granularity: Duration::ZERO,
        checksum,
        min_age: None,
    }
}

/// A decision in the table's words.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Row {
    Copy(u64),
    Compare(u64),
    Tie(u64),
    CarryLink(Box<[u8]>),
    Descend,
    Extra,
    InSync { close: bool },
    KeepDest,
    TooYoung,
    SkipSpecial,
    SkipMountPoint,
    Fail(Failure),
}

/// Decides, and checks that what is to be carried is what was joined.
fn decide(joined: Joined<&Entry>, rules: &Rules) -> Row {
    let carry = match classify(joined, rules) {
        Decision::Carry(carry) => carry,
        Decision::Descend => return Row::Descend,
        Decision::OnlyAtDest(dest) => {
            assert_eq!(joined, Joined::DestOnly(dest));
            return Row::Extra;
        }
        Decision::Leave(Leave::InSync { close }) => return Row::InSync { close },
        Decision::Leave(Leave::NewerAtDest) => return Row::KeepDest,
        Decision::Leave(Leave::TooYoung) => return Row::TooYoung,
        Decision::Leave(Leave::Special) => return Row::SkipSpecial,
        Decision::Leave(Leave::MountPoint) => return Row::SkipMountPoint,
        Decision::Fail(failure) => return Row::Fail(failure),
    };
    assert_eq!((Some(*carry.source()), carry.dest().copied()), (joined.source(), joined.dest()));
    match (&carry.source().kind, &carry) {
        (EntryKind::File { len }, Carry::Compare { tie: true, .. }) => Row::Tie(*len),
        (EntryKind::File { len }, Carry::Compare { tie: false, .. }) => Row::Compare(*len),
        (EntryKind::File { len }, _) => Row::Copy(*len),
        (EntryKind::Symlink { target }, Carry::Create { .. } | Carry::Replace { .. }) => {
            Row::CarryLink(target.clone())
        }
        (kind, carry) => panic!("{kind:?} is not carried by {carry:?}"),
    }
}

fn hashed(entry: &Entry, md5: Md5) -> Hashed<'_> {
    Hashed { entry, md5 }
}

fn copy(len: u64) -> Row {
    Row::Copy(len)
}

fn compare(len: u64) -> Row {
    Row::Compare(len)
}

fn carry_link(target: &str) -> Row {
    Row::CarryLink(target.as_bytes().into())
}

fn in_sync() -> Row {
    Row::InSync { close: false }
}

fn conflict(source: &'static str, dest: &'static str) -> Row {
    Row::Fail(Failure::conflict(source, dest))
}

#[test]
fn every_combination_is_decided_as_the_table_says() {
    use Row::{Descend, Extra, KeepDest, SkipMountPoint, SkipSpecial};
    let unknown = |side| Row::Fail(Failure::unknown(side, 13));
    #[rustfmt::skip]
    let table: Vec<(&str, Option<Entry>, Option<Entry>, Row)> = vec![
        ("a file that dest lacks is copied", Some(file(5, 0)), None, copy(5)),
        ("an empty file that dest lacks is copied", Some(file(0, 0)), None, copy(0)),
        ("a symlink that dest lacks is carried", Some(link("t", 0)), None, carry_link("t")),
        ("a directory that dest lacks is entered", Some(dir(0)), None, Descend),
        ("a fifo that dest lacks is left alone", Some(special()), None, SkipSpecial),
        ("a mount point that dest lacks is left alone", Some(mount()), None, SkipMountPoint),
        ("what can't be looked at is not concluded about", Some(unreadable()), None, unknown(Side::Source)),
        ("a file that only dest has is kept", None, Some(file(5, 0)), Extra),
        ("a directory that only dest has is kept", None, Some(dir(0)), Extra),
        ("a symlink that only dest has is kept", None, Some(link("t", 0)), Extra),
        ("a fifo that only dest has is left alone", None, Some(special()), SkipSpecial),
        ("a mount point that only dest has is left alone", None, Some(mount()), SkipMountPoint),
        ("what only dest has and can't be looked at is unknown", None, Some(unreadable()), unknown(Side::Dest)),

        ("same size, same mtime: in sync", Some(file(5, 0)), Some(file(5, 0)), in_sync()),
        ("same size, a bit newer: in sync, and counted as close", Some(file(5, 1)), Some(file(5, 0)), Row::InSync { close: true }),
        ("same size, a bit older: in sync, and counted as close", Some(file(5, 0)), Some(file(5, 1)), Row::InSync { close: true }),
        ("the threshold itself still counts as equal", Some(file(5, 2000)), Some(file(5, 0)), Row::InSync { close: true }),
        ("same size, newer: compare before copying", Some(file(5, 2001)), Some(file(5, 0)), compare(5)),
        ("same size, older: the opposite run carries it", Some(file(5, 0)), Some(file(5, 2001)), KeepDest),
        ("other size, newer: copy", Some(file(5, 2001)), Some(file(9, 0)), copy(5)),
        ("other size, older: keep, however much larger", Some(file(9, 0)), Some(file(5, 2001)), KeepDest),
        ("a tie of other size goes to the exact mtime", Some(file(5, 1)), Some(file(9, 0)), copy(5)),
        ("and from the other side", Some(file(9, 0)), Some(file(5, 1)), KeepDest),
        ("a tie of other size and same mtime goes to the larger", Some(file(9, 0)), Some(file(5, 0)), copy(9)),
        ("so a truncated copy never wins", Some(file(0, 0)), Some(file(5, 0)), KeepDest),

        ("same target: in sync, whatever the mtimes", Some(link("t", 9000)), Some(link("t", 0)), in_sync()),
        ("other target: the newer symlink wins", Some(link("a", 1)), Some(link("b", 0)), carry_link("a")),
        ("other target, older: keep", Some(link("b", 0)), Some(link("a", 1)), KeepDest),
        ("other target, same mtime: the greater target wins", Some(link("b", 0)), Some(link("a", 0)), carry_link("b")),
        ("and from the other side", Some(link("a", 0)), Some(link("b", 0)), KeepDest),

        ("a newer file replaces a symlink", Some(file(5, 2001)), Some(link("t", 0)), copy(5)),
        ("a newer symlink replaces a file", Some(link("t", 2001)), Some(file(5, 0)), carry_link("t")),
        ("an older file yields to a symlink", Some(file(5, 0)), Some(link("t", 2001)), KeepDest),
        ("an older symlink yields to a file", Some(link("t", 0)), Some(file(5, 2001)), KeepDest),
        ("on a tie the file replaces the symlink", Some(file(5, 0)), Some(link("t", 1999)), copy(5)),
        ("on a tie the symlink does not replace the file", Some(link("t", 1999)), Some(file(5, 0)), KeepDest),

        ("two directories are entered, whatever their mtimes", Some(dir(0)), Some(dir(99_000)), Descend),
        ("a directory never replaces a file", Some(dir(99_000)), Some(file(5, 0)), conflict("a directory", "a file")),
        ("a file never replaces a directory", Some(file(5, 99_000)), Some(dir(0)), conflict("a file", "a directory")),
        ("a symlink never replaces a directory", Some(link("t", 99_000)), Some(dir(0)), conflict("a symlink", "a directory")),
        ("a directory never replaces a symlink", Some(dir(99_000)), Some(link("t", 0)), conflict("a directory", "a symlink")),

        ("nothing replaces a fifo", Some(file(5, 99_000)), Some(special()), SkipSpecial),
        ("a fifo replaces nothing", Some(special()), Some(file(5, 0)), SkipSpecial),
        ("a directory does not replace a fifo", Some(dir(99_000)), Some(special()), SkipSpecial),
        ("nothing is carried into a mount point", Some(dir(0)), Some(mount()), SkipMountPoint),
        ("nothing is carried out of a mount point", Some(mount()), Some(dir(0)), SkipMountPoint),
        ("an unreadable source leaves dest alone", Some(unreadable()), Some(file(5, 0)), unknown(Side::Source)),
        ("nothing is carried over an unreadable dest", Some(file(5, 99_000)), Some(unreadable()), unknown(Side::Dest)),
        ("unreadable comes before everything else", Some(mount()), Some(unreadable()), unknown(Side::Dest)),
    ];
    for (sentence, source, dest, expected) in &table {
        let joined = Joined::new(source.as_ref(), dest.as_ref()).unwrap();
        assert_eq!(&decide(joined, &rules(Checksum::Mismatch)), expected, "{sentence}");
    }
}

#[test]
fn checksum_says_when_contents_are_compared() {
    let classify = |checksum, source: Entry, dest: Entry| {
        decide(Joined::Both(&source, &dest), &rules(checksum))
    };
    let tie = Row::Tie(5);
    assert_eq!(
        classify(Checksum::Never, file(5, 9000), file(5, 0)),
        copy(5),
        "never: a newer mtime means a copy"
    );
    assert_eq!(
        classify(Checksum::Never, file(5, 0), file(5, 0)),
        in_sync(),
        "never: equal is equal"
    );
    assert_eq!(
        classify(Checksum::Always, file(5, 9000), file(5, 0)),
        compare(5),
        "always: newer is compared"
    );
    assert_eq!(classify(Checksum::Always, file(5, 0), file(5, 0)), tie, "always: so is equal");
    assert_eq!(
        classify(Checksum::Always, file(5, 1), file(5, 0)),
        tie,
        "always: and what is close"
    );
    assert_eq!(
        classify(Checksum::Always, file(5, 0), file(5, 9000)),
        Row::KeepDest,
        "always: older is kept"
    );
    assert_eq!(
        classify(Checksum::Always, file(6, 0), file(5, 0)),
        copy(6),
        "always: sizes tell already"
    );
}

#[test]
fn what_changed_too_recently_is_neither_read_nor_replaced_nor_deleted() {
    let now = entry(EntryKind::Directory, 0).mtime;
    let min_age = Some(MinAge { age: Duration::from_secs(60), now });
    let rules = Rules { min_age, ..rules(Checksum::Mismatch) };
    let (young, old, older) = (-59_999, -60_000, -90_000);
    const DAY: i64 = 24 * 3600 * 1000;
    #[rustfmt::skip]
    let table: Vec<(&str, Option<Entry>, Option<Entry>, Row)> = vec![
        ("a young file is not carried", Some(file(5, young)), None, Row::TooYoung),
        ("one of the age itself is", Some(file(5, old)), None, copy(5)),
        ("a young symlink is not carried", Some(link("t", young)), None, Row::TooYoung),
        ("a young directory is entered", Some(dir(young)), None, Row::Descend),
        ("a young version does not replace an old one", Some(file(5, young)), Some(file(9, old)), Row::TooYoung),
        ("where dest wins, age says nothing", Some(file(5, young)), Some(file(9, young)), Row::KeepDest),
        ("nor is a young version replaced", Some(file(9, young)), Some(file(5, young)), Row::TooYoung),
        ("an old one is", Some(file(5, old)), Some(file(9, older)), copy(5)),
        ("a young file that only dest has stays", None, Some(file(5, young)), Row::TooYoung),
        ("so does a young directory", None, Some(dir(young)), Row::TooYoung),
        ("an old file that only dest has may go", None, Some(file(5, old)), Row::Extra),
        ("what is in sync is in sync at any age", Some(file(5, young)), Some(file(5, young)), in_sync()),
        ("a date that a wrong clock may have made is young", Some(file(5, DAY - 1)), None, Row::TooYoung),
        ("a date further ahead says nothing", Some(file(5, DAY)), None, copy(5)),
    ];
    for (sentence, source, dest, expected) in &table {
        let joined = Joined::new(source.as_ref(), dest.as_ref()).unwrap();
        assert_eq!(&decide(joined, &rules), expected, "{sentence}");
    }
}

#[test]
fn a_tie_of_contents_is_broken_by_the_exact_mtime_and_then_by_the_digest() {
    let (low, high) = (Md5([1; 16]), Md5([2; 16]));
    let (early, late) = (file(5, 0), file(5, 1));
    assert_eq!(break_tie(hashed(&late, low), hashed(&early, high)), Side::Source);
    assert_eq!(break_tie(hashed(&early, high), hashed(&late, low)), Side::Dest);
    assert_eq!(break_tie(hashed(&early, high), hashed(&early, low)), Side::Source);
    assert_eq!(break_tie(hashed(&early, low), hashed(&early, high)), Side::Dest);
}

#[test]
fn a_threshold_of_nothing_tells_a_nanosecond() {
    let exact = Rules { mtime_threshold: Duration::ZERO, ..rules(Checksum::Mismatch) };
    let (old, mut new) = (file(5, 0), file(5, 0));
    new.mtime.nanoseconds += 1;
    assert_eq!(decide(Joined::Both(&new, &old), &exact), compare(5));
    assert_eq!(decide(Joined::Both(&old, &new), &exact), Row::KeepDest);
}

#[test]
fn what_the_coarser_side_cannot_tell_apart_is_equal() {
    let rules = |seconds| Rules {
        mtime_threshold: Duration::ZERO,
        granularity: Duration::from_secs(seconds),
        ..rules(Checksum::Mismatch)
    };
    let decide =
        |source: &Entry, dest: &Entry, seconds| decide(Joined::Both(source, dest), &rules(seconds));
    let (whole, later, next, far) = (file(5, 0), file(5, 999), file(5, 1000), file(5, 2000));
    for (source, dest) in [(&whole, &later), (&later, &whole)] {
        assert_eq!(decide(source, dest, 1), in_sync());
        assert_eq!(decide(source, dest, 2), in_sync());
    }
    assert_eq!(decide(&next, &later, 1), compare(5), "a millisecond that crosses a second");
    assert_eq!(decide(&next, &whole, 2), in_sync());
    assert_eq!(decide(&far, &next, 2), compare(5));
    assert_eq!(decide(&file(6, 999), &whole, 1), copy(6), "another size is another content");
}

fn any_entry() -> impl Strategy<Value = Entry> {
    // Few values, so that ties of every kind are frequent.
    let milliseconds =
        prop_oneof![Just(0), Just(1), Just(1999), Just(2000), Just(2001), Just(5000)];
    let kind = prop_oneof![
        4 => (0_u64..3).prop_map(|len| EntryKind::File { len }),
        3 => prop_oneof![Just(&b"a"[..]), Just(&b"b"[..]), Just(&b"\xff"[..])].prop_map(|target| EntryKind::Symlink { target: target.into() }),
        2 => Just(EntryKind::Directory),
        1 => Just(EntryKind::Special),
        1 => Just(EntryKind::MountPoint),
        1 => Just(EntryKind::Unreadable { errno: 5 }),
    ];
    (kind, milliseconds).prop_map(|(kind, milliseconds)| entry(kind, milliseconds))
}

/// Who wins, seen from one direction; `None` if nobody does.
fn winner(source: &Entry, dest: &Entry, rules: &Rules) -> Option<Side> {
    match classify(Joined::Both(source, dest), rules) {
        Decision::Leave(Leave::NewerAtDest) => Some(Side::Dest),
        Decision::Carry(Carry::Compare { tie: true, .. }) => {
            // Let the contents differ in a way that both directions see alike: by inode here.
            let digest = |entry: &Entry| Md5([entry.inode as u8; 16]);
            Some(break_tie(hashed(source, digest(source)), hashed(dest, digest(dest))))
        }
        Decision::Carry(_) => Some(Side::Source),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn both_directions_see_the_same_winner(
        left in any_entry(),
        mut right in any_entry(),
        checksum in prop_oneof![Just(Checksum::Mismatch), Just(Checksum::Always), Just(Checksum::Never)],
    ) {
        right.inode = 2;
        let there = winner(&left, &right, &rules(checksum));
        let back = winner(&right, &left, &rules(checksum));
        let mirrored = match back {
            Some(Side::Source) => Some(Side::Dest),
            Some(Side::Dest) => Some(Side::Source),
            None => None,
        };
        prop_assert_eq!(there, mirrored);
    }

    #[test]
    fn what_was_carried_over_is_in_sync_afterwards(source in any_entry(), dest in any_entry()) {
        let before = classify(Joined::Both(&source, &dest), &rules(Checksum::Mismatch));
        if matches!(before, Decision::Carry(_)) {
            let after = decide(Joined::Both(&source, &source), &rules(Checksum::Mismatch));
            prop_assert_eq!(after, in_sync());
        }
    }
}
