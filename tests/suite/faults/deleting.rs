//! Faults while what only dest has is being deleted: changes at the last moment, roots that go
//! away, signals, and errors at every call.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use super::BELOW;
use super::strace::{Held, PIPELINE, Reach, injected, made_by, under_strace};
use crate::fixture::*;

const DELETE: [&str; 3] = ["--delete-missing", "--max-delete=none", "--format=json"];

/// Something of every kind to delete, and a file to carry.
fn scenario() -> Fixture {
    let pair = Fixture::new();
    let (a, b) = (pair.a.join(BELOW), pair.b.join(BELOW));
    for root in [&a, &b] {
        write(root, "kept", "x", T0);
        write(root, "dir/kept", "x", T0);
    }
    write(&a, "new", "to be carried", T0);
    write(&b, "gone", "x", T0);
    write(&b, "dir/gone", "x", T0);
    write(&b, "old/sub/file", "x", T0);
    symlink(&b, "old/link", "sub", T0);
    fs::create_dir(b.join("empty")).unwrap();
    pair
}

/// The paths that only dest has: gone, dir/gone, old and what is in it, empty.
const CANDIDATES: u64 = 7;

/// Holds a run when the guard has agreed, changes something, and lets it go on.
fn changed_before_deleting(pair: &Fixture, change: impl FnOnce(&Path, &Path)) -> Ran {
    // The guard's last look is into the source's root, which it opens anew: nobody does after that.
    let undisturbed = scenario();
    let command = |pair: &Fixture| {
        let mut command = pair.command();
        command.args(DELETE);
        command
    };
    let looks = made_by(PIPELINE, &undisturbed, &command(&undisturbed), Reach::Roots, "openat");
    let held =
        Held::behind_call_of(PIPELINE, pair, &command(pair), Reach::Roots, ("openat", looks));
    change(&pair.a.join(BELOW), &pair.b.join(BELOW));
    held.go_on()
}

#[test]
fn what_changes_before_its_turn_is_spared() {
    type Change = fn(&Path, &Path);
    #[rustfmt::skip]
    let cases: [(&str, Change, u64, &[&str]); 10] = [
        ("a name is there again at the source", |a, _| drop(write(a, "dir/gone", "new", T0)), 1, &["dir/gone"]),
        ("so is a directory", |a, _| drop(write(a, "old/other", "new", T0)), 4, &["old/sub/file", "old/link"]),
        ("so is something else under a directory's name", |a, _| drop(write(a, "old", "new", T0)), 4, &["old/sub/file", "old/link"]),
        ("a file was written to", |_, b| drop(write(b, "gone", "y", T0)), 1, &["gone"]),
        ("a file was only looked after", |_, b| chmod(&b.join("gone"), 0o600), 1, &["gone"]),
        ("a file became a directory", |_, b| { fs::remove_file(b.join("gone")).unwrap(); fs::create_dir(b.join("gone")).unwrap() }, 1, &["gone"]),
        ("a directory got a new file", |_, b| drop(write(b, "old/sub/new", "x", T0)), 2, &["old/sub/new"]),
        ("a directory is another one", |_, b| { fs::rename(b.join("empty"), b.join("renamed")).unwrap(); fs::create_dir(b.join("empty")).unwrap() }, 1, &["empty", "renamed"]),
        ("the source lost the directory itself", |a, _| fs::rename(a.join("dir"), a.join("elsewhere")).unwrap(), 1, &["dir/gone", "dir/kept"]),
        ("it is gone already", |_, b| fs::remove_file(b.join("gone")).unwrap(), 1, &[]),
    ];
    for (what, change, spared, left) in cases {
        let pair = scenario();
        let ran = changed_before_deleting(&pair, change);
        assert_eq!(ran.code, Some(0), "{what}: {}{}", ran.stdout, ran.stderr);
        let counts = Counts(ran.summary());
        assert_eq!(
            (counts.get("spared"), counts.get("deleted")),
            (spared, CANDIDATES - spared),
            "{what}: {}",
            ran.stdout
        );
        for path in left {
            assert!(
                pair.b.join(BELOW).join(path).symlink_metadata().is_ok(),
                "{what}: {path} is still there"
            );
        }
        let next = pair.sync(&DELETE);
        assert!(matches!(next.code, Some(0 | 1)), "{what}: {}{}", next.stdout, next.stderr);
    }
}

/// What is open since the scan leads out of the tree now.
#[test]
fn a_directory_that_was_moved_out_of_the_tree_keeps_its_files() {
    let pair = scenario();
    let outside = pair.scratch.path().join("outside");
    let ran = changed_before_deleting(&pair, |_, b| fs::rename(b.join("old"), &outside).unwrap());
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(Counts(ran.summary()).get("spared"), 4, "{}", ran.stdout);
    assert_eq!(look(&outside).len(), 3);

    let pair = scenario();
    let outside = pair.scratch.path().join("outside");
    changed_before_deleting(&pair, |_, b| {
        fs::rename(b.join("old"), &outside).unwrap();
        std::os::unix::fs::symlink(&outside, b.join("old")).unwrap();
    });
    assert_eq!(look(&outside).len(), 3, "nor is it found again by a symlink");
}

