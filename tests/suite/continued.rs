//! The copy of a very large file is resumed where an interrupted run left it, if what is there is
//! certainly its beginning.
//!
//! These tests use the library, because only there the meaning of "very large" can be chosen. The
//! binary begins at 1 GiB.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ha_sync::model::{Outcome, RelPath, Summary, Timestamp};
use ha_sync::pipeline::{Fsync, IoOptions, Monitor, Options, Process, Recorder, Trees, sync};
use ha_sync::stop::Stop;

use crate::fixture::*;

const LEN: u64 = 40 << 20;

/// Asks for the end of the run when so many bytes have been read.
struct Watch {
    stop: Stop,
    read: AtomicU64,
    enough: u64,
}

impl Monitor for Watch {
    fn counted(&self, _: &Summary) {}
    fn planned(&self, _: u64, _: u64) {}
    fn started(&self, _: usize, _: &RelPath, _: u64) {}
    fn copied(&self, _: usize, bytes: u64) {
        if self.read.fetch_add(bytes, Ordering::Relaxed) + bytes >= self.enough {
            self.stop.halt(&"the test wants it");
        }
    }
    fn ended(&self, _: usize) {}
    fn recorded(&self, _: &Outcome) {}
    fn equal(&self, _: &dyn Fn() -> RelPath) {}
    fn spared(&self, _: &RelPath, _: &str) {}
    fn scanned(&self) {}
    fn warn(&self, message: &str) {
        panic!("{message}");
    }
}

#[derive(Default)]
struct Outcomes(Vec<Outcome>);

impl Recorder for Outcomes {
    fn record(&mut self, outcome: &Outcome) -> io::Result<()> {
        self.0.push(outcome.clone());
        Ok(())
    }

