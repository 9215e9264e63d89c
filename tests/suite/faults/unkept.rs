//! Times that dest's file system does not have: it would make others of them, without a word.

use super::disk::Disk;
use crate::fixture::*;

/// 2100-01-01. An ext4 keeps that time unless its inodes are small: those end with January 19,
/// 2038, at 03:14:07.
const FAR: i64 = 4_102_444_800;
const END: i64 = i32::MAX as i64;

#[test]
fn a_file_whose_mtime_dest_cannot_keep_fails_alone_and_nothing_comes_back() {
    let pair = Fixture::new();
    let disk = Disk::new(&pair, &["mkfs.ext4", "-q", "-I", "128"], 16);
    let dest = disk.seen("dest");
    write(&pair.a, "dir/far", "content", FAR);
    write(&pair.a, "equal", "the same", FAR);
    write(&dest, "equal", "the same", T0);
    write(&pair.a, "older at dest", "new", FAR);
    write(&dest, "older at dest", "old one", T0);
    write(&pair.a, "ordinary", "x", T0);
    write(&pair.a, "last", "x", END);
    write(&pair.a, "last but for the threshold", "x", END + 1);
    symlink(&pair.a, "link", "ordinary", FAR);
    for (root, dirs) in [(&pair.a, &["dir", ""][..]), (&dest, &[""])] {
        dirs.iter().for_each(|dir| date(&root.join(dir), T0 + 7, 0));
    }
    let source = look(&pair.a);
    for run_number in 0..2 {
        let ran = run(&mut disk.sync(&pair, "dest"));
        assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
        let counts = Counts(ran.summary());
        assert_eq!((counts.get("failed"), counts.get("updated")), (3, 0), "{}", ran.stdout);
        assert_eq!(counts.get("created"), if run_number == 0 { 5 } else { 0 }, "{}", ran.stdout);
        for failure in ran.summary()["failures"].as_array().unwrap() {
            for word in ["cannot keep its mtime, 2100-01-01T", "2038-01-19T03:14:07", "touch"] {
                assert!(failure.as_str().unwrap().contains(word), "{word} is not in {failure}");
            }
        }
        let seen = look(&dest);
        assert!(!seen.contains_key(&b"dir/far"[..]) && temporaries(&dest).is_empty(), "{seen:?}");
        for untouched in ["equal", "older at dest", "ordinary"] {
            assert_eq!(seen[untouched.as_bytes()].mtime, (T0, 0), "{untouched}");
        }
        assert_eq!(seen[&b"older at dest"[..]].kind, Kind::File(b"old one".into()));
        assert_eq!(seen[&b"dir"[..]].mtime, (T0 + 7, 0), "its mtime is as it was");
        let back = pair.command_between(&disk.inside("dest"), &pair.a);
        let ran = run(disk.enter(&back).args(["--format", "json"]));
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        Counts(ran.summary()).expect(&[
            ("newer_at_dest", 2),
            ("close_mtimes", 1),
            ("only_at_dest", 1),
        ]);
        assert_same(&look(&pair.a), &source);
    }
}

/// Of many files with one unusual time, only the first is asked about.
#[test]
fn an_unusual_mtime_that_dest_keeps_is_asked_about_once() {
    let pair = Fixture::new();
    for index in 0..20 {
        date(&write(&pair.a, format!("{index}"), "x", 0), 0, index);
    }
    let trace = pair.scratch.path().join("trace");
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=openat", "-o"]).arg(&trace);
    let command = pair.command();
    let ran = run(strace.arg(command.get_program()).args(command.get_args()).arg("--workers=1"));
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let calls = std::fs::read_to_string(&trace).unwrap();
    let made =
        calls.lines().filter(|call| call.contains(".tmp\"") && call.contains("O_EXCL")).count();
    assert_eq!(made, 21, "{calls}");
    pair.counts(&[]).expect(&[]);
}
