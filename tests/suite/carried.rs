//! What one run carries over, and how.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use crate::fixture::*;

#[test]
fn a_tree_is_carried_with_content_mode_and_mtime() {
    let pair = Fixture::new();
    write(&pair.a, "dir/sub/file", "content", T0);
    date(&write(&pair.a, "exact", "x", T0), T0, 123_456_789);
    chmod(&write(&pair.a, "private", "secret", T0), 0o600);
    chmod(&write(&pair.a, "script", "#!/bin/sh", T0), 0o755);
    write(&pair.a, "empty", "", T0);
    fs::create_dir(pair.a.join("empty-dir")).unwrap();
    symlink(&pair.a, "link", "dir/sub/file", T0 + 1);
    symlink(&pair.a, "dangling", "nowhere", T0 + 2);
    chmod(&pair.a.join("dir"), 0o750);
    for dir in ["dir/sub", "dir", "empty-dir"] {
        date(&pair.a.join(dir), T0 + 7, 5);
    }
    let before = look(&pair.a);

    pair.counts(&[]).expect(&[("created", 10), ("created_directories", 3), ("copied_bytes", 23)]);

    assert_same(&look(&pair.b), &before);
    assert_same(&look(&pair.a), &before);
    pair.counts(&[]).expect(&[("in_sync", 7)]);
    pair.counts_back(&[]).expect(&[("in_sync", 7)]);
}

#[test]
fn the_newer_side_wins_and_the_other_run_carries_the_rest() {
    let pair = Fixture::new();
    for (root, newer, older) in [(&pair.a, "ours", "theirs"), (&pair.b, "theirs", "ours")] {
        write(root, newer, "the new version", T0 + 100);
        write(root, older, "the old one", T0);
    }
    pair.counts(&[]).expect(&[("updated", 1), ("newer_at_dest", 1)]);
    assert_eq!(fs::read(pair.b.join("ours")).unwrap(), b"the new version");
    assert_eq!(fs::read(pair.b.join("theirs")).unwrap(), b"the new version");
    assert_eq!(fs::read(pair.a.join("theirs")).unwrap(), b"the old one");

    pair.counts_back(&[]).expect(&[("updated", 1), ("in_sync", 1)]);
    assert_same(&without_dir_metadata(look(&pair.a)), &without_dir_metadata(look(&pair.b)));
    pair.counts(&[]).expect(&[("in_sync", 2)]);
    pair.counts_back(&[]).expect(&[("in_sync", 2)]);
}

#[test]
fn equal_content_with_a_newer_mtime_is_an_update_of_no_bytes() {
    let pair = Fixture::new();
    chmod(&write(&pair.a, "same", "content", T0 + 100), 0o640);
    let dest = write(&pair.b, "same", "content", T0);
    let inode = fs::metadata(&dest).unwrap().ino();

    let counts = pair.counts(&[]);

    counts.expect(&[("updated", 1), ("updated_metadata", 1), ("copied_bytes", 0)]);
    let after = fs::metadata(&dest).unwrap();
    assert_eq!((after.mtime(), after.mode() & 0o7777, after.ino()), (T0 + 100, 0o640, inode));
    let row = &pair.opslogs()[0][1];
    assert_eq!((&row["operation"], &row["bytes"]), (&"update".into(), &0.into()), "{row}");
    assert_eq!(row["md5_before"], row["md5_after"], "{row}");
}

#[test]
fn checksum_never_copies_what_is_newer_without_comparing() {
    let pair = Fixture::new();
    write(&pair.a, "same", "content", T0 + 100);
    write(&pair.b, "same", "content", T0);
    pair.counts(&["--checksum=never"]).expect(&[("updated", 1), ("copied_bytes", 7)]);
}

#[test]
fn checksum_always_finds_a_difference_that_metadata_hides_and_both_runs_agree_on_the_winner() {
    let pair = Fixture::new();
    write(&pair.a, "rotten", "content A", T0);
    write(&pair.b, "rotten", "content B", T0);
    write(&pair.a, "sound", "content", T0);
    write(&pair.b, "sound", "content", T0);
    pair.counts(&[]).expect(&[("in_sync", 2)]);
    let there = pair.counts(&["--checksum=always"]);
    let back = pair.counts_back(&["--checksum=always"]);
    assert_eq!(there.get("updated") + back.get("updated"), 1, "one direction carried it, once");
    assert_eq!(fs::read(pair.a.join("rotten")).unwrap(), fs::read(pair.b.join("rotten")).unwrap());
    pair.counts(&["--checksum=always"]).expect(&[("in_sync", 2)]);
}

