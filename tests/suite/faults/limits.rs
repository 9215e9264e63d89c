//! A process that gets less than it asks for: open files, address space, memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Resource, Rlimit, prlimit};

use super::check::Before;
use super::scenario;
use super::strace::{Held, Reach};
use crate::fixture::*;

/// No further file can be opened. Lock, roots and opslog take 3 to 6 files. With the lower limit
/// not even the opslog can be sealed in the end; with the other one it can.
#[test]
fn a_limit_on_open_files_that_is_reached_in_the_middle_loses_nothing() {
    for (when, limit) in [(1, 7), (1, 8), (2, 7), (2, 8), (3, 7), (4, 7), (5, 7), (6, 7)] {
        let pair = scenario();
        let fault = format!("a limit of {limit} open files behind mkdirat number {when}");
        let mut before = Before::of(&pair.a, &pair.b);
        let mut command = pair.command();
        let held =
            Held::behind(&pair, command.args(["--format", "json"]), Reach::Below, "mkdirat", when);
        let limit = Rlimit { current: Some(limit), maximum: Some(1024) };
        prlimit(Some(held.process()), Resource::Nofile, limit).unwrap();
        let ran = held.go_on();
        assert!(matches!(ran.code, Some(1 | 5)), "{fault}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("Too many open files"), "{fault}: {}", ran.stdout);
        before.nothing_is_lost(&fault);
        before.was_told(&fault, &ran);
        before.is_mended_by(&fault, &pair.sync(&[]));
    }
}

/// Address space from hardly enough for the start to plenty. If memory cannot be had, the process
/// says so or aborts. It may abort at any place, which must be as harmless as being killed there.
#[test]
fn a_limit_on_address_space_loses_nothing() {
    let mut codes = Vec::new();
    for megabytes in (16..1400).step_by(80) {
        let pair = scenario();
        let fault = format!("{megabytes} MiB of address space");
        let before = Before::of(&pair.a, &pair.b).may_leave_temporaries(true);
        let limit = format!("-v {}", megabytes << 10);
        let ran = run(with_ulimit(&limit, &pair.command()).args(["--format", "json"]));
        codes.push(ran.code);
        stands_or_dies(&fault, &pair, before, &ran);
    }
    let done = codes.iter().filter(|code| **code == Some(0)).count();
    assert!(done > 0 && done < codes.len(), "{codes:?}");
}

/// The three assertions, for a run that may have been killed by its limit.
fn stands_or_dies(fault: &str, pair: &Fixture, mut before: Before, ran: &Ran) {
    before.nothing_is_lost(fault);
    match ran.code {
        Some(0 | 1 | 5) => before.was_told(fault, ran),
        _ => before.was_killed(),
    }
    before.is_mended_by(fault, &pair.sync(&[]));
}

/// What would outgrow the limit fails by itself: the signal that comes with it ends nobody.
#[test]
fn a_limit_on_the_size_of_files_fails_the_larger_ones() {
    let pair = Fixture::new();
    write(&pair.a, "large", vec![1; 12 << 20], T0);
    write(&pair.a, "small", vec![1; 1 << 20], T0);
    let mut before = Before::of(&pair.a, &pair.b);
    let ran = run(with_ulimit("-f 8192", &pair.command()).args(["--format", "json"]));
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("File too large"), "{}", ran.stdout);
    before.nothing_is_lost("ulimit -f");
    before.was_told("ulimit -f", &ran);
    assert_eq!(look(&pair.b).into_keys().collect::<Vec<_>>(), [b"small"]);
    before.is_mended_by("ulimit -f", &pair.sync(&[]));
}

