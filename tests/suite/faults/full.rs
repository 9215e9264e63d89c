//! Disks with no room: for data, for names, and for one user's share.

use std::fs;

use super::check::Before;
use super::disk::Disk;
use crate::fixture::*;

const EXT4: [&str; 6] = ["mkfs.ext4", "-q", "-m", "0", "-N", "256"];

/// Files of 64 KiB, of which some fit: new ones, and new versions.
fn fill(pair: &Fixture, dest: &std::path::Path) {
    for index in 0..24 {
        write(&pair.a, format!("new-{index:02}"), vec![index; 64 << 10], T0);
        write(&pair.a, format!("dir-{index:02}/file"), vec![index; 64 << 10], T0);
        write(&pair.a, format!("old-{index:02}"), vec![index; 64 << 10], T0 + 100);
        write(dest, format!("old-{index:02}"), "the old version", T0);
    }
}

/// Runs into the fault, which says so in these words, and once more when `relieve` has made room.
fn stands(pair: &Fixture, disk: &Disk, words: &str, relieve: impl Fn(&Disk)) {
    let mut before = Before::of(&pair.a, &disk.seen("dest"));
    let ran = run(&mut disk.sync(pair, "dest"));
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains(words), "{}", ran.stdout);
    assert!(Counts(ran.summary()).get("created") > 0, "some of it fits: {}", ran.stdout);
    before.nothing_is_lost(words);
    before.was_told(words, &ran);
    relieve(disk);
    before.is_mended_by(words, &run(&mut disk.sync(pair, "dest")));
}

#[test]
fn a_full_disk_loses_nothing() {
    let pair = Fixture::new();
    let disk = Disk::new(&pair, &EXT4, 16);
    fill(&pair, &disk.seen("dest"));
    disk.fill_up_to(2000);
    stands(&pair, &disk, "No space left", |disk| fs::remove_file(disk.seen("ballast")).unwrap());
}

#[test]
fn a_disk_without_inodes_loses_nothing() {
    let pair = Fixture::new();
    let disk = Disk::new(&pair, &EXT4, 16);
    fill(&pair, &disk.seen("dest"));
    fs::create_dir(disk.seen("ballast")).unwrap();
    let free = rustix::fs::statvfs(disk.seen("")).unwrap().f_ffree;
    for index in 0..free - 20 {
        fs::write(disk.seen(&format!("ballast/{index}")), "").unwrap();
    }
    stands(&pair, &disk, "No space left", |disk| fs::remove_dir_all(disk.seen("ballast")).unwrap());
}

/// With a quota group of btrfs, which needs nothing of the kernel but the file system.
#[test]
fn a_used_up_quota_loses_nothing() {
    let pair = Fixture::new();
    let disk = Disk::new(&pair, &["mkfs.btrfs", "-q"], 128);
    let (root, dest) = (disk.inside(""), disk.inside("dest"));
    disk.run("btrfs", ["quota".as_ref(), "enable".as_ref(), root.as_os_str()]);
    disk.run("btrfs", ["subvolume".as_ref(), "create".as_ref(), dest.as_os_str()]);
    fill(&pair, &disk.seen("dest"));
    let limit = |disk: &Disk, size: &str| {
        disk.run("btrfs", ["qgroup".as_ref(), "limit".as_ref(), size.as_ref(), dest.as_os_str()]);
    };
    limit(&disk, "2M");
    stands(&pair, &disk, "Disk quota exceeded", |disk| limit(disk, "none"));
}