#[test]
fn a_truncated_copy_with_the_right_mtime_is_repaired_from_either_side() {
    let pair = Fixture::new();
    write(&pair.a, "file", "complete", T0);
    write(&pair.b, "file", "comp", T0);
    pair.counts_back(&[]).expect(&[("newer_at_dest", 1)]);
    pair.counts(&[]).expect(&[("updated", 1)]);
    assert_eq!(fs::read(pair.b.join("file")).unwrap(), b"complete");
}

#[test]
fn a_difference_in_mode_or_directory_mtime_alone_is_no_work() {
    let pair = Fixture::new();
    chmod(&write(&pair.a, "dir/file", "x", T0), 0o600);
    chmod(&write(&pair.b, "dir/file", "x", T0), 0o644);
    date(&pair.a.join("dir"), T0 + 500, 0);
    date(&pair.b.join("dir"), T0, 0);
    let before = look(&pair.b);
    pair.counts(&[]).expect(&[("in_sync", 1)]);
    assert_same(&look(&pair.b), &before);
}

#[test]
fn a_directory_against_something_else_is_a_conflict_and_stays_on_both_sides() {
    let pair = Fixture::new();
    write(&pair.a, "one/inside", "x", T0);
    write(&pair.b, "one", "a file", T0 + 100);
    write(&pair.a, "two", "a file", T0 + 100);
    write(&pair.b, "two/inside", "y", T0);
    write(&pair.a, "fine", "z", T0);
    let before = (look(&pair.a), look(&pair.b));

    let ran = pair.sync(&["--format", "json"]);

    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    Counts(ran.summary()).expect(&[("conflicts", 2), ("created", 1)]);
    assert_eq!(ran.summary()["status"], "partial_failure");
    assert_same(&look(&pair.a), &before.0);
    let mut after = look(&pair.b);
    assert!(after.remove(&b"fine"[..]).is_some());
    assert_same(&after, &before.1);
    let rows = pair.opslogs().pop().unwrap();
    assert_eq!(
        rows.iter().filter(|row| row["cause"] == "conflict" && row["status"] == "fail").count(),
        2
    );
}

#[test]
fn files_and_symlinks_replace_each_other_by_age() {
    let pair = Fixture::new();
    write(&pair.a, "now-file", "content", T0 + 100);
    symlink(&pair.b, "now-file", "elsewhere", T0);
    symlink(&pair.a, "now-link", "elsewhere", T0 + 100);
    write(&pair.b, "now-link", "content", T0);
    symlink(&pair.a, "other-target", "new", T0 + 100);
    symlink(&pair.b, "other-target", "old", T0);
    pair.counts(&[]).expect(&[("updated", 3)]);
    assert_same(&look(&pair.a), &look(&pair.b));
}

#[test]
fn fifos_and_sockets_are_left_alone_on_either_side() {
    let pair = Fixture::new();
    let fifo = |root: &std::path::Path, name: &str| {
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join(name),
            rustix::fs::FileType::Fifo,
            0o644.into(),
            0,
        )
        .unwrap();
    };
    fifo(&pair.a, "pipe");
    write(&pair.a, "mixed", "x", T0);
    fifo(&pair.b, "mixed");
    let _socket = std::os::unix::net::UnixListener::bind(pair.a.join("socket")).unwrap();
    pair.counts(&[]).expect(&[("special", 3)]);
    assert_eq!(look(&pair.b).len(), 1);
}

#[test]
fn holes_stay_holes_and_the_bytes_are_right() {
    let pair = Fixture::new();
    let len = 64 << 20;
    let source = sparse(&pair.a, "disk.img", len, T0);
    let file = File::options().write(true).open(&source).unwrap();
    file.write_all_at(b"in the middle", 32 << 20).unwrap();
    drop(file);
    date(&source, T0, 0);
    sparse(&pair.a, "all-hole", len, T0);
    for hash in ["--hash-copies=true", "--hash-copies=false"] {
        let _emptied = fs::remove_file(pair.b.join("disk.img"));
        let _emptied = fs::remove_file(pair.b.join("all-hole"));
        let counts = pair.counts(&[hash]);
        assert_eq!(counts.get("created"), 2);
        assert_same(&look(&pair.a), &look(&pair.b));
        let blocks = fs::metadata(pair.b.join("disk.img")).unwrap().blocks();
        assert!(blocks * 512 < 1 << 20, "{hash}: {blocks} blocks are allocated");
    }
    let digests = pair.opslogs()[0].iter().map(|row| row["md5_after"].clone()).collect::<Vec<_>>();
    let expected = run(std::process::Command::new("md5sum").arg(pair.a.join("disk.img"))).stdout;
    assert!(digests.iter().any(|digest| digest.as_str() == Some(&expected[..32])), "{digests:?}");
}