/// What was asked before the first deletion of a directory says nothing of the last one.
#[test]
fn what_changes_between_two_deletions_of_one_directory_is_spared() {
    type Change = fn(&Path, &Path, &Path);
    #[rustfmt::skip]
    let cases: [(&str, Change); 4] = [
        ("the names are there again at the source", |a, _, _| fill(&a.join("dir"))),
        ("so is their directory", |a, _, _| fill(&a.join("old"))),
        ("the source has another directory there", |a, _, outside| {
            fs::rename(a.join("dir"), outside).unwrap();
            fill(&a.join("dir"));
        }),
        ("the directory was moved out of the tree", |_, b, outside| {
            fs::rename(b.join("dir"), outside.with_extension("dir")).unwrap();
            fs::rename(b.join("old"), outside).unwrap();
        }),
    ];
    for (what, change) in cases {
        let pair = Fixture::new();
        let (a, b) = (pair.a.join(BELOW), pair.b.join(BELOW));
        [&a, &b].into_iter().for_each(|root| drop(write(root, "dir/kept", "x", T0)));
        let inside = if what.contains("so is") { "old" } else { "dir" };
        fill(&b.join(inside));
        fs::create_dir_all(b.join("old")).unwrap();
        let held = Held::behind(&pair, pair.command().args(DELETE), Reach::Below, "unlinkat", 1);
        change(&a, &b, &pair.scratch.path().join("outside"));
        // Until what was walked is not trusted any more.
        std::thread::sleep(2 * ha_sync::tree::MAX_HANDLE_AGE);
        let ran = held.go_on();
        assert_eq!(ran.code, Some(0), "{what}: {}{}", ran.stdout, ran.stderr);
        let counts = Counts(ran.summary());
        assert!(
            counts.get("deleted") <= 2 && counts.get("spared") >= FILES - 1,
            "{what}: {}",
            ran.stdout
        );
    }
}

const FILES: u64 = 20;

fn fill(directory: &Path) {
    (0..FILES).for_each(|index| drop(write(directory, format!("file-{index}"), "x", T0)));
}

#[test]
fn roots_that_are_not_what_they_were_withhold_everything() {
    fn swap(root: &Path) {
        let root = root.parent().unwrap();
        fs::rename(root, root.with_extension("away")).unwrap();
        write(root, "another", "x", T0);
    }
    fn unmark(root: &Path) {
        fs::remove_file(root.with_file_name(".mounted")).unwrap();
    }
    type Change = fn(&Path, &Path);
    let cases: [(&str, Change, &str); 6] = [
        ("the source is another folder", |a, _| swap(a), "no longer the folder"),
        ("the destination is another folder", |_, b| swap(b), "no longer the folder"),
        (
            "the source is gone",
            |a, _| fs::rename(a.parent().unwrap(), a.with_file_name("../away")).unwrap(),
            "cannot be looked at",
        ),
        ("the source has lost its mark", |a, _| unmark(a), "is not there"),
        ("the destination has", |_, b| unmark(b), "is not there"),
        (
            "the source is empty now",
            |a, _| fs::rename(a, a.with_file_name("../away")).unwrap(),
            "no entry",
        ),
    ];
    for (what, change, word) in cases {
        let pair = scenario();
        let is_marked = word == "is not there";
        if is_marked {
            [&pair.a, &pair.b].into_iter().for_each(|root| drop(write(root, ".mounted", "", T0)));
        }
        let mut command = pair.command();
        command.args(DELETE).args(is_marked.then_some("--require-file=.mounted"));
        let held = Held::behind(&pair, &command, Reach::Anywhere, "pwrite64", 1);
        change(&pair.a.join(BELOW), &pair.b.join(BELOW));
        let ran = held.go_on();
        assert_eq!(ran.code, Some(3), "{what}: {}{}", ran.stdout, ran.stderr);
        let summary = ran.summary();
        assert!(summary["error_message"].as_str().unwrap().contains(word), "{what}: {summary}");
        assert_eq!(summary["counts"]["withheld"], CANDIDATES, "{what}: {summary}");
        assert_eq!(summary["counts"]["deleted"], 0, "{what}: {summary}");
    }
}

/// Paths that the newest opslog says were deleted.
fn told(pair: &Fixture) -> BTreeSet<Vec<u8>> {
    let rows = pair.opslogs().pop().unwrap();
    let deleted = |row: &&Value| row["operation"] == "delete" && row["status"] == "success";
    rows.iter().filter(deleted).map(|row| row["filepath"].as_str().unwrap().into()).collect()
}

