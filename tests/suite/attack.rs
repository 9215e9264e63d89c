//! An attacker who may write to both trees swaps directories for symlinks and back, as fast as
//! possible, while syncs with deletion run as root. What lies outside the roots never changes, and
//! nothing that the source has is deleted.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags};

use crate::fixture::*;

const LASTS: Duration = Duration::from_secs(60);
const DIRECTORIES: usize = 4;

/// What every directory of the trees holds, and the place outside, too. A run that follows a
/// symlink there finds the very names that it looks for.
fn fill(dir: &Path) {
    for index in 0..5 {
        write(dir, format!("kept-{index}"), "x", T0);
        write(dir, format!("sub/kept-{index}"), "x", T0);
    }
}

fn add_gone(dir: &Path) {
    for index in 0..5 {
        write(dir, format!("gone-{index}"), "x", T0);
        write(dir, format!("sub/gone/{index}"), "x", T0);
    }
}

/// Each name is at every moment a directory or a symlink, never absent.
fn swap(root: &Path, index: usize) {
    let [dir, link] = ["dir", "link"].map(|name| root.join(format!("{name}-{index}")));
    rustix::fs::renameat_with(CWD, &dir, CWD, &link, RenameFlags::EXCHANGE).unwrap();
}

#[test]
fn no_symlink_leads_a_sync_with_deletion_out_of_the_trees() {
    let pair = Fixture::new();
    let [outside, nothing] = ["outside", "nothing"].map(|name| pair.scratch.path().join(name));
    fill(&outside);
    add_gone(&outside);
    fs::create_dir(&nothing).unwrap();
    for (root, target) in [(&pair.a, &nothing), (&pair.b, &outside)] {
        for index in 0..DIRECTORIES {
            fill(&root.join(format!("dir-{index}")));
            symlink(root, format!("link-{index}"), target, T0);
        }
    }
    let before = look(&outside);
    // By handle: the names lead anywhere soon.
    let swapped: Vec<_> = (0..DIRECTORIES)
        .map(|index| deep_dir(&pair.b, &format!("dir-{index}"), 1, false))
        .collect();
    let (ends, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let attack = |root: &Path| {
        while !ends.load(Ordering::Relaxed) {
            for index in 0..DIRECTORIES {
                swap(root, index);
                swaps.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let (mut runs, mut deleted, mut created) = (0, 0, 0);
    std::thread::scope(|threads| {
        threads.spawn(|| attack(&pair.a));
        threads.spawn(|| attack(&pair.b));
        let begun = Instant::now();
        while begun.elapsed() < LASTS {
            // There is always something to delete, and something to copy.
            for (index, dir) in swapped.iter().enumerate() {
                let [old, new] = ["old", "new"].map(|name| format!("{name}-{index}"));
                add_gone(&pair.b.join(old));
                write(&pair.a, new, runs.to_string(), T0 + 10 * runs);
                (0..5).for_each(|file| write_at(dir, &format!("gone-{file}"), b"x"));
            }
            let flags = ["--delete-missing", "--max-delete=none", "--workers=8", "--format=json"];
            let ran = pair.sync(&flags);
            if !matches!(ran.code, Some(0 | 1 | 3)) {
                ends.store(true, Ordering::Relaxed);
                panic!("{:?}: {}{}", ran.code, ran.stdout, ran.stderr);
            }
            let counts = Counts(ran.summary());
            deleted += counts.get("deleted");
            created += counts.get("created") + counts.get("updated");
            runs += 1;
        }
        ends.store(true, Ordering::Relaxed);
    });
    assert_same(&look(&outside), &before);
    assert_eq!(fs::read_dir(&nothing).unwrap().count(), 0);
    let dest = look(&pair.b);
    let kept = dest.keys().filter(|path| path.windows(5).any(|part| part == b"kept-")).count();
    assert_eq!(kept, DIRECTORIES * 10, "what the source has is at dest");
    let in_swapped = pair.opslogs().into_iter().flatten().filter(|row| {
        let is_swapped = |path: &str| path.starts_with("dir-") || path.starts_with("link-");
        row["operation"] == "delete"
            && row["status"] == "success"
            && row["filepath"].as_str().is_some_and(is_swapped)
    });
    assert!(in_swapped.count() > 20, "it was deleted in swapped directories, too");
    assert!(
        runs > 10 && deleted > 100 && created > 10,
        "{runs} runs, {deleted} deleted, {created} carried"
    );
    assert!(swaps.load(Ordering::Relaxed) > 10_000, "{swaps:?} swaps");
}
