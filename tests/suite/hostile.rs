//! Names, shapes and neighbours that break naive tools.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use crate::fixture::*;

#[test]
fn names_are_bytes() {
    let pair = Fixture::new();
    let long = [b'x'; 255];
    let names: [&[u8]; 14] = [
        b"-rf",
        b"--help",
        b"new\nline",
        b"tab\t",
        b" ",
        b"caf\xe9",
        b"\xff\xfe\x80",
        &long,
        b"...",
        b"a\\b",
        b"\x1b[2J",
        b"*",
        b"$(id)",
        "日本語 \u{202e}".as_bytes(),
    ];
    for name in names {
        write(&pair.a, OsStr::from_bytes(name), name, T0);
        fs::create_dir(
            pair.a.join(OsStr::from_bytes(&[b"d", &name[..name.len().min(200)]].concat())),
        )
        .unwrap();
    }
    let ran = pair.sync(&["--verbose"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same(&look(&pair.a), &look(&pair.b));
    let odd = ran.stdout.chars().filter(|c| c.is_control() && *c != '\n').count();
    assert_eq!(odd, 0, "control characters are escaped: {:?}", ran.stdout);

    let rows = pair.opslogs().pop().unwrap();
    let exact = rows
        .iter()
        .find(|row| row["filepath_b64"] == "Y2Fm6Q==")
        .expect("the exact bytes of caf\\xe9");
    assert_eq!(exact["filepath"], "caf\u{fffd}");
}

#[test]
fn reserved_names_are_invisible_on_both_sides() {
    let pair = Fixture::new();
    let ours = ".ha-sync.0123456789abcdef.00000001.tmp";
    let silly = ".nfs000000000042e1f500000001";
    for name in [ours, silly, "sub/.nfs000000000042e1f500000002"] {
        write(&pair.a, name, "x", T0);
    }
    write(&pair.a, "lost+found/fragment", "x", T0);
    write(&pair.a, ".snapshot/old", "x", T0);
    write(&pair.b, ".zfs/old", "x", T0);
    write(&pair.b, silly, "theirs", T0 + 9000);
    write(&pair.a, "sub/lost+found/user's own", "x", T0);
    fs::create_dir(pair.a.join(".ha-sync.0123456789abcdef.00000002.tmp")).unwrap();
    pair.counts(&[]);
    let dest = look(&pair.b);
    let expected: [&[u8]; 7] = [
        b".ha-sync.0123456789abcdef.00000002.tmp",
        b".nfs000000000042e1f500000001",
        b".zfs",
        b".zfs/old",
        b"sub",
        b"sub/lost+found",
        b"sub/lost+found/user's own",
    ];
    assert_eq!(dest.keys().map(Vec::as_slice).collect::<Vec<_>>(), expected);
    assert_eq!(dest[silly.as_bytes()].kind, Kind::File(b"theirs".into()));
}

#[test]
fn temporaries_that_an_interrupted_run_left_are_swept_at_dest_only() {
    let pair = Fixture::new();
    let file = ".ha-sync.0123456789abcdef.00000001.tmp";
    let link = "sub/.ha-sync.0123456789abcdef.00000002.tmp";
    for root in [&pair.a, &pair.b] {
        write(root, file, "x", T0);
        fs::create_dir(root.join("sub")).unwrap();
        symlink(root, link, "x", T0);
        date(&root.join("sub"), T0 + 3, 0);
    }
    pair.counts(&["--lock=none"]).expect(&[]);
    assert_eq!(temporaries(&pair.b).len(), 2, "without the lock they may be in use");
    pair.counts(&[]).expect(&[("swept", 2)]);
    assert_eq!((temporaries(&pair.b).len(), temporaries(&pair.a).len()), (0, 2));
    assert_eq!(look(&pair.b)[&b"sub"[..]].mtime, (T0 + 3, 0));
}

#[test]
fn a_log_directory_is_never_synced_wherever_it_lies() {
    let mut pair = Fixture::new();
    pair.logs = pair.b.join("logs/ha-sync");
    write(&pair.a, "file", "x", T0);
    write(&pair.a, "logs/ha-sync/theirs", "must not be mixed in", T0);
    pair.counts(&[]);
    pair.counts_back(&[]).expect(&[("not_entered", 1), ("in_sync", 1)]);
    assert!(!pair.b.join("logs/ha-sync/theirs").exists());
    assert_eq!(look(&pair.a).len(), 4, "{:?}", look(&pair.a).keys());
    assert_eq!(pair.opslogs().len(), 2);

    let refused = run(&mut pair.command_between(&pair.logs, &pair.a));
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("log directory"), "{}", refused.stderr);
}

#[test]
fn paths_deeper_than_path_max_are_carried() {
    let pair = Fixture::new();
    let (name, depth) = ("directory-with-a-name-of-some-length", 400); // 14 KB of path
    write_at(&deep_dir(&pair.a, name, depth, true), "bottom", b"deep");
    let counts = pair.counts(&[]);
    assert_eq!(counts.get("created"), depth as u64 + 1);
    assert_eq!(read_at(&deep_dir(&pair.b, name, depth, false), "bottom"), b"deep");
    pair.counts(&[]).expect(&[("in_sync", 1)]);
    empty(&pair);
}

#[test]
fn a_deep_and_wide_tree_is_carried_with_64_open_files() {
    let pair = Fixture::new();
    write_at(&deep_dir(&pair.a, "d", 300, true), "bottom", b"deep");
    for index in 0..300 {
        write(&pair.a, format!("wide-{index}/sub/file"), "x", T0);
    }
    let command = pair.command();
    let ran = run(with_ulimit("-n 64", &command).args(["--format", "json", "--workers", "16"]));
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("only 64 files may be open"), "{}", ran.stderr);
    Counts(ran.summary()).expect(&[("created", 300 + 1 + 900)]);
    assert_eq!(read_at(&deep_dir(&pair.b, "d", 300, false), "bottom"), b"deep");
    empty(&pair);

    let refused = run(&mut with_ulimit("-n 24", &command));
    assert!(refused.code == Some(2) && refused.stderr.contains("ulimit -n"), "{}", refused.stderr);
}

