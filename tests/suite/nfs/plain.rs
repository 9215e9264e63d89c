//! What holds on every file system holds on NFS.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, lchown};

use super::lab::*;
use crate::fixture::*;

#[test]
fn a_first_copy_arrives_whole_to_the_nanosecond_and_the_next_run_finds_nothing_to_do() {
    in_the_lab(|pair| {
        for index in 0..20 {
            let path = write(&pair.a, format!("d{}/f{index}", index % 3), vec![index; 3000], T0);
            date(&path, T0, 123_456_789 + u32::from(index));
        }
        write(&pair.a, "empty", "", T0);
        write(&pair.a, "large", vec![7; 9 << 20], T0);
        sparse(&pair.a, "sparse", 4 << 20, T0);
        let owned = write(&pair.a, "owned", "x", T0);
        lchown(&owned, Some(1234), Some(2345)).unwrap();
        chmod(&owned, 0o4751);
        date(&owned, T0, 1);
        date(&pair.a.join("d1"), T0, 5);
        chmod(&pair.a.join("d1"), 0o751);
        pair.counts(&[]).expect(&[("created", 27)]);
        assert_same(&look(SERVER_A.as_ref()), &look(SERVER_B.as_ref()));
        let seen = fs::metadata("/srv/b/owned").unwrap();
        assert_eq!((seen.uid(), seen.gid(), seen.mode() & 0o7777), (1234, 2345, 0o4751));
        pair.counts(&[]).expect(&[]);
        pair.counts_back(&[]).expect(&[]);
    });
}

#[test]
fn names_are_bytes_and_symlinks_stay_symlinks() {
    in_the_lab(|pair| {
        let long = [b'x'; 255];
        let names: [&[u8]; 8] =
            [b"-rf", b"new\nline", b"caf\xe9", b"\xff\xfe", &long, b"...", b"\x1b[2J", b"*"];
        for name in names {
            write(&pair.a, OsStr::from_bytes(name), name, T0);
            let dir =
                pair.a.join(OsStr::from_bytes(&[b"d", &name[..name.len().min(200)]].concat()));
            fs::create_dir(&dir).unwrap();
            symlink(&dir, "to the name", OsStr::from_bytes(name), T0 + 1);
        }
        symlink(&pair.a, "dangling", "nowhere", T0);
        pair.counts(&[]).expect(&[("created", 25), ("created_directories", 8)]);
        all_is_carried(&pair);
        symlink(&pair.b, "newer", "theirs", T0 + 100);
        symlink(&pair.a, "newer", "ours", T0);
        pair.counts(&[]).expect(&[("newer_at_dest", 1)]);
        pair.counts_back(&[]).expect(&[("updated", 1)]);
        all_is_carried(&pair);
    });
}

#[test]
fn the_newest_wins_whichever_direction_runs() {
    in_the_lab(|pair| {
        for (name, at_a, at_b) in [("newer-at-a", 200, 100), ("newer-at-b", 100, 200)] {
            write(&pair.a, name, "of a", T0 + at_a);
            write(&pair.b, name, "of b, longer", T0 + at_b);
        }
        write(&pair.a, "touched", "same", T0 + 500);
        write(&pair.b, "touched", "same", T0);
        pair.counts(&[]).expect(&[("updated", 2), ("updated_metadata", 1), ("newer_at_dest", 1)]);
        pair.counts_back(&[]).expect(&[("updated", 1)]);
        assert_eq!(fs::read("/srv/a/newer-at-b").unwrap(), b"of b, longer");
        assert_eq!(fs::read("/srv/b/newer-at-a").unwrap(), b"of a");
        all_is_carried(&pair);
    });
}

#[test]
fn what_is_missing_at_the_source_goes_when_that_is_asked_for() {
    in_the_lab(|pair| {
        write(&pair.a, "kept/file", "x", T0);
        pair.counts(&[]);
        for index in 0..30 {
            write(&pair.b, format!("gone/sub-{}/file-{index}", index % 3), "x", T0);
        }
        symlink(&pair.b, "kept/link", "nowhere", T0);
        pair.counts(&[]).expect(&[("only_at_dest", 2)]);
        let dated = fs::metadata("/srv/b/kept").unwrap().modified().unwrap();
        pair.counts(&["--delete-missing"]).expect(&[("deleted", 35)]);
        assert_eq!(fs::metadata("/srv/b/kept").unwrap().modified().unwrap(), dated);
        all_is_carried(&pair);
    });
}