#[test]
fn the_logged_digest_is_that_of_the_content() {
    let pair = Fixture::new();
    write(&pair.a, "file", vec![7; 1_000_003], T0);
    pair.counts(&[]);
    let expected = run(std::process::Command::new("md5sum").arg(pair.a.join("file"))).stdout;
    assert_eq!(pair.opslogs()[0][1]["md5_after"], expected[..32]);
    fs::remove_file(pair.b.join("file")).unwrap();
    pair.counts(&["--hash-copies=false"]);
    assert_eq!(pair.opslogs()[1][1].get("md5_after"), None);
    assert_same(&look(&pair.a), &look(&pair.b));
}

#[test]
fn hard_links_are_copied_as_files_of_their_own_and_reported() {
    let pair = Fixture::new();
    let first = write(&pair.a, "first", "x", T0);
    fs::hard_link(first, pair.a.join("second")).unwrap();
    pair.counts(&[]).expect(&[("created", 2), ("hard_linked", 2)]);
    assert_eq!(fs::metadata(pair.b.join("first")).unwrap().nlink(), 1);
}

#[test]
fn set_id_bits_and_modes_are_carried_or_left_as_asked() {
    let pair = Fixture::new();
    chmod(&write(&pair.a, "tool", "x", T0), 0o4755);
    chmod(&write(&pair.a, "secret", "x", T0), 0o600);
    pair.counts(&[]);
    assert_eq!(look(&pair.b)[&b"tool"[..]].mode, 0o4755);

    chmod(&write(&pair.a, "secret", "longer", T0 + 100), 0o666);
    pair.counts(&["--mode=false"]);
    assert_eq!(look(&pair.b)[&b"secret"[..]].mode, 0o600, "what stands there keeps its mode");
}

#[test]
fn the_mtime_of_a_directory_is_that_of_the_newer_side_after_a_change_in_it() {
    let pair = Fixture::new();
    write(&pair.a, "dir/new", "x", T0);
    fs::create_dir(pair.b.join("dir")).unwrap();
    date(&pair.a.join("dir"), T0 + 10, 0);
    date(&pair.b.join("dir"), T0 + 20, 0);
    pair.counts(&[]);
    assert_eq!(look(&pair.b)[&b"dir"[..]].mtime, (T0 + 20, 0));
}

#[test]
fn a_read_only_directory_is_filled_and_then_closed() {
    let pair = Fixture::new();
    write(&pair.a, "closed/sub/file", "x", T0);
    for dir in ["closed/sub", "closed"] {
        chmod(&pair.a.join(dir), 0o555);
    }
    let ran = as_nobody(&pair, &[]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let dest = look(&pair.b);
    assert_eq!(dest[&b"closed/sub/file"[..]].kind, Kind::File(b"x".into()));
    assert_eq!((dest[&b"closed"[..]].mode, dest[&b"closed/sub"[..]].mode), (0o555, 0o555));
}

#[test]
fn what_cannot_be_read_is_a_failed_path_and_stops_nothing_else() {
    let pair = Fixture::new();
    write(&pair.a, "fine", "x", T0);
    chmod(&write(&pair.a, "closed-file", "x", T0), 0o000);
    write(&pair.a, "closed-dir/inside", "x", T0);
    write(&pair.b, "closed-dir/old", "keep", T0);
    write(&pair.a, "closed-at-dest/inside", "x", T0);
    write(&pair.b, "closed-at-dest/old", "keep", T0);
    chmod(&pair.a.join("closed-dir"), 0o000);
    let ran = as_nobody(&pair, &["--format", "json"]);
    chmod(&pair.a.join("closed-dir"), 0o755);
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    let counts = Counts(ran.summary());
    assert_eq!((counts.get("failed"), counts.get("created")), (2, 2), "{}", ran.stdout);
    assert_eq!(fs::read(pair.b.join("closed-dir/old")).unwrap(), b"keep");
    assert!(!pair.b.join("closed-dir/inside").exists() && !pair.b.join("closed-file").exists());
    assert!(ran.summary()["failures"][0].as_str().unwrap().contains("Permission denied"));
}
