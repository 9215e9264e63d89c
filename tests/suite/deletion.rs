//! What `--delete-missing` deletes, and all that keeps it from deleting.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use crate::fixture::*;

const DELETE: &str = "--delete-missing";

/// A pair in sync, but for what each test adds.
fn in_sync() -> Fixture {
    let pair = Fixture::new();
    for root in [&pair.a, &pair.b] {
        write(root, "kept", "x", T0);
        write(root, "dir/kept", "x", T0);
        date(&root.join("dir"), T0 + 5, 0);
    }
    pair
}

/// Runs with deletion, and expects that a guard withholds it and says so. Nothing at dest may
/// change.
fn expect_withheld(pair: &Fixture, flags: &[&str], candidates: u64, words: &[&str]) {
    for dry in ["--dry-run=true", "--dry-run=false"] {
        let before = look(&pair.b);
        let ran = pair.sync(&[flags, &[DELETE, dry, "--format=json"]].concat());
        assert_eq!(ran.code, Some(3), "{dry}: {}{}", ran.stdout, ran.stderr);
        let summary = ran.summary();
        assert_eq!(summary["status"], "partial_failure", "{summary}");
        assert_eq!(summary["withheld"]["candidates"], candidates, "{summary}");
        for word in words {
            assert!(
                summary["error_message"].as_str().unwrap().contains(word),
                "{word:?} is not in {summary}"
            );
        }
        let counts = Counts(summary);
        assert_eq!((counts.get("withheld"), counts.get("deleted")), (candidates, 0));
        assert_same(&look(&pair.b), &before);
        let footer = pair.opslogs().pop().unwrap().pop().unwrap();
        assert_eq!(
            (&footer["status"], &footer["counts"]["withheld"]),
            (&"partial_failure".into(), &candidates.into())
        );
        assert!(
            footer["error_message"].as_str().unwrap().contains("nothing was deleted"),
            "{footer}"
        );
    }
}

#[test]
fn what_only_dest_has_goes_and_the_rest_stays_as_it_is() {
    let pair = in_sync();
    let before = look(&pair.b);
    write(&pair.b, "dir/gone", "four", T0);
    write(&pair.b, "old/sub/deep/file", "x", T0);
    fs::create_dir_all(pair.b.join("old/empty")).unwrap();
    symlink(&pair.b, "old/link", "dir", T0);
    symlink(&pair.b, "dangling", "nowhere", T0);
    date(&pair.b.join("dir"), T0 + 5, 0);

    pair.counts(&[]).expect(&[("only_at_dest", 3)]);
    pair.counts(&[DELETE]).expect(&[("deleted", 8)]);

    assert_same(&look(&pair.b), &before);
    let rows = pair.opslogs().pop().unwrap();
    let row = rows.iter().find(|row| row["filepath"] == "dir/gone").unwrap();
    let told = ["operation", "kind", "status"].map(|key| row[key].as_str().unwrap());
    assert_eq!(
        (told, &row["size_before"], row.get("size_after")),
        (["delete", "file", "success"], &4.into(), None)
    );
    let order: Vec<_> = rows.iter().filter_map(|row| row["filepath"].as_str()).collect();
    let place = |path: &str| {
        order.iter().position(|one| *one == path).unwrap_or_else(|| panic!("{path} in {order:?}"))
    };
    for (inner, outer) in [
        ("old/sub/deep/file", "old/sub/deep"),
        ("old/sub/deep", "old/sub"),
        ("old/sub", "old"),
        ("old/empty", "old"),
    ] {
        assert!(place(inner) < place(outer), "{inner} before {outer}: {order:?}");
    }
    pair.counts(&[DELETE]).expect(&[]);
}

#[test]
fn a_symlink_goes_and_what_it_points_to_stays() {
    let pair = in_sync();
    let outside = pair.scratch.path().join("outside");
    write(&outside, "canary", "alive", T0);
    symlink(&pair.b, "to-outside", &outside, T0);
    symlink(&pair.b, "to-dir", "dir", T0);
    pair.counts(&[DELETE]).expect(&[("deleted", 2)]);
    assert!(outside.join("canary").exists() && pair.b.join("dir/kept").exists());
}