/// The kernel limits the threads of a user, except for root's. Threads are started when there is
/// something for them to do, so each number but the largest makes the run fail at another place.
#[test]
fn a_limit_on_threads_loses_nothing() {
    const USER: &str = "64321";
    let mut codes = Vec::new();
    for threads in 1..12 {
        let pair = scenario();
        let fault = format!("{threads} threads");
        let given = run(Command::new("chown")
            .args(["-Rh", &format!("{USER}:{USER}")])
            .arg(pair.scratch.path()));
        assert_eq!(given.code, Some(0), "{}", given.stderr);
        let before = Before::of(&pair.a, &pair.b);
        let mut command = Command::new("setpriv");
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
        let mut limited = with_ulimit(&format!("-u {threads}"), &pair.command());
        limited.args(["--format", "json", "--workers", "4", "--scan-threads", "1"]);
        let ran = run(command.arg(limited.get_program()).args(limited.get_args()));
        codes.push(ran.code);
        stands_or_dies(&fault, &pair, before, &ran);
    }
    assert_eq!(codes.last(), Some(&Some(0)), "{codes:?}");
    assert!(codes.iter().filter(|code| **code == Some(5)).count() > 2, "{codes:?}");
}

/// What finds nothing to do has no use for workers.
#[test]
fn workers_are_started_when_there_is_something_to_do() {
    let started = |pair: &Fixture, workers: &str| {
        let log = pair.scratch.path().join("threads");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", "trace=clone3,clone", "-o"]).arg(&log);
        let command = pair.command();
        let ran = run(strace.arg(command.get_program()).args(command.get_args()).args([
            "--scan-threads=2",
            "--workers",
            workers,
        ]));
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        let text = fs::read_to_string(log).unwrap();
        text.lines().filter(|line| line.contains("clone") && !line.contains("resumed")).count()
    };
    let pair = Fixture::new();
    let without = started(&pair, "1");
    assert_eq!(started(&pair, "64"), without, "nothing to do");
    for index in 0..3 {
        write(&pair.a, format!("{index}"), "x", T0);
    }
    let with = started(&pair, "64");
    assert!(
        (without + 1..=without + 3).contains(&with),
        "three files: {with} threads, {without} without"
    );
}

/// The kernel kills what outgrows its cgroup, wherever that happens; page cache it takes back. The
/// process needs about 30 MiB of its own, with what waits to be written. The sizes below that end a
/// run at its start, in its scan and in its copies.
#[test]
fn a_small_memory_cgroup_loses_nothing() {
    let mut codes = Vec::new();
    for megabytes in [1, 8, 12, 16, 20, 24, 28, 64] {
        let pair = scenario();
        write(&pair.a, "t/larger-than-memory", vec![9; 80 << 20], T0);
        let fault = format!("{megabytes} MiB of memory");
        let before = Before::of(&pair.a, &pair.b).may_leave_temporaries(true);
        let ran = Cgroup::new(megabytes).run(pair.command().args(["--format", "json"]));
        codes.push(ran.code);
        stands_or_dies(&fault, &pair, before, &ran);
    }
    assert!(codes[0] != Some(0) && codes.last() == Some(&Some(0)), "{codes:?}");
}

/// A memory cgroup, of whichever version the machine has.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(megabytes: u64) -> Self {
        let (first, second) = (Path::new("/sys/fs/cgroup/memory"), Path::new("/sys/fs/cgroup"));
        let root = if first.is_dir() { first } else { second };
        let path = root.join(format!("ha-sync-{megabytes}-{}", std::process::id()));
        fs::create_dir(&path).expect("this test needs to make memory cgroups");
        let limit = if first.is_dir() { "memory.limit_in_bytes" } else { "memory.max" };
        let cgroup = Self(path);
        fs::write(cgroup.0.join(limit), (megabytes << 20).to_string())
            .expect("this test needs to limit memory");
        cgroup
    }

    fn run(&self, command: &Command) -> Ran {
        let mut limited = Command::new("bash");
        limited
            .args(["-c", "echo $$ >\"$1/cgroup.procs\" && shift && exec \"$@\"", "bash"])
            .arg(&self.0);
        run(limited.arg(command.get_program()).args(command.get_args()))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The last process in it may be on its way out; what stays is empty.
        wait_until("the cgroup is empty", || fs::remove_dir(&self.0).is_ok());
    }
}
