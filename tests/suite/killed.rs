//! `SIGKILL` at every system call that changes something: no path is ever lost or cut short, and
//! the next run ends where an undisturbed one does.

use std::fs;
use std::os::unix::fs::chown;
use std::process::Command;

use crate::fixture::*;

/// Something of every kind of work, with few enough calls to die at each of them.
fn scenario() -> Fixture {
    let pair = Fixture::new();
    for index in 0..6 {
        write(&pair.a, format!("new-{index}"), format!("content {index}"), T0 + index);
        write(&pair.a, format!("changed-{index}"), format!("the new version {index}"), T0 + 100);
        write(&pair.b, format!("changed-{index}"), "old", T0);
        write(&pair.a, format!("dir-{index}/sub/file"), "below", T0);
        chmod(&pair.a.join(format!("dir-{index}")), 0o755 - index as u32);
    }
    write(&pair.a, "touched", "same", T0 + 100);
    chmod(&write(&pair.b, "touched", "same", T0), 0o600);
    symlink(&pair.a, "link", "target", T0);
    symlink(&pair.a, "moved-link", "new target", T0 + 100);
    symlink(&pair.b, "moved-link", "old target", T0);
    sparse(&pair.a, "sparse", 1 << 20, T0);
    let owned = write(&pair.a, "owned", "x", T0);
    chown(&owned, Some(1234), Some(1234)).unwrap();
    write(&pair.b, "only-here", "stays", T0);
    pair
}

/// Runs the sync with one worker under strace, which makes a call deadly. Returns whether the call
/// was made.
pub fn dies_at(pair: &Fixture, call: &str, when: usize, more: &[&str]) -> bool {
    command_dies_at(&pair.command(), call, when, more)
}

pub fn command_dies_at(command: &Command, call: &str, when: usize, more: &[&str]) -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null"]);
    for inject in more {
        strace.args(["-e", &format!("inject={inject}")]);
    }
    strace.args(["-e", &format!("inject={call}:signal=SIGKILL:when={when}")]);
    strace.arg(command.get_program()).args(command.get_args());
    let ran = run(strace.args(["--workers", "1", "--scan-threads", "1"]));
    if ran.code == Some(0) {
        return false;
    }
    // strace ends as its child did: by SIGKILL.
    assert_eq!(ran.code, None, "{call} {when}: {}{}", ran.stdout, ran.stderr);
    true
}

/// Dies at the first, the second, … such call until there are no more, and looks at the trees each
/// time.
fn die_at_each(call: &str, at_least: usize, more: &[&str]) {
    let undisturbed = scenario();
    undisturbed.counts(&[]);
    let whole = look(&undisturbed.b);
    let mut deaths = 0;
    for when in 1..400 {
        let pair = scenario();
        let (source, old) = (look(&pair.a), look(&pair.b));
        if !dies_at(&pair, call, when, more) {
            break;
        }
        deaths += 1;
        let context = format!("killed at {call} number {when}");
        assert_same(&look(&pair.a), &source);
        let mut found = look(&pair.b);
        for (path, before) in &old {
            let name = String::from_utf8_lossy(path);
            let now = found.remove(path).unwrap_or_else(|| panic!("{context}: {name} is gone"));
            assert!(
                same_version(&now, before) || same_version(&now, &whole[path]),
                "{context}: {name} is {now:?}"
            );
        }
        for (path, now) in found {
            let name = String::from_utf8_lossy(&path);
            if name.contains(".ha-sync.") {
                continue;
            }
            assert!(same_version(&now, &whole[&path]), "{context}: {name} is {now:?}");
        }
        let ran = pair.sync(&[]);
        assert_eq!(ran.code, Some(0), "{context}: {}{}", ran.stdout, ran.stderr);
        assert_eq!(temporaries(&pair.b), Vec::<String>::new(), "{context}");
        assert_same(&without_dir_metadata(look(&pair.b)), &without_dir_metadata(whole.clone()));
        assert_same(&look(&pair.a), &source);
        assert_eq!(pair.log_files(".part").len(), 0, "{context}");
    }
    assert!(deaths >= at_least, "{call} was only made {deaths} times");
}

/// A directory is there or not; its mode and mtime come last. An mtime that is carried comes with
/// the content or, if the content is equal, after the mode.
fn same_version(now: &Seen, then: &Seen) -> bool {
    match (&now.kind, &then.kind) {
        (Kind::Dir, Kind::Dir) => true,
        (Kind::File(_), Kind::File(_)) => (&now.kind, now.mtime) == (&then.kind, then.mtime),
        _ => now == then,
    }
}

#[test]
fn at_each_publishing_of_a_new_name() {
    die_at_each("renameat2", 15, &[]);
}

#[test]
fn at_each_replacing_of_an_old_name() {
    die_at_each("renameat", 7, &[]);
}

/// As on NFS, which knows no rename without replacing.
#[test]
fn at_each_link_where_a_rename_may_not_replace() {
    die_at_each("linkat", 14, &["renameat2:error=EINVAL"]);
}

#[test]
fn at_each_removal_of_the_second_name_after_a_link() {
    die_at_each("unlinkat", 14, &["renameat2:error=EINVAL"]);
}

