//! A process that gets less than it asks for: open files, address space, memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Resource, Rlimit, prlimit};

use super::check::Before;
use super::scenario;
use super::strace::{Held, Reach};
use crate::fixture::*;

/// No further file can be opened: lock, roots and opslog take 3 to 6, so with the one limit not even the opslog
/// can be sealed in the end, with the other it can.
#[test]
fn a_limit_on_open_files_that_is_reached_in_the_middle_loses_nothing() {
    for (when, limit) in [(1, 7), (1, 8), (2, 7), (2, 8), (3, 7), (4, 7), (5, 7), (6, 7)] {
        let pair = scenario();
        let fault = format!("a limit of {limit} open files behind mkdirat number {when}");
        let mut before = Before::of(&pair.a, &pair.b);
        let mut command = pair.command();
        let held = Held::behind(&pair, command.args(["--format", "json"]), Reach::Below, "mkdirat", when);
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

/// Address space from hardly enough to begin with to plenty. Where memory cannot be had, the process says so or
/// aborts: at any place, which must be as harmless as being killed there.
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

/// The kernel kills what outgrows its cgroup, wherever that is; page cache it takes back.
#[test]
fn a_small_memory_cgroup_loses_nothing() {
    let mut codes = Vec::new();
    for kilobytes in [1024, 6144, 7168, 8192, 9216, 10240, 32768] {
        let pair = scenario();
        write(&pair.a, "t/larger-than-memory", vec![9; 40 << 20], T0);
        let fault = format!("{kilobytes} KiB of memory");
        let before = Before::of(&pair.a, &pair.b).may_leave_temporaries(true);
        let ran =
            Cgroup::new(&kilobytes.to_string(), kilobytes).run(pair.command().args(["--format", "json"]));
        codes.push(ran.code);
        stands_or_dies(&fault, &pair, before, &ran);
    }
    assert!(codes[0] != Some(0) && codes.last() == Some(&Some(0)), "{codes:?}");
}

/// A memory cgroup, of whichever version the machine has.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(name: &str, kilobytes: u64) -> Self {
        let (first, second) = (Path::new("/sys/fs/cgroup/memory"), Path::new("/sys/fs/cgroup"));
        let root = if first.is_dir() { first } else { second };
        let path = root.join(format!("ha-sync-{name}-{}", std::process::id()));
        fs::create_dir(&path).expect("this test needs to make memory cgroups");
        let limit = if first.is_dir() { "memory.limit_in_bytes" } else { "memory.max" };
        let cgroup = Self(path);
        fs::write(cgroup.0.join(limit), (kilobytes << 10).to_string())
            .expect("this test needs to limit memory");
        cgroup
    }

    fn run(&self, command: &Command) -> Ran {
        let mut limited = Command::new("bash");
        limited.args(["-c", "echo $$ >\"$1/cgroup.procs\" && shift && exec \"$@\"", "bash"]).arg(&self.0);
        run(limited.arg(command.get_program()).args(command.get_args()))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The last process in it may be on its way out; what stays is empty.
        wait_until("the cgroup is empty", || fs::remove_dir(&self.0).is_ok());
    }
}