    fn idle(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Windows of 4 MiB, and a note after each.
fn options(run: u64, hash_copies: bool) -> Options {
    let options = Options::plain(Process::new(run, true, Timestamp::default()));
    let io = IoOptions {
        workers: 16,
        scan_threads: 1,
        hash_copies,
        resume_above: 16 << 20,
        ..options.io
    };
    Options { io, ..options }
}

/// One run, which ends when it has read `enough` bytes.
fn run_once(pair: &Fixture, options: &Options, enough: u64) -> (Summary, Vec<Outcome>) {
    let open = |path: &Path| Arc::new(ha_sync::tree::Tree::open(path).unwrap().keeping_open(100));
    let trees = Trees { source: open(&pair.a), dest: open(&pair.b) };
    let stop = Stop::new();
    let watch = Watch { stop: stop.clone(), read: AtomicU64::new(0), enough };
    let mut outcomes = Outcomes::default();
    let synced = sync(&trees, options, &watch, &stop, &mut outcomes);
    synced.result.unwrap();
    (synced.counts, outcomes.0)
}

/// A pair in which a run was interrupted after some 24 MiB of 40.
fn interrupted(hash_copies: bool) -> (Fixture, PathBuf) {
    let pair = Fixture::new();
    let content: Vec<u8> = (0..LEN).map(|index| (index / 4096 + index % 251) as u8).collect();
    chmod(&write(&pair.a, "dir/large", content, T0), 0o664);
    let (counts, _) = run_once(&pair, &options(1, hash_copies), 24 << 20);
    assert_eq!((counts.created, counts.created_directories), (1, 1), "{counts:?}");
    let left = temporaries(&pair.b);
    assert_eq!(left.len(), 1, "the beginning stays: {left:?}");
    assert_eq!(
        fs::metadata(pair.b.join(&left[0])).unwrap().mode() & 0o077,
        0,
        "nobody else may write to it"
    );
    let path = pair.b.join(&left[0]);
    (pair, path)
}

/// Runs to the end; returns the counts and the bytes of data that went over.
#[track_caller]
fn finish(pair: &Fixture, options: &Options) -> Summary {
    let (counts, outcomes) = run_once(pair, options, u64::MAX);
    assert_eq!(counts.failed, 0, "{outcomes:?}");
    assert_same(&look(&pair.a), &look(&pair.b));
    let attributes =
        run(Command::new("getfattr").args(["-d", "-m", "-"]).arg(pair.b.join("dir/large")));
    assert_eq!(attributes.stdout, "", "no bookmark stays");
    if options.io.hash_copies {
        let digest = outcomes.iter().find_map(|outcome| outcome.effect.md5_after).unwrap();
        let expected = run(Command::new("md5sum").arg(pair.a.join("dir/large"))).stdout;
        assert_eq!(digest.to_string(), expected[..32]);
    }
    counts
}

#[test]
fn an_interrupted_copy_is_gone_on_with() {
    for hash_copies in [true, false] {
        let (pair, _) = interrupted(hash_copies);
        let counts = finish(&pair, &options(2, hash_copies));
        assert_eq!((counts.created, counts.continued, counts.swept), (1, 1, 0));
        let expected = (LEN - (24 << 20))..=(LEN - (12 << 20));
        assert!(expected.contains(&counts.copied_bytes), "{} bytes went over", counts.copied_bytes);
    }
}

#[test]
fn it_can_be_interrupted_again_and_again() {
    let (pair, _) = interrupted(false);
    for round in 2..5 {
        run_once(&pair, &options(round, false), 10 << 20);
        assert_eq!(temporaries(&pair.b).len(), 1);
    }
    // Each round was stopped before its end was noted, or got a bit further.
    let counts = finish(&pair, &options(9, false));
    assert!(counts.continued == 1 && counts.copied_bytes < LEN - (12 << 20), "{counts:?}");
}

/// What may have become of the source or of what was left, and why it is no beginning then.
#[test]
fn whatever_is_unexpected_begins_anew() {
    type Spoil = fn(&Fixture, &Path);
    let set = |path: &Path, name: &str, value: &str| {
        let ran = run(Command::new("setfattr").args(["-n", name, "-v", value]).arg(path));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    };
    let cases: [(&str, Spoil); 8] = [
        ("the source was changed", |pair, _| {
            let source = File::options().write(true).open(pair.a.join("dir/large")).unwrap();
            source.write_all_at(b"changed", 5 << 20).unwrap();
            drop(source);
            date(&pair.a.join("dir/large"), T0 + 100, 0);
        }),
        ("the source is another file of the same size and time", |pair, _| {
            let path = pair.a.join("dir/large");
            let bytes = vec![7; LEN as usize];
            fs::remove_file(&path).unwrap();
            write(&pair.a, "dir/large", bytes, T0);
        }),
        ("somebody gave it a second name", |pair, left| {
            fs::hard_link(left, pair.scratch.path().join("second")).unwrap();
        }),
        ("it belongs to somebody else", |_, left| {
            std::os::unix::fs::chown(left, Some(1234), None).unwrap();
        }),
        ("others may write to it", |_, left| chmod(left, 0o622)),
        ("it is shorter than its bookmark says", |_, left| {
            File::options().write(true).open(left).unwrap().set_len(1 << 20).unwrap();
        }),
        ("it has no bookmark", |_, left| {
            let ran = run(Command::new("setfattr").args(["-x", "user.ha-sync.copy"]).arg(left));
            assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        }),
        ("it is no file", |_, left| {
            fs::remove_file(left).unwrap();
            std::os::unix::fs::symlink("elsewhere", left).unwrap();
        }),
    ];
    for (what, spoil) in cases {
        let (pair, left) = interrupted(false);
        spoil(&pair, &left);
        let (counts, outcomes) = run_once(&pair, &options(2, false), u64::MAX);
        assert_eq!((counts.failed, counts.continued), (0, 0), "{what}: {outcomes:?}");
        let (source, dest) = (pair.a.join("dir/large"), pair.b.join("dir/large"));
        assert!(fs::read(source).unwrap() == fs::read(dest).unwrap(), "{what}");
        run_once(&pair, &options(3, false), u64::MAX);
        assert_eq!(temporaries(&pair.b), Vec::<String>::new(), "{what}");
    }
    let (pair, left) = interrupted(false);
    set(&left, "user.ha-sync.copy", "rubbish");
    assert_eq!(finish(&pair, &options(2, false)).continued, 0);
}

#[test]
fn a_digest_does_not_believe_what_it_has_not_compared() {
    let (pair, left) = interrupted(true);
    let file = File::options().write(true).open(&left).unwrap();
    file.write_all_at(b"rotten", 3 << 20).unwrap();
    drop(file);
    assert_eq!(finish(&pair, &options(2, true)).continued, 0);
    assert_eq!(temporaries(&pair.b), Vec::<String>::new());
}

/// Two runs that both take themselves for the holder of the pair's lock.
#[test]
fn what_another_writer_has_in_hand_is_left_to_it() {
    let (pair, left) = interrupted(false);
    let writer = File::options().write(true).open(&left).unwrap();
    rustix::fs::flock(&writer, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let (counts, _) = run_once(&pair, &options(2, false), u64::MAX);
    assert_eq!((counts.created, counts.continued, counts.failed), (1, 0, 0));
    assert!(
        fs::read(pair.a.join("dir/large")).unwrap() == fs::read(pair.b.join("dir/large")).unwrap()
    );
    assert!(left.exists());
    writer.write_all_at(b"late", 0).unwrap();
    assert!(
        fs::read(pair.a.join("dir/large")).unwrap() == fs::read(pair.b.join("dir/large")).unwrap()
    );
}

#[test]
fn without_the_lock_or_without_knowing_what_is_on_disk_nothing_is_gone_on_with() {
    let plain = options(2, false);
    for options in [
        Options { process: Process { holds_lock: false, ..plain.process }, ..plain.clone() },
        Options { io: IoOptions { fsync: Fsync::Never, ..plain.io }, ..plain.clone() },
        Options { io: IoOptions { resume_above: LEN, ..plain.io }, ..plain },
    ] {
        let (pair, _) = interrupted(false);
        let (counts, _) = run_once(&pair, &options, u64::MAX);
        assert_eq!(
            (counts.created, counts.continued, counts.swept),
            (1, 0, options.process.holds_lock.into())
        );
        assert!(
            fs::read(pair.a.join("dir/large")).unwrap()
                == fs::read(pair.b.join("dir/large")).unwrap()
        );
    }
}
