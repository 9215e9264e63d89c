//! One run of a pair at a time, whichever its direction.

use std::fs;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::*;

/// A run that holds its lock until its strace is told to let it go on.
fn holder(pair: &Fixture) -> Child {
    write(&pair.a, "large", vec![1; 32 << 20], T0);
    let child = slowed(pair.command().args(["--direction", "there"]), 30, &[]).spawn().unwrap();
    wait_until("the run has begun", || !temporaries(&pair.b).is_empty());
    child
}

fn end(mut strace: Child) {
    kill_process(traced(&strace), Signal::KILL).unwrap();
    strace.wait().unwrap();
}

#[test]
fn a_locked_pair_is_skipped_failed_or_waited_for_as_asked() {
    let pair = Fixture::new();
    let running = holder(&pair);

    let skipped = pair.sync(&[]);
    assert_eq!(skipped.code, Some(0), "{}", skipped.stderr);
    assert!(
        skipped.stdout.contains("skipped") && skipped.stdout.contains("(there) since 2"),
        "{}",
        skipped.stdout
    );
    let back = run(pair.command_between(&pair.b, &pair.a).args(["--format", "json"]));
    assert_eq!(
        (back.code, &back.summary()["type"]),
        (Some(0), &"locked".into()),
        "the other direction too"
    );
    let dry = pair.sync(&["--dry-run"]);
    assert!(dry.stdout.contains("skipped"), "a dry run too: {}", dry.stdout);
    assert_eq!(pair.sync(&["--if-locked=fail"]).code, Some(75));
    assert_eq!(pair.sync(&["--if-locked=wait=1"]).code, Some(75));
    assert_eq!(pair.sync(&["--pair", "other", "--dry-run"]).code, Some(2), "one --pair only");
    let other = run(binary()
        .args(["--pair", "other", "--dry-run", "--src"])
        .arg(&pair.a)
        .arg("--dest")
        .arg(&pair.b)
        .arg("--log-dir")
        .arg(&pair.logs));
    assert!(
        other.code == Some(0) && !other.stdout.contains("locked by"),
        "another pair is free: {}",
        other.stdout
    );

    end(running);
    let free = pair.sync(&["--format", "json"]);
    assert_eq!(free.code, Some(0), "a killed holder's lock is free: {}", free.stderr);
    Counts(free.summary()).expect(&[("created", 1), ("swept", 1)]);
}

#[test]
fn who_waits_gets_the_lock_when_it_is_free_and_can_be_interrupted() {
    let pair = Fixture::new();
    let running = holder(&pair);
    let start = || {
        let mut command = pair.command();
        command
            .args(["--if-locked=wait", "--format", "json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (patient, impatient) = (start(), start());
    std::thread::sleep(std::time::Duration::from_millis(300)); // Both have begun to wait.
    kill_process(Pid::from_child(&impatient), Signal::TERM).unwrap();
    assert_eq!(impatient.wait_with_output().unwrap().status.code(), Some(143));
    end(running);
    let output = patient.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("\"created\":1"));
}

#[test]
fn a_lock_file_that_cannot_be_written_is_told_of_with_what_to_do() {
    let pair = Fixture::new();
    write(&pair.a, "file", "x", T0);
    fs::create_dir(&pair.logs).unwrap();
    let used = pair.sync(&[]);
    assert_eq!(used.code, Some(0), "{}", used.stderr);
    // The tag takes up all the room there is.
    let full = "mount -t tmpfs -o size=4k none $1 && echo tag >$1/.ha-sync-log-dir";
    let read_only = "mount --bind $1 $1 && mount -o remount,ro,bind $1";
    for (script, hint) in [(full, "Make room there"), (read_only, "Remount it read-write")] {
        let ran = run(&mut in_a_namespace(script, &[&pair.logs], &pair.command()));
        assert_eq!(ran.code, Some(5), "{}{}", ran.stdout, ran.stderr);
        assert!(
            ran.stderr.contains("the lock file ") && ran.stderr.contains(hint),
            "{}",
            ran.stderr
        );
        assert!(!ran.stderr.contains("permissions"), "{}", ran.stderr);
    }
}

#[test]
fn what_is_no_regular_file_in_the_place_of_the_lock_file_is_refused_and_left_alone() {
    let pair = Fixture::new();
    fs::create_dir(&pair.logs).unwrap();
    let (lock, target) = (pair.logs.join("ha-sync-test.lock"), pair.scratch.path().join("target"));
    fs::write(&target, "not ours").unwrap();
    let fifo = || assert_eq!(run(Command::new("mkfifo").arg(&lock)).code, Some(0));
    let symlink = || std::os::unix::fs::symlink(&target, &lock).unwrap();
    for (place, words) in [(&fifo as &dyn Fn(), "not a regular file"), (&symlink, "symbolic links")]
    {
        place();
        let mut unlock = Command::new("timeout");
        unlock.arg("20").arg(env!("CARGO_BIN_EXE_ha-sync")).args([
            "unlock",
            "--lock=file",
            "--pair=test",
            "--log-dir",
        ]);
        for ran in [run(unlock.arg(&pair.logs)), pair.sync(&[])] {
            assert_eq!(ran.code, Some(5), "{}", ran.stderr);
            assert!(
                ran.stderr.contains("ha-sync-test.lock") && ran.stderr.contains(words),
                "{}",
                ran.stderr
            );
        }
        fs::remove_file(&lock).unwrap();
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "not ours");
}
