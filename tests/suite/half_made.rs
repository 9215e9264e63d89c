//! Directories that a killed run had made without giving them their metadata. The next run finishes
//! these, and does not touch anybody else's.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::faults::strace::{Held, Reach};
use crate::fixture::*;
use crate::killed::{command_dies_at, dies_at};

/// A directory of somebody else's, with a file in it or without.
fn owned_dir(root: &Path, name: &str, mode: u32, file: Option<&str>) -> PathBuf {
    let dir = root.join(name);
    fs::create_dir(&dir).unwrap();
    file.map(|file| write(&dir, file, "x", T0));
    chown(&dir, Some(1234), Some(2345)).unwrap();
    chmod(&dir, mode);
    date(&dir, T0, 0);
    dir
}

/// Owner, mode and mtime.
fn dress(dir: &Path) -> (u32, u32, u32, i64) {
    let meta = fs::metadata(dir).unwrap();
    (meta.uid(), meta.gid(), meta.mode(), meta.mtime())
}

/// A new directory is accessible to us alone at first, and marked as half made. Then it gets its
/// owner, and last its mode.
#[test]
fn between_making_a_directory_and_giving_it_its_owner_or_its_mode() {
    let cases = [
        (0o755, None),
        (0o2750, Some("file")),
        (0o700, None),
        (0o777, None),
        (0o555, Some("file")),
    ];
    for (call, owner) in [("fchown", 0), ("fchmod", 1234)] {
        for (mode, file) in cases {
            let pair = Fixture::new();
            let source = owned_dir(&pair.a, "dir", mode, file);
            let dest = pair.b.join("dir");
            assert!(dies_at(&pair, call, 1, &[]));
            let half_made = dress(&dest);
            assert_eq!((half_made.0, half_made.2 & 0o7777), (owner, 0o1700), "{mode:o} at {call}");
            pair.counts(&[]).expect(&[("updated", 1), ("created", file.iter().count() as u64)]);
            assert_eq!(dress(&dest), dress(&source), "{mode:o} at {call}");
            pair.counts(&[]).expect(&[("in_sync", file.iter().count() as u64)]);
        }
    }
}

/// A setgid bit, or an ACL that says how a new directory begins.
#[test]
fn between_making_a_directory_and_dressing_it_below_one_that_hands_something_down() {
    for (call, xattrs) in
        [("fchown", "true"), ("fchmod", "true"), ("fchown", "false"), ("fchmod", "false")]
    {
        let pair = Fixture::new();
        fs::create_dir(pair.a.join("above")).unwrap();
        let source = owned_dir(&pair.a.join("above"), "dir", 0o755, None);
        let above = pair.b.join("above");
        fs::create_dir(&above).unwrap();
        chown(&above, None, Some(77)).unwrap();
        chmod(&above, 0o2755);
        let set = run(Command::new("setfacl").args(["-m", "d:u:7:rwx,d:g::rx,d:o::-"]).arg(&above));
        assert_eq!(set.code, Some(0), "{}", set.stderr);
        let flag = format!("--xattrs={xattrs}");
        let mut command = pair.command();
        assert!(command_dies_at(command.arg(&flag), call, 1, &[]), "{call} {flag}");
        let dest = above.join("dir");
        assert_eq!(dress(&dest).2 & 0o1077, 0o1000, "nobody else is let in");
        pair.counts(&[&flag]).expect(&[("updated", 1)]);
        let without_acl = |(uid, gid, mode, mtime)| (uid, gid, mode & !0o2000, mtime);
        assert_eq!(without_acl(dress(&dest)), without_acl(dress(&source)), "{call} {flag}");
        let acl = run(Command::new("getfacl").args(["-cpEn"]).arg(&dest)).stdout;
        assert_eq!(acl.contains("user:7:"), xattrs == "false", "{call} {flag}: {acl}");
    }
}

/// A difference in owner or mode alone is no work: nothing tells which side is right.
#[test]
fn a_directory_that_no_killed_run_has_left_keeps_its_owner_and_mode() {
    let pair = Fixture::new();
    // As somebody makes them by hand, in use, somebody else's, and like its source.
    let cases = [
        ("closed", 0o777, 0o700),
        ("open", 0o755, 0o755),
        ("sticky", 0o755, 0o1777),
        ("filled", 0o755, 0o1700),
        ("another-s", 0o755, 0o1700),
        ("meant-so", 0o1700, 0o1700),
    ];
    for (name, at_source, at_dest) in cases {
        owned_dir(&pair.a, name, at_source, None);
        let dest = pair.b.join(name);
        fs::create_dir(&dest).unwrap();
        chmod(&dest, at_dest);
    }
    write(&pair.b, "filled/file", "x", T0);
    chown(pair.b.join("another-s"), Some(4321), None).unwrap();
    let seen = || (look(&pair.b), cases.map(|(name, ..)| dress(&pair.b.join(name))));
    let before = seen();
    pair.counts(&[]).expect(&[("only_at_dest", 1)]);
    assert_eq!(seen(), before);
}

/// What the killed run was not allowed to do, the next one is not allowed either. The mark is still
/// removed, and the opslog says so.
#[test]
fn a_half_made_directory_of_who_may_not_give_it_away_gets_its_mode() {
    let half_made = |pair: &Fixture| {
        owned_dir(&pair.a, "dir", 0o755, None);
        fs::DirBuilder::new().mode(0o1700).create(pair.b.join("dir")).unwrap();
    };
    let check = |pair: &Fixture, ran: Ran, owner: u32| {
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        Counts(ran.summary()).expect(&[("updated", 1)]);
        let found = dress(&pair.b.join("dir"));
        assert_eq!((found.0, found.2 & 0o7777), (owner, 0o755));
        assert_eq!(pair.opslogs()[0][1]["filepath"], "dir");
    };
    let pair = Fixture::new();
    half_made(&pair);
    let command = pair.command();
    let mut limited = Command::new("setpriv");
    limited.args(["--bounding-set=-chown", "--no-new-privs"]).arg(command.get_program());
    let ran = run(limited.args(command.get_args()).arg("--format=json"));
    assert_eq!(ran.stderr.matches("refuses to set owners").count(), 1, "{}", ran.stderr);
    check(&pair, ran, 0);

    let pair = Fixture::new();
    half_made(&pair);
    let ran = as_nobody(&pair, &["--format=json"]);
    check(&pair, ran, 65534);
}

/// Who may write to the directory above can move one of ours there that nobody else may look into.
#[test]
fn a_directory_that_is_moved_to_the_name_of_a_new_one_keeps_its_owner_and_mode() {
    for owner in [0, 1234] {
        let pair = Fixture::new();
        let source = owned_dir(&pair.a, "dir", 0o755, None);
        chown(&source, Some(owner), Some(owner)).unwrap();
        let (dest, private) = (pair.b.join("dir"), pair.b.join("private"));
        write(&private, "secret", "x", T0);
        chmod(&private, 0o700);
        let before = dress(&private);
        let held = Held::behind(&pair, &pair.command(), Reach::Anywhere, "mkdirat", 1);
        fs::remove_dir(&dest).unwrap();
        fs::rename(&private, &dest).unwrap();
        held.go_on();
        assert_eq!(dress(&dest), before, "the new one was to be {owner}'s");
    }
}
