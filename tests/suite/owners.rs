//! Whose the files are in the end, and what is refused to whom.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown, lchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::faults::strace::{Held, Reach};
use crate::fixture::*;

#[test]
fn owners_are_carried_by_root() {
    let pair = Fixture::new();
    let file = write(&pair.a, "theirs", "x", T0);
    let link = symlink(&pair.a, "their-link", "x", T0);
    fs::create_dir(pair.a.join("their-dir")).unwrap();
    for path in [&file, &link, &pair.a.join("their-dir")] {
        lchown(path, Some(1234), Some(2345)).expect("this test needs root");
    }
    chmod(&file, 0o4640);
    pair.counts(&[]);
    for name in ["theirs", "their-link", "their-dir"] {
        let meta = fs::symlink_metadata(pair.b.join(name)).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (1234, 2345), "{name}");
    }
    assert_eq!(look(&pair.b)[&b"theirs"[..]].mode, 0o4640);

    write(&pair.a, "theirs", "new", T0 + 100);
    pair.counts(&["--owner=false"]);
    assert_eq!(fs::metadata(pair.b.join("theirs")).unwrap().uid(), 0);
    assert_eq!(
        look(&pair.b)[&b"theirs"[..]].mode & 0o6000,
        0,
        "another's set-id bit lends nobody root's rights"
    );
}

/// Files of many owners at the source, after one that has a reason of its own to refuse its owner.
fn owned_files(pair: &Fixture) -> impl Iterator<Item = (PathBuf, u32)> {
    (1000..1020).map(|owner| {
        let name = format!("new-{owner}");
        chown(write(&pair.a, &name, "x", T0), Some(owner), Some(owner)).unwrap();
        (pair.b.join(name), owner)
    })
}

#[test]
fn an_immutable_file_fails_alone_and_all_others_get_their_owners() {
    for owner in [0, 1234] {
        let pair = Fixture::new();
        write(&pair.a, "fixed", "same", T0 + 100);
        chown(pair.a.join("fixed"), Some(4321), None).unwrap();
        let fixed = write(&pair.b, "fixed", "same", T0);
        chown(&fixed, Some(owner), None).unwrap();
        let files: Vec<_> = owned_files(&pair).collect();
        let chattr =
            |flag| assert_eq!(run(Command::new("chattr").arg(flag).arg(&fixed)).code, Some(0));
        chattr("+i");
        let ran = pair.sync(&["--workers=1", "--format=json"]);
        chattr("-i");
        assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
        Counts(ran.summary()).expect(&[("failed", 1), ("created", files.len() as u64)]);
        assert!(!ran.stderr.contains("owners"), "{}", ran.stderr);
        assert!(
            ran.summary()["failures"][0].as_str().unwrap().contains("immutable"),
            "{}",
            ran.stdout
        );
        for (file, owner) in files {
            assert_eq!(fs::metadata(file).unwrap().uid(), owner);
        }
    }
}

/// In a user namespace, where not every user has a number.
#[test]
fn an_owner_that_is_unknown_at_the_destination_costs_one_warning_and_all_others_are_carried() {
    let pair = Fixture::new();
    for (name, uid, gid) in
        [("a-user", 70_000, 1500), ("b-group", 1500, 70_000), ("c-neither", 70_000, 70_000)]
    {
        chown(write(&pair.a, name, "x", T0), Some(uid), Some(gid)).unwrap();
    }
    // The user's own, and yet it cannot be given away: its group is unknown.
    chown(write(&pair.a, "0standing", "same", T0 + 100), Some(1500), Some(1500)).unwrap();
    chown(write(&pair.b, "0standing", "same", T0), Some(0), Some(70_000)).unwrap();
    let files: Vec<_> = owned_files(&pair).collect();
    let command = pair.command();
    let mut unshare = Command::new("unshare");
    let when_mapped = "until read -r _ </proc/self/gid_map; do sleep 0.01; done; exec \"$@\"";
    unshare
        .args(["-U", "bash", "-c", when_mapped, "bash"])
        .arg(command.get_program())
        .args(command.get_args());
    let child = unshare
        .args(["--workers=1", "--format=json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let namespace = |of: &str| fs::read_link(format!("/proc/{of}/ns/user")).unwrap();
    let inside = child.id().to_string();
    wait_until("it is in a namespace", || namespace(&inside) != namespace("self"));
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{inside}/{map}"), "0 0 2000").unwrap();
    }
    let ran = finish(child);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    Counts(ran.summary()).expect(&[
        ("created", 3 + files.len() as u64),
        ("updated", 1),
        ("updated_metadata", 1),
    ]);
    assert_eq!(
        ran.stderr.matches("does not know every user and group").count(),
        1,
        "{}",
        ran.stderr
    );
    let owner = |file: &Path| fs::metadata(file).map(|meta| (meta.uid(), meta.gid())).unwrap();
    assert_eq!(
        ["a-user", "b-group", "c-neither"].map(|name| owner(&pair.b.join(name))),
        [(0, 1500), (1500, 0), (0, 0)]
    );
    for (file, number) in files {
        assert_eq!(owner(&file), (number, number));
    }
}

/// Neither the old group nor the new one is let in on the way, if it is not in the end.
#[test]
fn nobody_is_let_in_while_an_owner_changes() {
    // Both when only metadata is carried, and when a new file has another group than ours from the
    // beginning.
    for (call, is_new) in [("fchown", false), ("pwrite64", true)] {
        let pair = Fixture::new();
        let (uid, gid, mode) = if is_new { (0, 0, 0o640) } else { (1000, 100, 0o600) };
        let source = write(&pair.a, "dir/file", "the same", T0 + 100);
        chown(&source, Some(uid), Some(gid)).unwrap();
        chmod(&source, mode);
        fs::create_dir(pair.b.join("dir")).unwrap();
        chown(pair.b.join("dir"), None, Some(77)).unwrap();
        chmod(&pair.b.join("dir"), 0o2770);
        if !is_new {
            let dest = write(&pair.b, "dir/file", "the same", T0);
            chown(&dest, Some(7), Some(7)).unwrap();
            chmod(&dest, 0o640);
        }
        let held = Held::behind(&pair, &pair.command(), Reach::Anywhere, call, 1);
        let there =
            fs::read_dir(pair.b.join("dir")).unwrap().next().unwrap().unwrap().metadata().unwrap();
        assert_eq!(there.mode() & 0o077, 0, "behind {call}");
        let ran = held.go_on();
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        let found = fs::metadata(pair.b.join("dir/file")).unwrap();
        assert_eq!(
            (found.uid(), found.gid(), found.mode() & 0o7777),
            (uid, gid, mode),
            "behind {call}"
        );
    }
}
