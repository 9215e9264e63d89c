//! Large files: hashed and written to disk during the copy, reflinked if the file system can do
//! that, and never in the way of others.

use std::fs;
use std::process::Command;

use crate::fixture::*;

/// Bytes that differ from block to block.
fn content(mebibytes: usize) -> Vec<u8> {
    (0..mebibytes << 20).map(|index| (index / 4096 + index % 251) as u8).collect()
}

/// Runs a script as root in a mount namespace of its own. `$1` is a's folder, `$2` is b's, the rest
/// is the sync.
fn in_a_namespace(pair: &Fixture, script: &str, flags: &[&str]) -> Ran {
    let command = pair.command();
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "bash", "-euc", script, "bash"]).arg(&pair.a).arg(&pair.b);
    run(unshare.arg(command.get_program()).args(command.get_args()).args(flags))
}

#[test]
fn a_large_file_arrives_whole_with_its_digest() {
    let pair = Fixture::new();
    let mut bytes = content(40);
    bytes.truncate((40 << 20) - 12_345);
    let source = write(&pair.a, "large", bytes, T0);
    let expected = run(Command::new("md5sum").arg(&source)).stdout;
    for hash in ["--hash-copies=true", "--hash-copies=false"] {
        let _emptied = fs::remove_file(pair.b.join("large"));
        pair.counts(&[hash]).expect(&[("created", 1)]);
        assert_same(&look(&pair.a), &look(&pair.b));
    }
    assert_eq!(pair.opslogs()[0][1]["md5_after"], expected[..32]);

    date(&source, T0 + 100, 0);
    pair.counts(&[]).expect(&[("updated", 1), ("updated_metadata", 1)]);
    assert_eq!(pair.opslogs()[2][1]["md5_after"], expected[..32]);
}

/// Calls of these names while one run copies a file of so many MiB, with windows of 16 MiB.
fn calls(mebibytes: usize, names: &str, flags: &[&str]) -> usize {
    let pair = Fixture::new();
    write(&pair.a, "file", content(mebibytes), T0);
    let trace = pair.scratch.path().join("trace");
    let command = pair.command();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", &format!("trace={names}"), "-o"]).arg(&trace);
    let ran = run(strace.arg(command.get_program()).args(command.get_args()).args(flags));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let trace = fs::read_to_string(trace).unwrap();
    trace.lines().filter(|line| !line.contains("resumed>")).count()
}

#[test]
fn a_large_file_is_written_to_disk_while_it_is_copied_and_a_small_one_is_not() {
    assert_eq!(calls(64, "fdatasync", &[]), 4);
    assert_eq!(
        calls(64, "fadvise64", &["--hash-copies=false"]),
        4,
        "what is on disk leaves the memory"
    );
    assert_eq!(calls(7, "fdatasync", &[]), 0);
    assert_eq!(calls(64, "fdatasync", &["--fsync=never"]), 0);
}

#[test]
fn a_disk_that_fails_while_the_copy_goes_on_fails_the_path() {
    let pair = Fixture::new();
    write(&pair.a, "large", content(48), T0);
    write(&pair.a, "small", "x", T0);
    for hash in ["--hash-copies=true", "--hash-copies=false"] {
        let command = pair.command();
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=fdatasync:error=EIO:when=2"]);
        strace.arg(command.get_program()).args(command.get_args());
        let ran = run(strace.args([hash, "--format=json"]));
        assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
        assert_eq!(Counts(ran.summary()).get("failed"), 1);
        assert!(ran.stdout.contains("writing to disk"), "{}", ran.stdout);
        assert!(!pair.b.join("large").exists() && temporaries(&pair.b).is_empty());
    }
}

/// `filefrag` marks what two files share.
#[test]
fn blocks_are_shared_where_the_file_system_can() {
    for make in ["mkfs.btrfs -q", "mkfs.xfs -q"] {
        for hash in ["--hash-copies=true", "--hash-copies=false"] {
            let pair = Fixture::new();
            let script = format!(
                "a=$1; b=$2; shift 2; img=$a.img; truncate -s 512M $img; {make} $img >&2; mnt=$a.mnt; mkdir $mnt
                 mount -o loop $img $mnt; mkdir $mnt/a $mnt/b; mount --bind $mnt/a $a; mount --bind $mnt/b $b
                 head -c 24M /dev/urandom > $a/large; sync -f $a
                 \"$@\" >&2; cmp $a/large $b/large; filefrag -v $b/large; md5sum < $a/large
                 umount $a $b $mnt"
            );
            let ran = in_a_namespace(&pair, &script, &[hash]);
            assert_eq!(ran.code, Some(0), "{make}: {}{}", ran.stdout, ran.stderr);
            let extents: Vec<_> = ran.stdout.lines().filter(|line| line.contains("..")).collect();
            assert!(
                !extents.is_empty() && extents.iter().all(|line| line.contains("shared")),
                "{}",
                ran.stdout
            );
            let row = &pair.opslogs()[0][1];
            assert_eq!(row["bytes"], 24 << 20);
            if let Some(digest) = row.get("md5_after") {
                assert!(ran.stdout.contains(digest.as_str().unwrap()), "{row} {}", ran.stdout);
            }
        }
    }
}

#[test]
fn however_many_large_files_there_are_small_ones_are_not_held_up() {
    let pair = Fixture::new();
    for index in 0..6 {
        write(&pair.a, format!("a-large-{index}"), content(65), T0);
        write(&pair.a, format!("b-small-{index}"), "x", T0);
    }
    let mut child = slowed(pair.command().args(["--workers", "3"]), 20, &[]).spawn().unwrap();
    let is_there = |name: String| pair.b.join(name).exists();
    wait_until("all small ones are there", || {
        (0..6).all(|index| is_there(format!("b-small-{index}")))
    });
    assert!(child.try_wait().unwrap().is_none());
    assert!(
        (0..6).all(|index| !is_there(format!("a-large-{index}"))),
        "each of them takes its seconds"
    );
    rustix::process::kill_process(traced(&child), rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}
