//! A process that is stopped for longer than its Lease holds, anywhere in its work. Another run
//! takes over, and when the first one goes on it changes nothing more.

use std::fs;
use std::process::Command;

use super::lab::{Job, Lab};
use crate::faults::strace::{Held, Reach};
use crate::fixture::*;

/// Stops the run right behind that call, lets another one do everything, wakes the first one up,
/// and compares the destination before and after.
fn sleep_through(
    job: &Job<'_>,
    command: &Command,
    call: &str,
    when: usize,
    expect: impl FnOnce(&Tree),
) {
    let held = Held::behind(&job.trees, command, Reach::Anywhere, call, when);
    let next = run(job.command(3).args([
        "--if-locked=wait",
        "--format",
        "json",
        "--delete-missing",
        "--max-delete=none",
    ]));
    assert_eq!(next.code, Some(0), "{call} {when}: {}{}", next.stdout, next.stderr);
    let (before, changed) = (look(&job.trees.b), changed_at(job));
    expect(&before);
    let ran = held.go_on();
    assert_eq!(ran.code, Some(4), "{call} {when}: {}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("the lock was lost"), "{}", ran.stderr);
    assert_same(&before, &look(&job.trees.b));
    assert_eq!(changed, changed_at(job), "{call} {when}: not even an attribute");
}

/// The ctimes of all that is at dest: whatever is done to a file shows there.
fn changed_at(job: &Job<'_>) -> Vec<String> {
    let ran = run(Command::new("find").arg(&job.trees.b).args(["-printf", "%p %C@\n"]));
    let mut lines: Vec<_> = ran.stdout.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

pub fn a_run_that_slept_through_its_lease_changes_nothing_more(lab: &Lab) {
    for (call, when) in [
        ("pwrite64", 1),
        ("renameat2", 1),
        ("mkdirat", 1),
        ("symlinkat", 1),
        ("utimensat", 1),
        ("fchmod", 1),
    ] {
        let job = lab.job();
        for name in ["one", "two", "below/three"] {
            let path = write(&job.trees.a, name, vec![1; 600_000], T0);
            chmod(&path, 0o4751);
        }
        symlink(&job.trees.a, "link", "one", T0);
        let source = look(&job.trees.a);
        sleep_through(&job, &job.command(6), call, when, |dest| {
            // What the next holder does not repeat is the half-made directory's mode.
            let files = |tree: &Tree| -> Tree {
                tree.iter()
                    .filter(|(_, seen)| seen.kind != Kind::Dir)
                    .map(|(path, seen)| (path.clone(), seen.clone()))
                    .collect()
            };
            assert_same(&files(&source), &files(dest));
        });
    }
}

pub fn a_run_that_slept_while_it_deleted_deletes_nothing_more(lab: &Lab) {
    let job = lab.job();
    write(&job.trees.a, "kept", "x", T0);
    for name in ["kept", "gone/one", "gone/two", "gone/three"] {
        write(&job.trees.b, name, "x", T0);
    }
    let mut command = job.command(6);
    command.args(["--delete-missing", "--max-delete=none"]);
    let held = Held::behind(&job.trees, &command, Reach::Anywhere, "unlinkat", 1);
    assert_eq!(fs::read_dir(job.trees.b.join("gone")).unwrap().count(), 2);
    // The next holder keeps what it finds: whatever is deleted now, the first one deletes.
    let next = run(job.command(6).arg("--if-locked=wait"));
    assert_eq!(next.code, Some(0), "{}{}", next.stdout, next.stderr);
    let (before, changed) = (look(&job.trees.b), changed_at(&job));
    let ran = held.go_on();
    assert_eq!(ran.code, Some(4), "{}{}", ran.stdout, ran.stderr);
    assert_same(&before, &look(&job.trees.b));
    assert_eq!(changed, changed_at(&job));
    let footer = job
        .trees
        .opslogs()
        .into_iter()
        .find(|log| log.last().unwrap()["status"] == "failed")
        .unwrap();
    assert_eq!(footer.last().unwrap()["counts"]["not_reached"], 3, "{footer:?}");
}
