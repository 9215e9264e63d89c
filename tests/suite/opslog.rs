//! The opslog as a contract: what is in it, and what becomes of one that a killed run left.

use std::fs::{self, File};
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use ha_sync::opslog::{Damage, End, OpslogReader, RunStatus};

use crate::fixture::*;

/// A pair with one finished run, and that run's opslog.
fn finished() -> (Fixture, std::path::PathBuf) {
    let pair = Fixture::new();
    write(&pair.a, "dir/file", "content", T0);
    write(&pair.a, "caf\u{e9}", "x", T0);
    pair.counts(&[]);
    let path = pair.log_files(".jsonl").pop().unwrap();
    (pair, path)
}

/// Reads all of it: paths, and how it ends.
fn read(path: &std::path::Path) -> Result<(Vec<Vec<u8>>, End), Damage> {
    let mut paths = Vec::new();
    let (_, reader) = OpslogReader::open(path)?;
    let end = reader.read(|record| {
        paths.push(record.path_bytes().unwrap());
        Ok(())
    })?;
    Ok((paths, end))
}

#[test]
fn it_has_a_header_a_line_for_each_operation_and_a_footer() {
    let (pair, path) = finished();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("opslog-test-fwd-2"), "{name}");
    let lines = pair.opslogs().pop().unwrap();
    let (header, footer) = (&lines[0], lines.last().unwrap());
    assert_eq!((&header["type"], &header["format"]), (&"header".into(), &1.into()));
    for key in [
        "run_id",
        "pair",
        "direction",
        "src",
        "dest",
        "started_at",
        "dry_run",
        "version",
        "host",
        "options",
    ] {
        assert!(!header[key].is_null(), "{key}");
    }
    assert_eq!(header["src"].as_str().unwrap(), pair.a.to_str().unwrap());
    assert_eq!((&footer["status"], &footer["operations"]), (&"success".into(), &3.into()));
    assert_eq!(footer["counts"]["created"], 3);
    let file = lines.iter().find(|line| line["filepath"] == "dir/file").unwrap();
    for (key, value) in [("operation", "create"), ("kind", "file"), ("status", "success")] {
        assert_eq!(file[key], value);
    }
    assert_eq!((&file["size_after"], file.get("size_before")), (&7.into(), None));
    assert!(file["started_at"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn one_that_is_cut_anywhere_gives_its_whole_lines_and_no_error() {
    let (pair, path) = finished();
    let bytes = fs::read(&path).unwrap();
    let ends: Vec<usize> =
        (0..bytes.len()).filter(|at| bytes[*at] == b'\n').map(|at| at + 1).collect();
    let cut = pair.scratch.path().join("cut");
    for len in 0..bytes.len() {
        fs::write(&cut, &bytes[..len]).unwrap();
        let whole = ends.iter().filter(|end| **end <= len).count();
        match read(&cut) {
            Err(Damage::NoHeader) => assert_eq!(whole, 0, "cut at {len}"),
            Ok((paths, End::Torn { valid_len })) => {
                assert_eq!(paths.len() + 1, whole, "cut at {len}");
                assert_eq!(valid_len as usize, ends[whole - 1], "cut at {len}");
            }
            other => panic!("cut at {len}: {other:?}"),
        }
    }
    assert!(
        matches!(read(&path).unwrap().1, End::Sealed(footer) if footer.status == RunStatus::Success)
    );
}

#[test]
fn damage_in_the_middle_is_no_torn_tail() {
    let (pair, path) = finished();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let with = |index: usize, line: &str| {
        let mut changed = lines.clone();
        changed[index] = line;
        changed.join("\n") + "\n"
    };
    let damaged = pair.scratch.path().join("damaged");
    let cases = [
        ("garbage between operations", with(2, "}{"), "line 3"),
        ("a line of zeros", with(1, "\0\0\0"), "line 2"),
        ("a damaged header", with(0, "{\"type\":\"header\"}"), "line 1"),
        ("an operation without its path", with(1, "{\"type\":\"operation\"}"), "line 2"),
        ("a second header", with(1, lines[0]), "line 2"),
        ("a footer in the middle", with(1, lines[4]), "line 2"),
        ("an opslog without a header", lines[1..].join("\n") + "\n", "line 1"),
    ];
    for (what, content, place) in cases {
        fs::write(&damaged, content).unwrap();
        let error = read(&damaged).expect_err(what).to_string();
        assert!(error.contains(place), "{what}: {error}");
    }
    fs::write(&damaged, text.replacen("\"format\":1", "\"format\":2", 1)).unwrap();
    assert!(matches!(read(&damaged), Err(Damage::Newer(2))));
    fs::write(&damaged, b"\xff\xfe\n\n").unwrap();
    assert!(read(&damaged).is_err());
}

/// Makes the finished opslog look like that of a run that was killed while writing a line.
fn unfinished(path: &std::path::Path) -> std::path::PathBuf {
    let text = fs::read_to_string(path).unwrap();
    let torn = &text[..text.rfind("{\"type\":\"footer\"").unwrap() - 20];
    fs::remove_file(path).unwrap();
    let part = path.with_extension("jsonl.part");
    fs::write(&part, torn).unwrap();
    part
}

#[test]
fn what_a_killed_run_left_is_sealed_as_failed_by_the_next_run_of_its_pair_and_direction() {
    let (pair, path) = finished();
    let part = unfinished(&path);
    pair.counts_back(&["--direction", "back"]);
    assert!(part.exists(), "another direction's run leaves it alone");
    let alive = File::open(&part).unwrap();
    alive.lock().unwrap();
    pair.counts(&[]);
    assert!(part.exists(), "its writer lives");
    drop(alive);
    pair.counts(&["--lock=none"]);
    assert!(part.exists(), "without the pair's lock a young one may be in use");

    pair.counts(&[]);
    assert!(!part.exists());
    let (paths, end) = read(&path).unwrap();
    let End::Sealed(footer) = end else { panic!("{end:?}") };
    assert_eq!((paths.len(), footer.operations, footer.counts.created), (2, 2, 2));
    assert_eq!(footer.status, RunStatus::Failed);
    assert!(footer.error_message.unwrap().contains("killed"));
}

#[test]
fn a_run_whose_opslog_has_no_room_ends_with_5_and_the_next_one_does_not_say_that_it_was_killed() {
    let pair = Fixture::new();
    for number in 0..100 {
        fs::create_dir(pair.a.join(format!("{number:0>100}"))).unwrap();
    }
    // No file may become larger than this.
    let usual = pair.command();
    let mut command = std::process::Command::new("env");
    command.args(["--ignore-signal=XFSZ", "prlimit", "--fsize=4096"]).arg(usual.get_program());
    let ran = run(command.args(usual.get_args()));
    assert_eq!(ran.code, Some(5), "{}", ran.stderr);
    assert!(ran.stderr.contains("could not be sealed: File too large"), "{}", ran.stderr);
    assert_eq!(pair.log_files(".part").len(), 1);
    let done = fs::read_dir(&pair.b).unwrap().count();

    pair.counts(&[]);
    let sealed = &pair.opslogs()[0];
    let footer = sealed.last().unwrap();
    assert!(sealed.len() - 2 < done, "{} lines of {done} operations", sealed.len() - 2);
    let said = footer["error_message"].as_str().unwrap();
    assert!(
        said.contains("was killed, or could not write") && said.contains("may be missing"),
        "{said}"
    );
}

#[test]
fn a_damaged_one_is_set_aside_and_stops_nobody() {
    let (pair, path) = finished();
    let part = unfinished(&path);
    let text = fs::read_to_string(&part).unwrap();
    fs::write(&part, text.replacen("\"operation\"", "\"oper", 1)).unwrap();
    let ran = pair.sync(&[]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.stderr.contains("damaged") && ran.stderr.contains("set aside"), "{}", ran.stderr);
    assert_eq!((pair.log_files(".part").len(), pair.log_files(".corrupt").len()), (0, 1));
}

#[test]
fn old_ones_are_deleted_after_their_time_with_a_warning_that_names_them() {
    let (pair, path) = finished();
    let days = |days: u64| SystemTime::now() - Duration::from_secs(days * 24 * 3600);
    let age = |age: SystemTime| {
        File::options().append(true).open(&path).unwrap().set_modified(age).unwrap();
    };
    age(days(11));
    pair.counts(&["--log-retain-days=0"]);
    pair.counts(&["--log-retain-days=12"]);
    assert!(path.exists());
    let ran = pair.sync(&[]);
    assert!(!path.exists());
    assert!(ran.stderr.contains(path.file_name().unwrap().to_str().unwrap()), "{}", ran.stderr);
    assert_eq!(pair.opslogs().pop().unwrap().last().unwrap()["retired_unflushed"], 1);
}

#[test]
fn the_header_is_on_disk_before_anything_is_changed_at_dest() {
    let pair = Fixture::new();
    write(&pair.a, "dir/file", "content", T0);
    let trace = pair.scratch.path().join("trace");
    let command = pair.command();
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "-y", "-e", "trace=write,fsync,mkdirat,openat,renameat2", "-o"]).arg(&trace);
    assert_eq!(run(strace.arg(command.get_program()).args(command.get_args())).code, Some(0));
    let calls = fs::read_to_string(trace).unwrap();
    let first = |words: &[&str]| {
        calls.lines().position(|line| words.iter().all(|word| line.contains(word)))
    };
    let header = first(&["write(", ".part", "header"]).expect("the header is written");
    let synced = first(&["fsync(", ".part"]).expect("and synced");
    let change = first(&["mkdirat(", pair.b.to_str().unwrap()]).expect("before the first change");
    assert!(header < synced && synced < change, "{header} {synced} {change}:\n{calls}");
}

/// A reader is fed whatever a disk may give back.
#[test]
fn no_bytes_make_the_reader_panic() {
    use proptest::prelude::*;
    let (pair, path) = finished();
    let good = fs::read(path).unwrap();
    let target = pair.scratch.path().join("fuzzed");
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8);
    proptest!(ProptestConfig::with_cases(2000), |(changes in changes)| {
        let mut bytes = good.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        File::create(&target).unwrap().write_all(&bytes).unwrap();
        let _any_answer_but_a_panic = read(&target);
    });
}
