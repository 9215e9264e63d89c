//! A dest that is read-only from the start, or becomes it while a run is going on.

use super::check::Before;
use super::disk::Disk;
use super::strace::{Held, Reach};
use crate::fixture::*;

const EXT4: [&str; 2] = ["mkfs.ext4", "-q"];

fn scenario() -> (Fixture, Disk) {
    let pair = Fixture::new();
    let disk = Disk::new(&pair, &EXT4, 16);
    for index in 0..8 {
        write(&pair.a, format!("new-{index}"), "new", T0);
        write(&pair.a, format!("dir-{index}/file"), "new", T0);
        write(&pair.a, format!("old-{index}"), "a new version", T0 + 100);
        write(&disk.seen("dest"), format!("old-{index}"), "the old version", T0);
    }
    // What only the memory holds is lost when the file system gives up, whoever wrote it.
    disk.run("sync", ["-f".as_ref(), disk.inside("dest").as_os_str()]);
    (pair, disk)
}

fn remount(disk: &Disk, how: &str) {
    disk.run("mount", ["-o".as_ref(), how.as_ref(), disk.inside("").as_os_str()]);
}

#[test]
fn a_dest_that_is_read_only_is_refused_at_the_start() {
    let (pair, disk) = scenario();
    let mut before = Before::of(&pair.a, &disk.seen("dest"));
    remount(&disk, "remount,ro");
    let ran = run(&mut disk.sync(&pair, "dest"));
    assert!(ran.code == Some(2) && ran.stderr.contains("Remount it read-write"), "{}", ran.stderr);
    before.nothing_is_lost("read-only");
    before.was_told("read-only", &ran);
    remount(&disk, "remount,rw");
    before.is_mended_by("read-only", &run(&mut disk.sync(&pair, "dest")));
}

/// Between two files, as an operator does it. While one is being written the kernel refuses.
#[test]
fn a_dest_that_is_remounted_read_only_between_two_files_loses_nothing() {
    let (pair, disk) = scenario();
    let mut before = Before::of(&pair.a, &disk.seen("dest"));
    let held = Held::behind(&pair, &disk.sync(&pair, "dest"), Reach::Anywhere, "renameat", 3);
    remount(&disk, "remount,ro");
    let ran = held.go_on();
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("Read-only file system"), "{}", ran.stdout);
    before.nothing_is_lost("remounted");
    before.was_told("remounted", &ran);
    remount(&disk, "remount,rw");
    before.is_mended_by("remounted", &run(&mut disk.sync(&pair, "dest")));
}

/// In the middle of a file, as ext4 does by itself when its disk fails. The file's temporary cannot
/// be removed then.
#[test]
fn a_dest_whose_file_system_gives_up_in_the_middle_of_a_file_loses_nothing() {
    for (call, when) in [("pwrite64", 5), ("utimensat", 4), ("mkdirat", 2)] {
        let (pair, disk) = scenario();
        let fault = format!("given up behind {call} number {when}");
        let mut before = Before::of(&pair.a, &disk.seen("dest")).may_leave_temporaries(true);
        let held = Held::behind(&pair, &disk.sync(&pair, "dest"), Reach::Anywhere, call, when);
        remount(&disk, "remount,abort");
        let ran = held.go_on();
        assert!(matches!(ran.code, Some(1 | 5)), "{}{}", ran.stdout, ran.stderr);
        before.nothing_is_lost(&fault);
        before.was_told(&fault, &ran);
        disk.mount_again();
        before.is_mended_by(&fault, &run(&mut disk.sync(&pair, "dest")));
    }
}