#[test]
fn at_each_directory_made() {
    die_at_each("mkdirat", 12, &[]);
}

#[test]
fn at_each_mtime_set() {
    die_at_each("utimensat", 25, &[]);
}

#[test]
fn at_each_mode_or_owner_set() {
    die_at_each("fchmod", 1, &[]);
    die_at_each("fchown", 1, &[]);
}

#[test]
fn at_each_write_and_each_change_of_size() {
    die_at_each("pwrite64", 20, &[]);
    die_at_each("ftruncate", 1, &[]);
}

#[test]
fn at_each_creation_of_a_temporary() {
    // Reads are among these calls too; the opslog's header comes before the first of any.
    die_at_each("symlinkat", 2, &[]);
    let pair = scenario();
    assert!(dies_at(&pair, "openat", 40, &[]));
    pair.counts(&[]);
    assert!(fs::read_dir(&pair.b).unwrap().count() > 10);
}

/// Nobody corrects a directory's owner and mode later: a difference in metadata alone is never
/// work.
#[test]
fn while_a_directory_is_being_filled_leaves_its_owner_and_mode_right() {
    let pair = Fixture::new();
    write(&pair.a, "dir/file", "x", T0);
    let dir = pair.a.join("dir");
    chown(&dir, Some(1234), Some(2345)).unwrap();
    chmod(&dir, 0o2770);
    assert!(dies_at(&pair, "renameat2", 1, &[]));
    pair.counts(&[]);
    use std::os::unix::fs::MetadataExt as _;
    let meta = fs::metadata(pair.b.join("dir")).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (1234, 2345, 0o2770));
}

/// Files and symlinks by `unlink`, directories by `rmdir`, which are one call.
#[test]
fn at_each_deletion_leaves_a_true_opslog_and_the_next_run_deletes_the_rest() {
    let scenario = || {
        let pair = Fixture::new();
        for root in [&pair.a, &pair.b] {
            write(root, "kept", "x", T0);
            write(root, "dir/kept", "x", T0);
        }
        for index in 0..3 {
            write(&pair.b, format!("dir/gone-{index}"), "x", T0);
            write(&pair.b, format!("old/{index}/sub/file"), "x", T0);
            symlink(&pair.b, format!("old/{index}/link"), "x", T0);
        }
        date(&pair.b.join("dir"), T0, 0);
        pair
    };
    let mut deaths = 0;
    for when in 1..100 {
        let pair = scenario();
        let (whole, old) = (look(&pair.a), look(&pair.b));
        let mut command = pair.command();
        if !command_dies_at(command.arg("--delete-missing"), "unlinkat", when, &[]) {
            break;
        }
        deaths += 1;
        let context = format!("killed at deletion number {when}");
        let found = look(&pair.b);
        for path in whole.keys() {
            assert_eq!(found[path].kind, old[path].kind, "{context}");
        }
        let ran = pair.sync(&["--delete-missing", "--format=json"]);
        assert_eq!(ran.code, Some(0), "{context}: {}{}", ran.stdout, ran.stderr);
        // What the killed run reported as deleted had been deleted. (The lines of its last second
        // may be missing.)
        let logs = pair.opslogs();
        assert_eq!(
            (logs.len(), &logs[0].last().unwrap()["status"]),
            (2, &"failed".into()),
            "{context}"
        );
        for row in logs[0].iter().filter(|row| row["operation"] == "delete") {
            assert!(
                !found.contains_key(row["filepath"].as_str().unwrap().as_bytes()),
                "{context}: {row}"
            );
        }
        let rest = Counts(ran.summary()).get("deleted");
        assert_eq!(rest as usize, found.len() - whole.len(), "{context}");
        assert_same(&without_dir_metadata(look(&pair.b)), &without_dir_metadata(whole.clone()));
        assert_same(&look(&pair.a), &whole);
    }
    assert_eq!(deaths, 3 + 3 * 4 + 1, "every deletion was one call");
}

#[test]
fn while_deleting_a_run_has_written_down_all_but_its_last_moments() {
    let pair = Fixture::new();
    for root in [&pair.a, &pair.b] {
        write(root, "kept", "x", T0);
    }
    (0..60).for_each(|index| drop(write(&pair.b, format!("gone-{index}"), "x", T0)));
    let each = 100; // Milliseconds a deletion takes; lines are written down every second.
    let command = pair.command();
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("inject=unlinkat:delay_exit={each}000"));
    strace.arg(command.get_program()).args(command.get_args());
    let mut child =
        strace.args(["--workers=1", "--delete-missing", "--max-delete=none"]).spawn().unwrap();
    let rows = |suffix: &str| -> usize {
        let logs = pair.log_files(suffix).into_iter().map(|path| fs::read_to_string(path).unwrap());
        logs.map(|text| text.matches("\"delete\"").count()).sum()
    };
    wait_until("some deletions are written down", || rows(".part") >= 12);
    rustix::process::kill_process(traced(&child), rustix::process::Signal::KILL).unwrap();
    child.wait().unwrap();
    let gone = 60 - (look(&pair.b).len() - 1);
    let written = rows(".part");
    assert!(
        written <= gone && gone - written <= 2 * 1000 / each,
        "{written} of {gone} are written down"
    );
}