#[test]
fn a_dry_run_plans_exactly_what_the_real_run_deletes() {
    let pair = in_sync();
    for index in 0..300 {
        write(&pair.b, format!("old-{}/{}/file-{index}", index % 7, index % 3), "x", T0);
    }
    write(&pair.b, "old-0/special/x", "x", T0);
    fs::create_dir(pair.b.join("empty")).unwrap();
    let _pipe = fifo(&pair.b, "old-0/special/pipe");
    write(&pair.b, "old-1/keep.me", "x", T0);
    let flags = [DELETE, "--max-delete=none", "--exclude=keep.me", "--format=json"];
    let deletions = |ran: &Ran| -> BTreeSet<String> {
        let rows = ran.json().into_iter().filter(|row| row["operation"] == "delete");
        rows.map(|row| row["filepath"].as_str().unwrap().to_owned()).collect()
    };
    let before = look(&pair.b);
    let dry = pair.sync(&[&flags[..], &["--dry-run"]].concat());
    assert_same(&look(&pair.b), &before);
    let real = pair.sync(&[&flags[..], &["--verbose"]].concat());
    assert_eq!((dry.code, real.code), (Some(0), Some(0)), "{}", dry.stderr);
    assert_eq!(deletions(&dry), deletions(&real));
    assert_eq!(deletions(&dry).len(), 300 + 7 * 3 + 7 - 2 + 2, "{:?}", deletions(&dry));
    let left: Vec<_> = look(&pair.b).into_keys().filter(|path| path.starts_with(b"old")).collect();
    let expected: [&[u8]; 5] =
        [b"old-0", b"old-0/special", b"old-0/special/pipe", b"old-1", b"old-1/keep.me"];
    assert_eq!(left, expected);
}

#[test]
fn an_empty_source_deletes_nothing_however_it_is_empty() {
    let mut pair = Fixture::new();
    pair.counts(&[DELETE]).expect(&[]); // Two empty roots are in sync.
    write(&pair.b, "dir/file", "x", T0);
    expect_withheld(&pair, &["--max-delete=none"], 2, &["no entry", "not mounted"]);
    fs::create_dir(pair.a.join("lost+found")).unwrap();
    expect_withheld(&pair, &["--max-delete=none"], 2, &["no entry"]);
    write(&pair.a, ".nfs000000000042e1f500000001", "x", T0);
    expect_withheld(&pair, &["--max-delete=none"], 2, &["no entry"]);
    write(&pair.a, "cache/x", "x", T0);
    let excluded = ["--max-delete=none", "--exclude=/cache/"];
    expect_withheld(&pair, &excluded, 2, &["no entry"]);
    let _pipe = fifo(&pair.a, "pipe");
    expect_withheld(&pair, &excluded, 2, &["no entry"]);
    // Its own log directory, which it makes itself where the source's disk should be.
    pair.logs = pair.a.join("logs");
    expect_withheld(&pair, &excluded, 2, &["no entry"]);
    assert!(pair.logs.join(".ha-sync-log-dir").exists());
    pair.counts(&[DELETE]).expect(&[
        ("created", 2),
        ("deleted", 2),
        ("special", 1),
        ("not_entered", 1),
    ]);
}

#[test]
fn below_a_directory_that_cannot_be_listed_nothing_is_deleted_and_elsewhere_it_is() {
    let pair = in_sync();
    write(&pair.a, "closed/inside", "x", T0);
    write(&pair.b, "closed/sub/old", "keep", T0);
    write(&pair.b, "elsewhere/old", "goes", T0);
    write(&pair.b, "locked/old", "stays", T0);
    chmod(&pair.a.join("closed"), 0o000);
    chmod(&pair.b.join("locked"), 0o000);
    let ran = as_nobody(&pair, &[DELETE, "--format=json"]);
    for dir in [pair.a.join("closed"), pair.b.join("locked")] {
        chmod(&dir, 0o755);
    }
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    Counts(ran.summary()).expect(&[("failed", 2), ("deleted", 2)]);
    assert_eq!(fs::read(pair.b.join("closed/sub/old")).unwrap(), b"keep");
    assert!(pair.b.join("locked/old").exists() && !pair.b.join("elsewhere").exists());
}