#[test]
fn a_tree_deeper_than_a_threads_stack_is_carried() {
    let pair = Fixture::new();
    // Twelve thousand frames of any size would not fit the two megabytes of a thread.
    let depth = 12_000;
    write_at(&deep_dir(&pair.a, "d", depth, true), "bottom", b"deep");
    let counts = pair.counts(&[]);
    assert_eq!(counts.get("created"), depth as u64 + 1);
    pair.counts(&[]).expect(&[("in_sync", 1)]);
    empty(&pair);
}

#[test]
fn a_directory_of_more_names_than_one_task_looks_at_is_carried_and_compares_equal() {
    let pair = Fixture::new();
    let files = 3 * ha_sync::tree::LOOK_AT_ONCE + 17;
    for index in 0..files {
        fs::write(pair.a.join(format!("{index:07}")), "x").unwrap();
    }
    let counts = pair.counts(&[]);
    assert_eq!(counts.get("created"), files as u64);
    let counts = pair.counts(&[]);
    counts.expect(&[("source_entries", files as u64), ("dest_entries", files as u64)]);
    assert_eq!(counts.get("in_sync"), files as u64);
}

#[test]
fn mount_points_below_the_roots_are_not_crossed() {
    let pair = Fixture::new();
    for root in [&pair.a, &pair.b] {
        fs::create_dir_all(root.join("mounted")).unwrap();
        fs::create_dir_all(root.join("bound")).unwrap();
    }
    write(&pair.a, "fine", "x", T0);
    write(&pair.a, "bound/beneath", "x", T0);
    let elsewhere = pair.scratch.path().join("elsewhere");
    write(&elsewhere, "file", "x", T0);
    // In a mount namespace of its own: a file system in the source, and a bind mount of the same
    // one in dest.
    let command = pair.command();
    let script = "mount -t tmpfs none \"$1/mounted\" && echo x >\"$1/mounted/file\" && \
                  mount --bind \"$3\" \"$2/bound\"";
    let ran = run(in_a_namespace(script, &[&pair.a, &pair.b, &elsewhere], &command)
        .args(["--format", "json"]));
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    Counts(ran.summary()).expect(&[("created", 1), ("not_entered", 2)]);
    assert_eq!(look(&elsewhere).len(), 1);
    assert_eq!(look(&pair.b).len(), 3);
}

