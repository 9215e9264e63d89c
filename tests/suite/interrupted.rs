//! Ctrl-C, SIGTERM, and sources that change while they are being copied.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::*;

#[test]
fn a_signal_ends_the_run_within_two_seconds_without_a_trace_at_dest() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let pair = Fixture::new();
        write(&pair.a, "large", vec![1; 64 << 20], T0);
        write(&pair.a, "small", "done before", T0);
        let child = slowed(pair.command().args(["--format", "json"]), 50, &[]).spawn().unwrap();
        wait_until("a temporary appears", || !temporaries(&pair.b).is_empty());
        let asked = Instant::now();
        kill_process(traced(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(temporaries(&pair.b), Vec::<String>::new());
        assert!(!pair.b.join("large").exists());
        let log = pair.opslogs().pop().expect("the opslog is sealed");
        let footer = log.last().unwrap();
        assert_eq!((&footer["type"], &footer["status"]), (&"footer".into(), &"failed".into()));
        assert!(footer["error_message"].as_str().unwrap().contains("interrupted"), "{footer}");

        pair.counts(&[]);
        assert_same(&look(&pair.a), &look(&pair.b));
    }
}

#[test]
fn what_was_done_at_a_signal_is_printed_as_it_is_in_the_opslog() {
    let pair = Fixture::new();
    for number in 0..200 {
        write(&pair.a, format!("{number:03}"), "x", T0);
    }
    let command = pair.command();
    let mut strace = std::process::Command::new("strace");
    strace.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "inject=renameat2,linkat:delay_exit=100000",
    ]);
    strace.arg(command.get_program()).args(command.get_args()).args([
        "--verbose",
        "--format",
        "json",
    ]);
    let child = strace.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("some are done", || fs::read_dir(&pair.b).unwrap().count() > 20);
    kill_process(traced(&child), Signal::TERM).unwrap();
    let ran = finish(child);
    assert_eq!(ran.code, Some(143), "{}", ran.stderr);
    let paths = |lines: Vec<serde_json::Value>| {
        let operations = lines.into_iter().filter(|line| line["type"] == "operation");
        operations.map(|line| line["filepath"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let written = paths(pair.opslogs().pop().unwrap());
    assert!(written.len() > 10 && written.len() < 200, "it was in the middle: {}", written.len());
    assert_eq!(paths(ran.json()), written);
}

#[test]
fn a_second_signal_ends_the_process_at_once_and_the_next_run_sweeps_and_seals() {
    let pair = Fixture::new();
    write(&pair.a, "large", vec![1; 64 << 20], T0);
    // Removing the temporary hangs, as it would on a dead server. (strace itself ends only when the
    // call would have been made. That the call was not made shows that the process had ended
    // before.)
    let hangs = "unlinkat:delay_enter=4000000";
    let mut child = slowed(&pair.command(), 50, &[hangs]).spawn().unwrap();
    wait_until("a temporary appears", || !temporaries(&pair.b).is_empty());
    let sync = traced(&child);
    kill_process(sync, Signal::INT).unwrap();
    std::thread::sleep(Duration::from_millis(300)); // The first signal has to have been handled.
    assert!(child.try_wait().unwrap().is_none(), "the first signal waits for what is in hand");
    kill_process(sync, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143), "whichever the second signal is");
    assert_eq!((temporaries(&pair.b).len(), pair.log_files(".part").len()), (1, 1));

    let ran = pair.sync(&["--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    Counts(ran.summary()).expect(&[("created", 1), ("swept", 1)]);
    assert_eq!((temporaries(&pair.b).len(), pair.log_files(".part").len()), (0, 0));
    let killed = &pair.opslogs()[0];
    assert_eq!(killed.last().unwrap()["status"], "failed");
}

#[test]
fn a_source_that_grows_all_the_time_is_deferred_and_dest_keeps_its_old_version() {
    let pair = Fixture::new();
    write(&pair.a, "log", vec![b'x'; 1 << 20], T0 + 100);
    write(&pair.b, "log", "the old version", T0);
    let child = slowed(pair.command().args(["--format", "json"]), 20, &[]).spawn().unwrap();
    let mut log = File::options().append(true).open(pair.a.join("log")).unwrap();
    let mut child = child;
    while child.try_wait().unwrap().is_none() {
        log.write_all(b"one more line\n").unwrap();
        std::thread::sleep(Duration::from_millis(3));
    }
    let output = child.wait_with_output().unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "deferred is no failure: {summary}");
    Counts(summary).expect(&[("deferred", 1)]);
    assert_eq!(fs::read(pair.b.join("log")).unwrap(), b"the old version");
    assert_eq!(temporaries(&pair.b), Vec::<String>::new());
    let row = &pair.opslogs()[0][1];
    assert_eq!((&row["status"], &row["cause"]), (&"fail".into(), &"deferred".into()), "{row}");
    assert_eq!(row["error_message"], "changed while being copied");
}

/// What another process does at dest between the scan and the last look must win or be met again.
#[test]
fn what_appears_or_changes_at_dest_meanwhile_is_not_overwritten() {
    let pair = Fixture::new();
    write(&pair.a, "appears", vec![1; 4 << 20], T0);
    write(&pair.a, "changes", vec![1; 4 << 20], T0 + 100);
    write(&pair.b, "changes", "old", T0);
    let child = slowed(pair.command().args(["--format", "json"]), 30, &[]).spawn().unwrap();
    wait_until("both are in hand", || temporaries(&pair.b).len() == 2);
    write(&pair.b, "appears", "a user's new file", T0 + 5000);
    write(&pair.b, "changes", "a user's newer version", T0 + 5000);
    let output = child.wait_with_output().unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{summary}");
    Counts(summary).expect(&[("newer_at_dest", 2)]);
    assert_eq!(fs::read(pair.b.join("appears")).unwrap(), b"a user's new file");
    assert_eq!(fs::read(pair.b.join("changes")).unwrap(), b"a user's newer version");
    assert_eq!(temporaries(&pair.b), Vec::<String>::new());
}

#[test]
fn a_full_disk_fails_the_file_and_leaves_no_temporary() {
    let pair = Fixture::new();
    write(&pair.a, "too-large", vec![1; 8 << 20], T0);
    write(&pair.a, "fits", "x", T0);
    // One after the other: beside the large one, there may be room for nothing.
    let mut command = pair.command();
    command.args(["--workers", "1"]);
    let script = "mount -t tmpfs -o size=4m none \"$1\" && dest=\"$1\" && shift && \"$@\"; code=$?; ls -A \"$dest\" >&2; exit $code";
    let mut unshare = std::process::Command::new("unshare");
    unshare.args(["-m", "bash", "-c", script, "bash"]).arg(&pair.b);
    unshare.arg(command.get_program()).args(command.get_args()).args(["--format", "json"]);
    let ran = run(&mut unshare);
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    Counts(ran.summary()).expect(&[("created", 1), ("failed", 1)]);
    assert!(
        ran.summary()["failures"][0].as_str().unwrap().contains("No space left"),
        "{}",
        ran.stdout
    );
    assert_eq!(ran.stderr.trim(), "fits", "what is at dest in the end");
}

#[test]
fn an_opslog_that_cannot_be_written_ends_the_run_without_hanging() {
    let pair = Fixture::new();
    for index in 0..20_000 {
        fs::write(pair.a.join(format!("file-with-some-name-{index}")), "x").unwrap();
    }
    fs::create_dir(&pair.logs).unwrap();
    let command = pair.command();
    let script = "mount -t tmpfs -o size=1m none \"$1\"";
    let ran = run(in_a_namespace(script, &[&pair.logs], &command).args(["--format", "json"]));
    assert_eq!(ran.code, Some(5), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.summary()["error_message"].as_str().unwrap().contains("opslog"), "{}", ran.stdout);
    assert_eq!(temporaries(&pair.b), Vec::<String>::new());
}

/// `--verbose` into a pipe that nobody empties holds the run up, but not its end.
#[test]
fn a_stalled_reader_does_not_keep_a_run_from_ending() {
    let pair = Fixture::new();
    for index in 0..20_000 {
        fs::write(pair.a.join(format!("a-file-with-a-name-that-fills-the-pipe-soon-{index}")), "")
            .unwrap();
    }
    let mut command = pair.command();
    let mut child =
        command.arg("--verbose").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let copied = || fs::read_dir(&pair.b).unwrap().count();
    let mut before = 0;
    wait_until("the run is held up", || {
        std::thread::sleep(Duration::from_millis(300));
        let now = copied();
        std::mem::replace(&mut before, now) == now && now > 0
    });
    assert!(copied() < 20_000 && child.try_wait().unwrap().is_none());
    let asked = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(pair.opslogs().pop().unwrap().last().unwrap()["status"], "failed");
}

#[test]
fn a_source_root_that_is_gone_is_no_success() {
    let pair = Fixture::new();
    let command = pair.command();
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=getdents64:error=ENOENT"]);
    strace
        .arg(command.get_program())
        .args(command.get_args())
        .args(["--lock=none", "--log-retain-days=0"]);
    let ran = run(&mut strace);
    assert_eq!(ran.code, Some(5), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("cannot look at"), "{}", ran.stderr);
}

#[test]
fn under_nohup_a_run_goes_on_when_its_terminal_goes_away() {
    let pair = Fixture::new();
    write(&pair.a, "large", vec![1; 4 << 20], T0);
    let slow = slowed(&pair.command(), 30, &[]);
    let mut nohup = std::process::Command::new("nohup");
    let child =
        nohup.arg(slow.get_program()).args(slow.get_args()).stdout(Stdio::piped()).spawn().unwrap();
    wait_until("a temporary appears", || !temporaries(&pair.b).is_empty());
    kill_process(traced(&child), Signal::HUP).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    assert_same(&look(&pair.a), &look(&pair.b));
}