/// Paths that dest has lost.
fn lost(before: &Tree, pair: &Fixture) -> BTreeSet<Vec<u8>> {
    let now = look(&pair.b);
    before.keys().filter(|path| !now.contains_key(*path)).cloned().collect()
}

#[test]
fn a_signal_ends_the_deletions_and_the_opslog_says_how_far_they_came() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let pair = scenario();
        let (source, before) = (look(&pair.a), look(&pair.b));
        let held = Held::behind(&pair, pair.command().args(DELETE), Reach::Below, "unlinkat", 3);
        kill_process(held.process(), signal).unwrap();
        let ran = held.go_on();
        assert_eq!(ran.code, Some(code), "{}{}", ran.stdout, ran.stderr);
        assert_eq!(lost(&before, &pair), told(&pair));
        assert_eq!(told(&pair).len(), 3);
        let footer = pair.opslogs().pop().unwrap().pop().unwrap();
        assert_eq!(
            (&footer["status"], &footer["counts"]["deleted"]),
            (&"failed".into(), &3.into())
        );
        assert_eq!(footer["counts"]["not_reached"], CANDIDATES - 3);
        // The directories in which something was deleted have their mtimes back, all the same.
        let (mtime, name) = (|tree: &Tree| tree[&b"t/dir"[..]].mtime, &b"t/dir/gone"[..]);
        assert!(!lost(&before, &pair).contains(name) || mtime(&look(&pair.b)) == mtime(&before));
        let rest = Counts(pair.sync(&DELETE).summary()).get("deleted");
        assert_eq!(rest, CANDIDATES - 3);
        assert_same(&without_dir_metadata(look(&pair.b)), &without_dir_metadata(source));
    }
}

/// The three assertions, for a run that deletes. Tells whether there was such a call.
fn stands(call: &str, reach: Reach, error: &str, when: &str) -> bool {
    let pair = scenario();
    let (source, before) = (look(&pair.a), look(&pair.b));
    let injection = format!("{call}:error={error}:when={when}");
    let ran = run(&mut under_strace(&pair, pair.command().args(DELETE), reach, &[&injection]));
    if injected(&pair, call).is_empty() {
        return false;
    }
    let fault = format!("{error} at {call} number {when}, {reach:?}: {}{}", ran.stdout, ran.stderr);
    // Nothing lost: the source is as it was, and what is gone from dest the source does not have.
    assert_same(&look(&pair.a), &source);
    let lost = lost(&before, &pair);
    assert!(lost.iter().all(|path| !source.contains_key(path)), "{fault} {lost:?}");
    let is_whole = without_dir_metadata(look(&pair.b)) == without_dir_metadata(source.clone());
    match ran.code {
        // Truthful: what the opslog says is gone is, and only where all is done the run says so.
        Some(0 | 1 | 3 | 5) if !pair.opslogs().is_empty() => {
            assert_eq!(lost, told(&pair), "{fault}");
            let counts = Counts(ran.summary());
            assert_eq!(counts.get("deleted"), lost.len() as u64, "{fault}");
            assert_eq!(ran.code == Some(3), counts.get("withheld") > 0, "{fault}");
            assert!(ran.code != Some(0) || is_whole || counts.get("spared") > 0, "{fault}");
        }
        Some(2 | 5) => assert!(lost.is_empty() && !ran.stderr.is_empty(), "{fault}"),
        code => panic!("exit code {code:?}, {fault}"),
    }
    // A clean next run.
    let next = pair.sync(&DELETE);
    assert_eq!(next.code, Some(0), "{fault}, then {}{}", next.stdout, next.stderr);
    assert_same(&without_dir_metadata(look(&pair.b)), &without_dir_metadata(source));
    assert_eq!(temporaries(&pair.b), Vec::<String>::new(), "{fault}");
    true
}

#[test]
fn an_error_at_any_call_of_a_run_that_deletes_loses_nothing() {
    const ERRORS: [&str; 6] = ["EIO", "ESTALE", "ETIMEDOUT", "EACCES", "ENOMEM", "EROFS"];
    let calls = [
        ("getdents64", Reach::Below, 5),
        ("getdents64", Reach::Roots, 2),
        ("statx", Reach::Below, 25),
        ("openat", Reach::Below, 7),
        ("unlinkat", Reach::Below, 7),
        ("utimensat", Reach::Below, 1),
    ];
    for (call, reach, at_least) in calls {
        let error = |index: usize| ERRORS[index % ERRORS.len()];
        let hit =
            (1..).take_while(|when| stands(call, reach, error(*when), &when.to_string())).count();
        assert!(hit >= at_least, "{call} was only made {hit} times");
        for when in
            std::iter::successors(Some(1), |when| Some(2 * when)).take_while(|when| *when <= hit)
        {
            stands(call, reach, error(when + 1), &format!("{when}+"));
        }
    }
}