#[test]
fn below_a_mount_point_nothing_is_deleted() {
    let pair = in_sync();
    for root in [&pair.a, &pair.b] {
        fs::create_dir(root.join("in-source")).unwrap();
    }
    write(&pair.b, "in-source/old", "keep", T0);
    fs::create_dir_all(pair.b.join("old/in-dest")).unwrap();
    let ran = sync_after(
        &pair,
        "mount -t tmpfs none \"$1/in-source\" && mount -t tmpfs none \"$2/old/in-dest\" && echo x >\"$2/old/in-dest/file\"",
        &[DELETE, "--format=json"],
    );
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    Counts(ran.summary()).expect(&[("not_entered", 2), ("deleted", 0)]);
    assert!(pair.b.join("in-source/old").exists() && pair.b.join("old/in-dest").exists());
}

#[test]
fn more_candidates_than_allowed_and_none_is_deleted() {
    let pair = in_sync();
    for index in 0..150 {
        write(&pair.b, format!("old/{index}"), "x", T0);
    }
    expect_withheld(&pair, &[], 151, &["151 of 154", "--max-delete 50%", "--max-delete 151"]);
    expect_withheld(
        &pair,
        &["--max-delete=150"],
        151,
        &["--max-delete 150 allows", "--max-delete 151"],
    );
    expect_withheld(&pair, &["--max-delete=0"], 151, &["--max-delete 151"]);
    let told = pair.sync(&[DELETE]).stdout;
    for word in [
        "but nothing was deleted",
        "withheld     151 candidates",
        "--max-delete 151",
        "old/",
        "and 146 more",
    ] {
        assert!(told.contains(word), "{word:?} is not in {told}");
    }
    pair.counts(&[DELETE, "--max-delete=151"]).expect(&[("deleted", 151)]);
}

#[test]
fn a_percentage_does_not_stop_what_is_few() {
    let pair = in_sync();
    for index in 0..98 {
        write(&pair.b, format!("old/{index}"), "x", T0);
    }
    pair.counts(&[DELETE, "--max-delete=0%"]).expect(&[("deleted", 99)]);
}

#[test]
fn without_its_required_file_a_run_is_refused_and_nothing_is_touched() {
    let pair = in_sync();
    write(&pair.a, "new", "x", T0);
    for (source, dest) in [(false, false), (true, false), (false, true)] {
        for (root, there) in [(&pair.a, source), (&pair.b, dest)] {
            let _gone = fs::remove_file(root.join(".mounted"));
            if there {
                write(root, ".mounted", "", T0);
            }
        }
        let ran = pair.sync(&["--require-file=.mounted"]);
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        for word in ["refused", ".mounted is not there", "Nothing was touched"] {
            assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
        }
        assert!(!pair.b.join("new").exists() && pair.opslogs().is_empty());
    }
    fs::create_dir(pair.a.join(".mounted")).unwrap();
    let ran = pair.sync(&["--require-file=.mounted"]);
    assert!(ran.code == Some(3) && ran.stderr.contains("is a directory"), "{}", ran.stderr);
    fs::remove_dir(pair.a.join(".mounted")).unwrap();
    write(&pair.a, ".mounted", "", T0);
    pair.counts(&["--require-file=.mounted"]).expect(&[("created", 1)]);
}

