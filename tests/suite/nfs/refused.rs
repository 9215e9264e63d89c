//! What a server refuses: room, and root's rights.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;

use super::lab::*;
use crate::faults::check::Before;
use crate::fixture::*;

/// New files and new versions, of which some have room.
fn fill(a: &Path, b: &Path) {
    for index in 0..12 {
        write(a, format!("new-{index:02}"), vec![index; 256 << 10], T0);
        write(a, format!("old-{index:02}"), vec![index; 256 << 10], T0 + 100);
        write(b, format!("old-{index:02}"), "the old version", T0);
    }
    write(b, "only-here", "a user's", T0);
}

/// The error comes when the file is written to disk or closed, long after the write. A server that
/// could not keep one file says that it may have lost another one, too. The kernel then writes that
/// other file again, after whatever was done to it since. A file that was published with its mtime
/// set before would get the mtime "now" in one round of three.
#[test]
fn a_full_disk_at_the_server_fails_the_files_that_have_no_room_and_leaves_nothing_behind() {
    in_the_lab(|pair| {
        for _ in 0..6 {
            shell("rm -rf /srv/a/* /srv/b/*");
            fill(SERVER_A.as_ref(), SERVER_B.as_ref());
            shell("nfs_fill 2000");
            let mut before = Before::of(SERVER_A.as_ref(), SERVER_B.as_ref());
            let ran = pair.sync(&["--delete-missing", "--max-delete", "none", "--format", "json"]);
            assert_eq!(ran.code, Some(3), "deletions are withheld: {}{}", ran.stdout, ran.stderr);
            assert!(ran.stdout.contains("No space left"), "{}", ran.stdout);
            assert!(
                Counts(ran.summary()).get("failed") > 0 && Counts(ran.summary()).get("created") > 0
            );
            before.nothing_is_lost("a full disk");
            shell("nfs_empty");
            before.is_mended_by("a full disk", &pair.sync(&[]));
            pair.counts(&[]).expect(&[("only_at_dest", 1)]);
        }
    });
}

/// With a quota group of btrfs, which binds root, too. It sometimes refuses to remove a file for
/// want of room; then the next run sweeps the file.
#[test]
fn a_used_up_quota_at_the_server_fails_the_files_that_have_no_room_and_loses_nothing() {
    in_the_lab(|pair| {
        shell(
            "nfs_disk quota mkfs.btrfs -q; btrfs quota enable /srv/quota; mkdir /srv/quota/plain",
        );
        shell("btrfs subvolume create /srv/quota/dest >/dev/null");
        let pair = Fixture { b: "/mnt/quota/dest".into(), ..pair };
        let dest = Path::new("/srv/quota/dest");
        fill(SERVER_A.as_ref(), dest);
        shell("sync -f /srv/quota; btrfs qgroup limit 2M /srv/quota/dest");
        let mut before = Before::of(SERVER_A.as_ref(), dest).may_leave_temporaries(true);
        let ran = pair.sync(&["--format", "json"]);
        assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("Disk quota exceeded"), "{}", ran.stdout);
        before.nothing_is_lost("a quota");
        before.was_told("a quota", &ran);
        shell("btrfs qgroup limit none /srv/quota/dest");
        before.is_mended_by("a quota", &pair.sync(&[]));
    });
}

/// The same holds if the first entry that the run meets exists already, and belongs to root or to
/// the user that the server makes of root.
#[test]
fn an_export_that_squashes_root_costs_one_warning_and_no_file() {
    in_the_lab(|pair| {
        for owner in [65534, 0] {
            let name = format!("0standing-{owner}");
            let path = write(SERVER_A.as_ref(), &name, "same", T0 + 100);
            lchown(&path, Some(1000), Some(1000)).unwrap();
            lchown(write("/srv/b".as_ref(), &name, "same", T0), Some(owner), Some(owner)).unwrap();
        }
        for index in 0..8 {
            let path = write(SERVER_A.as_ref(), format!("d{}/f{index}", index % 2), "x", T0);
            lchown(&path, Some(1000 + index), Some(1000)).unwrap();
            date(&path, T0, 0);
        }
        lchown("/srv/a/d1", Some(1000), Some(1000)).unwrap();
        shell("chmod 777 /srv/b; nfs_export root_squash; nfs_remount");
        let ran = pair.sync(&["--format", "json", "--workers=1"]);
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        Counts(ran.summary()).expect(&[("created", 10), ("updated", 2), ("updated_metadata", 1)]);
        let warnings =
            ran.stderr.lines().filter(|line| line.contains("refuses to set owners")).count();
        assert_eq!(warnings, 1, "{}", ran.stderr);
        assert_eq!(fs::metadata("/srv/b/d1/f1").unwrap().uid(), 65534);
        assert_eq!(fs::metadata("/srv/b/d1").unwrap().mode() & 0o7777, 0o755);
        all_is_carried(&pair);
    });
}