#[test]
fn a_symlink_in_the_way_is_never_followed() {
    let pair = Fixture::new();
    let outside = pair.scratch.path().join("outside");
    write(&outside, "canary", "alive", T0);
    // At dest a symlink to a directory stands where the source has a directory, and the reverse.
    write(&pair.a, "dir/file", "x", T0 + 9000);
    symlink(&pair.b, "dir", &outside, T0);
    symlink(&pair.a, "link", &outside, T0 + 9000);
    fs::create_dir(pair.b.join("link")).unwrap();
    let ran = pair.sync(&["--format", "json"]);
    assert_eq!(ran.code, Some(1));
    Counts(ran.summary()).expect(&[("conflicts", 2)]);
    assert_eq!(look(&outside).len(), 1);
}

/// The tag and the leftovers are seen before the names that other tasks look at.
#[test]
fn a_huge_directory_is_a_log_directory_and_is_swept_like_any_other() {
    let pair = Fixture::new();
    for index in 0..3 * ha_sync::tree::LOOK_AT_ONCE {
        let name = format!("{index:07}");
        fs::create_dir_all(pair.a.join("tagged")).unwrap();
        fs::create_dir_all(pair.b.join("plain")).unwrap();
        fs::write(pair.a.join("tagged").join(&name), "").unwrap();
        fs::write(pair.b.join("plain").join(&name), "").unwrap();
    }
    fs::create_dir(pair.a.join("plain")).unwrap();
    fs::write(pair.a.join("tagged/.ha-sync-log-dir"), "").unwrap();
    for index in 0..5 {
        fs::write(pair.b.join(format!("plain/.ha-sync.0123456789abcdef.0000000{index}.tmp")), "")
            .unwrap();
    }
    let kept = 3 * ha_sync::tree::LOOK_AT_ONCE as u64;
    pair.counts(&[]).expect(&[("not_entered", 1), ("swept", 5), ("only_at_dest", kept)]);
    assert!(!pair.b.join("tagged").exists());
}

/// The other names of a file would get its metadata too, and with them the content they stand for.
#[test]
fn equal_content_under_a_hard_link_is_copied_and_the_other_names_stay() {
    let pair = Fixture::new();
    let outside = write(pair.scratch.path(), "outside", "XXXX", T0);
    fs::hard_link(&outside, pair.b.join("one")).unwrap();
    fs::hard_link(&outside, pair.b.join("two")).unwrap();
    chmod(&write(&pair.a, "one", "XXXX", T0 + 2000), 0o600);
    write(&pair.a, "two", "YYYY", T0 + 1500);
    pair.counts(&[]).expect(&[("updated", 2)]);
    assert_same(&look(&pair.a), &look(&pair.b));
    let other = look(pair.scratch.path()).remove(&b"outside"[..]).unwrap();
    assert_eq!((other.kind, other.mtime, other.mode), (Kind::File(b"XXXX".into()), (T0, 0), 0o644));
}

#[test]
fn a_root_that_a_bind_mount_hides_inside_the_other_one_is_not_synced_into_itself() {
    let pair = Fixture::new();
    write(&pair.a, "sub/file", "x", T0);
    write(&pair.a, "other", "x", T0);
    let command = pair.command();
    let script = "mount --bind \"$1/sub\" \"$2\"";
    let ran = run(in_a_namespace(script, &[&pair.a, &pair.b], &command).args(["--format", "json"]));
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.summary()["failures"][0].as_str().unwrap().contains("other tree's root"),
        "{}",
        ran.stdout
    );
    assert!(!pair.a.join("sub/sub").exists());
    let ran =
        run(in_a_namespace(script, &[&pair.a, &pair.b], pair.command().arg("--delete-missing"))
            .args(["--format", "json"]));
    assert_eq!(ran.code, Some(3), "{}{}", ran.stdout, ran.stderr);
    assert!(pair.a.join("sub/file").exists(), "the only copy: {}", ran.stdout);
}
