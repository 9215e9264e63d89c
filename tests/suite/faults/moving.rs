//! Files that change while they are being read or given metadata. The run is held right behind one
//! of its calls, the file is changed, and the run goes on.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode};

use super::check::Before;
use super::strace::{Held, Reach, made_by};
use crate::fixture::*;

/// Three reads and writes long.
const LARGE: usize = 600 << 10;

/// What happens to something, in words and in deed.
type Happening<T> = (&'static str, fn(&T));

/// What happens to the file.
const CHANGES: [Happening<Path>; 8] = [
    ("it is truncated", |file| {
        File::options().write(true).open(file).unwrap().set_len(1000).unwrap();
    }),
    ("it is emptied", |file| fs::write(file, "").unwrap()),
    ("it grows", |file| {
        File::options().append(true).open(file).unwrap().write_all(&[3; LARGE]).unwrap();
    }),
    ("it is written over", |file| fs::write(file, vec![4; LARGE]).unwrap()),
    ("another file takes its place", |file| {
        put_in_its_place(file, |new| fs::write(new, "new").unwrap());
    }),
    ("a fifo takes its place", |file| {
        put_in_its_place(file, |new| {
            rustix::fs::mknodat(CWD, new, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        });
    }),
    ("a symlink takes its place", |file| {
        put_in_its_place(file, |new| std::os::unix::fs::symlink("/etc/passwd", new).unwrap());
    }),
    ("it is removed", |file| fs::remove_file(file).unwrap()),
];

/// Where the run stands. The file has been listed and not yet opened; opened; partly read; partly
/// written and wholly written; looked at again; given its name.
const MOMENTS: [(&str, usize); 7] = [
    ("readlinkat", 1),
    ("openat", 1),
    ("pread64", 1),
    ("pwrite64", 1),
    ("pwrite64", 3),
    ("utimensat", 1),
    ("renameat", 1),
];

fn put_in_its_place(file: &Path, make: impl Fn(&Path)) {
    let new = file.with_extension("new");
    make(&new);
    fs::rename(new, file).unwrap();
}

/// A file to be updated, and a symlink in front of it.
fn scenario() -> Fixture {
    let pair = Fixture::new();
    write(&pair.a, "dir/file", vec![1; LARGE], T0 + 100);
    write(&pair.b, "dir/file", "the old version", T0);
    symlink(&pair.a, "dir/a-link", "x", T0);
    pair
}

fn held(pair: &Fixture, call: &str, when: usize) -> Held {
    // What writes has no name that is known before, and nobody else makes these calls.
    let writes = ["pwrite64", "utimensat", "fchown", "renameat"].contains(&call);
    let reach = if writes { Reach::Anywhere } else { Reach::Below };
    Held::behind(pair, pair.command().args(["--format", "json"]), reach, call, when)
}

/// The source was changed while the run is held; what the run then does and says must stand.
fn tells_the_truth(fault: &str, held: Held, mut before: Before) -> Before {
    before.source_changed();
    let ran = held.go_on();
    before.nothing_is_lost(fault);
    before.was_told(fault, &ran);
    before
}

fn stands(fault: &str, pair: &Fixture, held: Held, before: Before) {
    tells_the_truth(fault, held, before).is_mended_by(fault, &pair.sync(&[]));
}

#[test]
fn a_file_that_changes_while_it_is_carried_arrives_whole_in_one_of_its_versions() {
    for (call, when) in MOMENTS {
        for (what, change) in CHANGES {
            let pair = scenario();
            let before = Before::of(&pair.a, &pair.b);
            let held = held(&pair, call, when);
            change(&pair.a.join("dir/file"));
            stands(&format!("{what} behind {call} number {when}"), &pair, held, before);
        }
    }
}

/// Neither the digest nor the metadata of a version that is gone is taken for the present one's.
#[test]
fn a_file_that_changes_while_it_is_compared_arrives_whole_in_one_of_its_versions() {
    for content in [1, 2] {
        for (what, change) in CHANGES {
            for when in [1, 3, 4, 6] {
                let pair = scenario();
                write(&pair.b, "dir/file", vec![content; LARGE], T0);
                let before = Before::of(&pair.a, &pair.b);
                let held = held(&pair, "pread64", when);
                change(&pair.a.join("dir/file"));
                stands(
                    &format!("{what} while it is compared, behind read {when}"),
                    &pair,
                    held,
                    before,
                );
            }
        }
    }
}

/// An edit that got an older mtime would be taken for what the source has, for ever.
#[test]
fn a_destination_that_is_edited_while_it_is_given_metadata_stays_the_newer_one() {
    // The file has been compared: behind the question whether it may be changed, and when it has
    // its owner.
    for call in ["utimensat", "fchown"] {
        let pair = scenario();
        let edited = write(&pair.b, "dir/file", vec![1; LARGE], T0);
        std::os::unix::fs::chown(&edited, Some(1000), Some(1000)).unwrap();
        let held = held(&pair, call, 1);
        let mut file = File::options().write(true).open(&edited).unwrap();
        file.write_all(b"edited").unwrap();
        let mtime = file.metadata().unwrap().modified().unwrap();
        let ran = held.go_on();
        assert_eq!(ran.code, Some(1), "behind {call}: {}{}", ran.stdout, ran.stderr);
        assert!(
            ran.stdout.contains("the destination was changed"),
            "behind {call}: {}",
            ran.stdout
        );
        assert_eq!(fs::metadata(&edited).unwrap().modified().unwrap(), mtime, "behind {call}");
        pair.counts_back(&[]).expect(&[("updated", 1)]);
        assert_eq!(
            fs::read(pair.a.join("dir/file")).unwrap(),
            fs::read(&edited).unwrap(),
            "behind {call}"
        );
    }
}

#[test]
fn a_file_that_a_directory_replaces_while_it_is_carried_is_left_for_the_next_run() {
    for (call, when) in [("openat", 1), ("pread64", 1), ("pwrite64", 3)] {
        let pair = scenario();
        fs::remove_file(pair.b.join("dir/file")).unwrap();
        let before = Before::of(&pair.a, &pair.b);
        let held = held(&pair, call, when);
        fs::remove_file(pair.a.join("dir/file")).unwrap();
        write(&pair.a, "dir/file/inside", "x", T0);
        stands(&format!("a directory takes its place behind {call}"), &pair, held, before);
        assert_eq!(fs::read(pair.b.join("dir/file/inside")).unwrap(), b"x");
    }
}

/// Saved at any moment, in another size, it ends up on both sides.
#[test]
fn a_destination_that_is_saved_while_it_is_given_metadata_is_lost_on_no_side() {
    let prepared = || {
        let pair = scenario();
        let saved = write(&pair.b, "dir/file", vec![1; LARGE], T0);
        std::os::unix::fs::chown(&saved, Some(1000), Some(1000)).unwrap();
        pair
    };
    let looks = {
        let pair = prepared();
        made_by("worker-0", &pair, &pair.command(), Reach::Below, "statx")
    };
    assert!(looks > 3, "{looks} looks");
    for call in (1..=looks).map(|when| ("statx", when)).chain([("utimensat", 2)]) {
        let pair = prepared();
        let held = Held::behind_call_of("worker-0", &pair, &pair.command(), Reach::Below, call);
        fs::write(pair.b.join("dir/file"), "saved").unwrap();
        let ran = held.go_on();
        assert!(matches!(ran.code, Some(0 | 1)), "behind {call:?}: {}{}", ran.stdout, ran.stderr);
        assert_eq!(
            (run(&mut pair.command_between(&pair.b, &pair.a)).code, pair.sync(&[]).code),
            (Some(0), Some(0))
        );
        for root in [&pair.a, &pair.b] {
            assert_eq!(
                fs::read(root.join("dir/file")).unwrap(),
                b"saved",
                "behind {call:?}: {}",
                ran.stdout
            );
        }
    }
}

#[test]
fn what_takes_the_name_of_a_directory_that_is_to_be_made_is_a_conflict() {
    let makings: [Happening<Path>; 2] = [
        ("a file", |path| fs::write(path, "a user's").unwrap()),
        ("a symlink", |path| std::os::unix::fs::symlink("/etc", path).unwrap()),
    ];
    for (what, make) in makings {
        let pair = scenario();
        fs::remove_dir_all(pair.b.join("dir")).unwrap();
        let held = held(&pair, "getdents64", 1);
        make(&pair.b.join("dir"));
        let there = look(&pair.b);
        let ran = held.go_on();
        assert_eq!(ran.code, Some(1), "{what}: {}{}", ran.stdout, ran.stderr);
        let counts = &ran.summary()["counts"];
        // The directory, and what is in it.
        assert_eq!(
            (counts["conflicts"].as_u64(), counts["failed"].as_u64()),
            (Some(3), Some(0)),
            "{what}: {counts}"
        );
        assert_eq!(look(&pair.b), there, "{what}");
    }
}

/// What was seen of it is carried or reported as missing. It is never taken from what stands in its
/// place.
#[test]
fn a_directory_that_is_renamed_away_while_it_is_scanned_loses_nothing() {
    let replacements: [Happening<Fixture>; 3] = [
        ("nothing", |_| {}),
        ("a symlink to elsewhere", |pair| {
            symlink(&pair.a, "dir", pair.scratch.path().join("elsewhere"), T0);
        }),
        ("another directory", |pair| {
            write(&pair.a, "dir/file", "another's", T0 + 50);
        }),
    ];
    for (what, replace) in replacements {
        for call in ["getdents64", "statx", "readlinkat", "openat", "pread64"] {
            let pair = scenario();
            fs::rename(pair.b.join("dir"), pair.scratch.path().join("unused")).unwrap();
            write(&pair.scratch.path().join("elsewhere"), "file", "a secret", T0 + 5000);
            let before = Before::of(&pair.a, &pair.b);
            let held = held(&pair, call, 1);
            fs::rename(pair.a.join("dir"), pair.a.join("renamed")).unwrap();
            replace(&pair);
            let fault = format!("{what} stands in its place behind {call}");
            let mut before = tells_the_truth(&fault, held, before);
            if pair.a.join("dir").is_symlink() {
                // Where dest has got the directory meanwhile, the two are in conflict.
                fs::remove_file(pair.a.join("dir")).unwrap();
                before.source_changed();
            }
            before.is_mended_by(&fault, &pair.sync(&[]));
        }
    }
}

/// Its own turn in the queue may come late, or never.
#[test]
fn a_directory_that_was_made_is_written_down_also_where_the_run_ends_at_once() {
    let pair = Fixture::new();
    write(&pair.a, "dir/file", "x", T0);
    let held = Held::behind(&pair, &pair.command(), Reach::Anywhere, "mkdirat", 1);
    rustix::process::kill_process(held.process(), rustix::process::Signal::TERM).unwrap();
    let ran = held.go_on();
    assert_eq!(ran.code, Some(143), "{}{}", ran.stdout, ran.stderr);
    assert!(pair.b.join("dir").is_dir());
    let rows = pair.opslogs().pop().unwrap();
    let row = rows.iter().find(|row| row["filepath"] == "dir").expect("the directory's line");
    assert_eq!((&row["operation"], &row["status"]), (&"create".into(), &"success".into()), "{row}");
    assert_eq!(rows.last().unwrap()["counts"]["created_directories"], 1);
}