#[test]
fn roots_that_are_no_mount_points_are_refused_where_they_have_to_be() {
    let pair = in_sync();
    let ran = pair.sync(&["--require-mount", "--format=json"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("is not a mount point"), "{}", ran.stderr);
    assert_eq!((&ran.summary()["type"], &ran.summary()["exit_code"]), (&"error".into(), &3.into()));
    let one = sync_after(&pair, "mount -t tmpfs none \"$1\"", &["--require-mount"]);
    assert!(one.code == Some(3) && one.stderr.contains(pair.b.to_str().unwrap()), "{}", one.stderr);
    let both = "mount -t tmpfs none \"$1\" && mount --bind \"$2\" \"$2\" && echo x >\"$1/new\"";
    let ran = sync_after(&pair, both, &["--require-mount", "--format=json"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    Counts(ran.summary()).expect(&[("created", 1), ("only_at_dest", 2)]);
}

#[test]
fn what_is_left_alone_keeps_its_directory_and_those_above() {
    let pair = in_sync();
    for dir in ["fifo", "excluded", "young", "log", "silly", "temporary", "mixed"] {
        write(&pair.b, format!("old/{dir}/sub/file"), "goes", T0);
    }
    let _pipe = fifo(&pair.b, "old/fifo/sub/pipe");
    write(&pair.b, "old/excluded/sub/keep.me", "x", T0);
    write(&pair.b, "old/young/sub/upload", "x", now());
    write(&pair.b, "old/log/sub/.ha-sync-log-dir", "", T0);
    write(&pair.b, "old/silly/sub/.nfs000000000042e1f500000001", "x", T0);
    write(&pair.b, "old/temporary/sub/.ha-sync.0123456789abcdef.00000001.tmp", "in use", T0);
    write(&pair.b, "young-dir/file", "x", T0);
    for (path, seen) in look(&pair.b)
        .iter()
        .filter(|(path, seen)| seen.kind == Kind::Dir && path.starts_with(b"old"))
    {
        date(&pair.b.join(std::ffi::OsStr::from_bytes(path)), T0 + 7, 0);
        assert_ne!(seen.mtime, (T0 + 7, 0));
    }
    // Without the lock a temporary may be another run's.
    let counts = pair.counts(&[DELETE, "--lock=none", "--exclude=keep.me", "--min-age=1h"]);
    let files = ["fifo", "excluded", "young", "silly", "temporary", "mixed"].len() as u64;
    counts.expect(&[
        ("deleted", files + 2), // And two directories, mixed/sub and mixed.
        ("special", 1),
        ("excluded", 1),
        ("too_young", 2), // The upload, and a directory that somebody has just made.
        ("not_entered", 1),
    ]);
    let left = look(&pair.b);
    for path in [
        "old/fifo/sub/pipe",
        "old/excluded/sub/keep.me",
        "old/young/sub/upload",
        "old/log/sub/file",
        "young-dir/file",
        "old/silly/sub/.nfs000000000042e1f500000001",
        "old/temporary/sub/.ha-sync.0123456789abcdef.00000001.tmp",
    ] {
        assert!(left.contains_key(path.as_bytes()), "{path} stays");
    }
    for dir in ["fifo", "excluded", "young", "silly", "temporary"] {
        assert_eq!(
            left[format!("old/{dir}/sub").as_bytes()].mtime,
            (T0 + 7, 0),
            "the mtime of {dir} is as it was"
        );
    }
    assert!(!left.contains_key(&b"old/mixed"[..]));
    // With the lock it is a leftover, which goes, and the directory with it.
    let counts = pair.counts(&[DELETE, "--exclude=keep.me", "--min-age=1h"]);
    counts.expect(&[
        ("swept", 1),
        ("deleted", 2),
        ("special", 1),
        ("excluded", 1),
        ("too_young", 2), // The upload, and a directory that somebody has just made.
        ("not_entered", 1),
    ]);
    assert!(!pair.b.join("old/temporary").exists());
}

#[test]
fn the_former_name_of_a_file_that_could_not_be_read_stays() {
    let pair = in_sync();
    chmod(&write(&pair.a, "new-name", "content", T0 + 50), 0o000);
    write(&pair.b, "old-name", "content", T0 + 50);
    write(&pair.b, "within-the-threshold", "CONTENT", T0 + 52);
    write(&pair.b, "other-size", "longer content", T0 + 50);
    write(&pair.b, "other-mtime", "content", T0 + 60);
    let ran = as_nobody(&pair, &[DELETE, "--format=json"]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    Counts(ran.summary()).expect(&[("failed", 1), ("deleted", 2), ("spared", 2)]);
    assert!(pair.b.join("old-name").exists() && pair.b.join("within-the-threshold").exists());
    chmod(&pair.a.join("new-name"), 0o644);
    pair.counts(&[DELETE]).expect(&[("created", 1), ("deleted", 2)]);
}

#[test]
fn a_copy_that_fails_at_a_full_dest_withholds_all_deletions() {
    let pair = in_sync();
    write(&pair.a, "too-large", vec![1; 8 << 20], T0);
    let script = "mount -t tmpfs -o size=4m none \"$2\" && echo x >\"$2/old\"";
    let ran = sync_after(&pair, script, &[DELETE, "--format=json"]);
    assert_eq!(ran.code, Some(3), "{}{}", ran.stdout, ran.stderr);
    let summary = ran.summary();
    let message = summary["error_message"].as_str().unwrap();
    assert!(message.contains("too-large") && message.contains("No space left"), "{message}");
    Counts(summary).expect(&[("failed", 1), ("withheld", 1), ("created", 3)]);
}

/// Deleting one name changes the others' ctime: that is no reason to come back for each of them.
#[test]
fn all_names_of_a_hard_linked_file_go_in_one_run() {
    let pair = in_sync();
    let first = write(&pair.b, "old/first", "x", T0);
    for name in ["old/second", "third"] {
        fs::hard_link(&first, pair.b.join(name)).unwrap();
    }
    let kept = pair.scratch.path().join("outside");
    fs::hard_link(&first, &kept).unwrap();
    pair.counts(&[DELETE]).expect(&[("deleted", 4)]);
    assert_eq!(fs::metadata(kept).unwrap().nlink(), 1);
}

#[test]
fn a_directory_that_meets_something_else_stays_with_all_below() {
    let pair = in_sync();
    write(&pair.a, "now-a-file", "x", T0 + 100);
    write(&pair.b, "now-a-file/inside", "x", T0);
    let before = look(&pair.b);
    let ran = pair.sync(&[DELETE, "--format=json"]);
    assert_eq!(ran.code, Some(1));
    Counts(ran.summary()).expect(&[("conflicts", 1)]);
    assert_same(&look(&pair.b), &before);
}

#[test]
fn a_deep_tree_and_a_wide_one_are_deleted_with_few_open_files() {
    let pair = in_sync();
    let depth = 300;
    write_at(&deep_dir(&pair.b, "d", depth, true), "bottom", b"deep");
    for index in 0..400 {
        write(&pair.b, format!("wide-{index}/sub/file"), "x", T0);
    }
    let command = pair.command();
    let ran =
        run(with_ulimit("-n 64", &command).args([DELETE, "--max-delete=none", "--format=json"]));
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    Counts(ran.summary()).expect(&[("deleted", depth as u64 + 1 + 1200)]);
    assert_eq!(look(&pair.b).len(), 3);
}

#[test]
fn a_tree_deeper_than_path_max_and_than_a_threads_stack_is_deleted() {
    let pair = in_sync();
    let depth = 8_000;
    write_at(&deep_dir(&pair.b, "d", depth, true), "bottom", b"deep");
    pair.counts(&[DELETE, "--max-delete=none"]).expect(&[("deleted", depth as u64 + 1)]);
    assert_eq!(look(&pair.b).len(), 3);
}

/// A file system that takes upper and lower case for the same, until this goes.
struct Folding {
    mounted: std::path::PathBuf,
    server: std::process::Child,
}

impl Folding {
    fn at(mounted: &Path, store: &Path) -> Self {
        fs::create_dir_all(store).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/folding-fs");
        let server = Command::new(script).arg(store).arg(mounted).spawn().unwrap();
        let device = fs::metadata(mounted).unwrap().dev();
        wait_until("it is mounted", || {
            fs::metadata(mounted).is_ok_and(|meta| meta.dev() != device)
        });
        Self { mounted: mounted.to_owned(), server }
    }
}

impl Drop for Folding {
    fn drop(&mut self) {
        // It ends when it is unmounted.
        run(Command::new("umount").arg(&self.mounted));
        self.server.wait().unwrap();
    }
}

/// What dest calls `Photos` is what the source calls `photos`: nobody may delete one for the other.
#[test]
fn names_that_differ_only_in_case_are_safe_where_dest_takes_them_for_the_same() {
    let pair = Fixture::new();
    ["kept", "dir/kept"].into_iter().for_each(|name| drop(write(&pair.a, name, "x", T0)));
    let store = pair.scratch.path().join("store");
    let _folding = Folding::at(&pair.b, &store);
    for name in ["kept", "dir/kept", "Photos/1", "Photos/Sub/2", "Other", "gone", "Gone-dir/x"] {
        write(&pair.b, name, "x", T0);
    }
    for name in ["photos/1", "photos/sub/2", "OTHER"] {
        write(&pair.a, name, "x", T0);
    }
    let (source, kept) = (look(&pair.a), ["Photos/1", "Photos/Sub/2", "Other", "kept", "dir/kept"]);
    let ran = pair.sync(&[DELETE, "--format=json"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let counts = Counts(ran.summary());
    assert_eq!((counts.get("deleted"), counts.get("spared")), (3, 5), "{}", ran.stdout);
    assert!(ran.stdout.contains("under another spelling"), "{}", ran.stdout);
    for name in kept {
        assert!(store.join(name).exists(), "{name}: {}", ran.stdout);
    }
    // And the opposite run finds the source's names in dest's.
    let back = run(pair.command_between(&pair.b, &pair.a).args([DELETE, "--format=json"]));
    assert_eq!(Counts(back.summary()).get("deleted"), 0, "{}", back.stdout);
    let now = look(&pair.a);
    source
        .keys()
        .for_each(|path| assert!(now.contains_key(path), "{}", String::from_utf8_lossy(path)));
}

/// The new name is taken by something that a file does not replace, so the former name is all that
/// dest has of the file.
#[test]
fn the_former_name_of_a_file_that_was_not_carried_for_whatever_reason_stays() {
    type Take = fn(&Path);
    let taken: [(&str, Take); 4] = [
        ("a directory", |dest| fs::create_dir(dest).unwrap()),
        ("a fifo", |dest| drop(fifo(dest.parent().unwrap(), "taken"))),
        ("a newer file", |dest| drop(write(dest.parent().unwrap(), "taken", "newer", T0 + 9000))),
        ("a young file", |dest| {
            write(dest.parent().unwrap(), "taken", "older", now());
        }),
    ];
    for (what, take) in taken {
        let pair = in_sync();
        write(&pair.b, "former", "content", T0 + 50);
        write(&pair.a, "taken", "content", T0 + 50);
        write(&pair.b, "gone", "x", T0);
        take(&pair.b.join("taken"));
        for dry in ["--dry-run=true", "--dry-run=false"] {
            let ran = pair.sync(&[DELETE, "--min-age=1h", "--format=json", dry]);
            assert!(matches!(ran.code, Some(0 | 1)), "{what}: {}{}", ran.stdout, ran.stderr);
            let counts = Counts(ran.summary());
            assert_eq!(
                (counts.get("spared"), counts.get("deleted")),
                (1, 1),
                "{what}: {}",
                ran.stdout
            );
            assert!(
                ran.summary()["spared"][0].as_str().unwrap().contains("former name"),
                "{what}: {}",
                ran.stdout
            );
        }
        assert!(pair.b.join("former").exists() && !pair.b.join("gone").exists(), "{what}");
    }
}

#[test]
fn what_is_spared_is_named_with_its_reason() {
    let pair = in_sync();
    chmod(&write(&pair.a, "new-name", "content", T0 + 50), 0o000);
    write(&pair.b, "old-name", "content", T0 + 50);
    let line =
        "spared    old-name: it may be the former name of a file that could not be carried over\n";
    let told = as_nobody(&pair, &[DELETE]).stdout;
    assert!(told.contains(&format!("  {line}")), "{told}");
    let verbose = as_nobody(&pair, &[DELETE, "--verbose"]).stdout;
    assert!(verbose.starts_with(line) || verbose.contains(&format!("\n{line}")), "{verbose}");
}

#[test]
fn copies_are_on_disk_before_anything_is_deleted() {
    let pair = in_sync();
    write(&pair.a, "new", "x", T0);
    write(&pair.b, "old", "x", T0);
    let trace = pair.scratch.path().join("trace");
    let command = pair.command();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-e", "trace=renameat2,syncfs,unlinkat", "-o"]).arg(&trace);
    let ran = run(strace.arg(command.get_program()).args(command.get_args()).arg(DELETE));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let calls = fs::read_to_string(&trace).unwrap();
    let places = ["renameat2(", "syncfs(", "unlinkat("].map(|word| calls.find(word).unwrap());
    assert!(places.is_sorted(), "{calls}");

    write(&pair.a, "newer", "x", T0);
    write(&pair.b, "old", "x", T0);
    let command = pair.command();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=syncfs:error=ENOSPC"]);
    let ran = run(strace
        .arg(command.get_program())
        .args(command.get_args())
        .args([DELETE, "--format=json"]));
    assert_eq!(ran.code, Some(5), "{}{}", ran.stdout, ran.stderr);
    Counts(ran.summary()).expect(&[("created", 1), ("not_reached", 1)]);
    assert!(pair.b.join("old").exists());
}

/// More than is kept in memory.
#[test]
fn a_list_that_does_not_fit_into_memory_goes_to_a_disk_and_where_that_fails_nothing_is_deleted() {
    let pair = in_sync();
    let files = 32_000_u64;
    for index in 0..files {
        let directory = pair.b.join(format!("old-{}", index % 20));
        if index < 20 {
            fs::create_dir(&directory).unwrap();
        }
        fs::write(directory.join(format!("{index:0250}")), "").unwrap();
    }
    let sync = |tmp: &Path| {
        let mut command = pair.command();
        run(command.env("TMPDIR", tmp).args([DELETE, "--max-delete=none", "--format=json"]))
    };
    let ran = sync(&pair.scratch.path().join("missing"));
    assert_eq!(ran.code, Some(3), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.summary()["error_message"].as_str().unwrap().contains("TMPDIR"), "{}", ran.stdout);
    Counts(ran.summary()).expect(&[("withheld", files + 20)]);
    let tmp = pair.scratch.path().join("tmp");
    fs::create_dir(&tmp).unwrap();
    let ran = sync(&tmp);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    Counts(ran.summary()).expect(&[("deleted", files + 20)]);
    assert_eq!((look(&pair.b).len(), fs::read_dir(&tmp).unwrap().count()), (3, 0));
}

fn now() -> i64 {
    i64::try_from(
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(),
    )
    .unwrap()
}

/// A fifo, which nobody opens.
fn fifo(root: &Path, name: &str) -> std::path::PathBuf {
    let path = root.join(name);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o644.into(), 0)
        .unwrap();
    path
}

/// Runs the sync in a mount namespace of its own, after a script that is given the two roots.
fn sync_after(pair: &Fixture, script: &str, flags: &[&str]) -> Ran {
    run(in_a_namespace(script, &[&pair.a, &pair.b], &pair.command()).args(flags))
}
