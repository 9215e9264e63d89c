//! What a run leaves in the database.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use rustix::process::{Signal, kill_process};

use super::base::*;
use crate::fixture::*;

fn runs(base: &Base) -> Vec<Row> {
    base.rows(
        "SELECT status, dry_run, files_created, files_updated, files_skipped, files_failed, total_bytes_transferred, \
         flushed_rows FROM sync_iterations ORDER BY id",
    )
}

on_both! {
    fn every_operation_of_a_run_is_a_row_and_the_opslog_is_gone(base) {
        let pair = &base.pair;
        write(&pair.a, "dir/new", "content", T0);
        write(&pair.a, "changed", "the new one", T0 + 100);
        write(&pair.b, "changed", "old", T0);
        write(&pair.a, "same", "same", T0);
        write(&pair.b, "same", "same", T0);
        fs::create_dir(pair.a.join("clash")).unwrap();
        write(&pair.b, "clash", "x", T0);
        let ran = pair.sync(&["--direction", "there", "--format", "json"]);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert_eq!(ran.stderr, "");
        assert!(ran.summary()["opslog"].is_null() && ran.summary()["database"].is_string(), "{}", ran.stdout);
        assert_eq!(pair.log_files(".jsonl").len() + pair.log_files(".part").len(), 0);

        assert_eq!(runs(base), [["partial_failure", "0", "2", "1", "1", "0", "18", "4"]]);
        let row = &base.rows("SELECT sync_pair, direction, src, dest, ended_at >= started_at, error_message FROM sync_iterations")[0];
        assert_eq!(row[..2], ["test", "there"]);
        assert_eq!(row[2..4], [pair.a.to_str().unwrap(), pair.b.to_str().unwrap()]);
        assert_eq!(row[4..], ["1", "NULL"]);
        let counts: serde_json::Value = serde_json::from_str(&base.one("SELECT counts FROM sync_iterations")).unwrap();
        assert_eq!((&counts["conflicts"], &counts["created_directories"]), (&1.into(), &1.into()));

        let columns = "operation, size_before, size_after, md5_before, md5_after, status, kind, bytes, cause, dry_run";
        let rows = base.rows(&format!("SELECT filepath, {columns} FROM sync_operations ORDER BY filepath"));
        let md5 = "9a0364b9e99bb480dd25e1f0284c8555";
        let expected = [
            ["changed", "update", "3", "11", "NULL", "ffb04e4f3d1ee7d4f8ba1e7ac8e53f23", "success", "file", "11", "NULL", "0"],
            ["clash", "update", "NULL", "NULL", "NULL", "NULL", "fail", "directory", "0", "conflict", "0"],
            ["dir", "create", "NULL", "NULL", "NULL", "NULL", "success", "directory", "0", "NULL", "0"],
            ["dir/new", "create", "NULL", "7", "NULL", md5, "success", "file", "7", "NULL", "0"],
        ];
        assert_eq!(rows.len(), expected.len());
        for (row, expected) in rows.iter().zip(expected) {
            // Not compared here: the sizes of a conflict, which are the opslog's business, and the
            // digest of the new content.
            let free = |index: usize| expected[0] == "clash" && matches!(index, 1..=5) || expected[0] == "changed" && index == 5;
            for (index, (got, wanted)) in row.iter().zip(expected).enumerate().filter(|(index, _)| !free(*index)) {
                assert_eq!(got, wanted, "column {index} of {row:?}");
            }
        }
        let message = base.one("SELECT error_message FROM sync_operations WHERE status = 'fail'");
        assert!(message.contains("a directory at the source"), "{message}");
        let time = base.one("SELECT started_at FROM sync_operations WHERE filepath = 'dir/new'");
        assert!(time.starts_with("20") && time.len() == 23 && &time[10..11] == " ", "{time}");
    }

    fn a_run_is_announced_while_it_lasts_and_ends_as_failed_when_it_is_interrupted_or_killed(base) {
        base.make_tables();
        let pair = &base.pair;
        write(&pair.a, "large", vec![1; 32 << 20], T0);
        for (signal, words) in [(Signal::TERM, "interrupted by SIGTERM"), (Signal::KILL, "killed")] {
            let mut child = slowed(&pair.command(), 30, &[]).stdout(Stdio::null()).spawn().unwrap();
            wait_until("a temporary appears", || !temporaries(&pair.b).is_empty());
            let newest = "SELECT status FROM sync_iterations WHERE id = (SELECT MAX(id) FROM sync_iterations)";
            wait_until("the run is announced", || !base.rows(newest).is_empty() && base.one(newest) == "running");
            kill_process(traced(&child), signal).unwrap();
            child.wait().unwrap();
            if signal == Signal::TERM {
                assert_eq!(base.one(newest), "failed");
                continue;
            }
            assert_eq!(base.one(newest), "running", "nobody could say that it died");
            assert_eq!(pair.sync(&[]).code, Some(0));
            let failed = base.rows("SELECT error_message FROM sync_iterations WHERE status = 'failed' ORDER BY id");
            assert_eq!(failed.len(), 2);
            assert!(failed[1][0].contains(words), "{failed:?}");
        }
        assert_eq!(base.one("SELECT COUNT(*) FROM sync_iterations WHERE status = 'running'"), "0");
        assert_eq!(pair.log_files(".jsonl").len(), 0);
    }

    fn a_run_that_was_taken_for_dead_and_goes_on_is_there_once_and_whole(base) {
        let pair = &base.pair;
        for index in 0..4 {
            write(&pair.a, format!("file-{index}"), vec![1; 8 << 20], T0);
        }
        let mut child = slowed(pair.command().args(["--workers", "1"]), 30, &[]).stdout(Stdio::null()).spawn().unwrap();
        let part = || pair.log_files(".part").pop();
        let written = || part().map_or_else(String::new, |part| fs::read_to_string(part).unwrap());
        wait_until("something is done and written down", || written().contains("\"type\":\"operation\""));
        // What another machine does that does not see this process's lock. This one sees it, so it
        // flushes a copy.
        let (part, written) = (part().unwrap(), written());
        let operations = written.lines().count() - 1;
        let footer = serde_json::json!({
            "type": "footer", "ended_at": "2026-11-23T23:09:45.000Z", "status": "failed", "operations": operations,
            "counts": {},
        });
        writeln!(fs::File::options().append(true).open(&part).unwrap(), "{footer}").unwrap();
        fs::remove_file(&part).unwrap();
        let flushed = base.pair.scratch.path().join("elsewhere");
        fs::create_dir(&flushed).unwrap();
        fs::write(flushed.join(part.with_extension("").file_name().unwrap()), format!("{written}{footer}\n")).unwrap();
        let ran = run(binary().args(["flush", "--db-dsn", &pair.dsn, "--log-dir"]).arg(&flushed));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(base.one("SELECT status FROM sync_iterations"), "failed");

        assert!(child.wait().unwrap().success());
        assert_eq!(runs(base)[0][..3], ["success", "0", "4"]);
        assert_eq!(base.one("SELECT COUNT(DISTINCT filepath) FROM sync_operations"), "4");
        assert_eq!(base.one("SELECT COUNT(*) FROM sync_operations"), "4");
        assert_eq!(pair.log_files(".jsonl").len() + pair.log_files(".part").len(), 0);
    }

    fn what_waits_of_every_pair_is_flushed_before_a_run(base) {
        let opslogs: Vec<Opslog> = ["other", "test", "a-b"].iter().zip(1..).map(|(pair, number)| {
            Opslog::new(&base.pair.logs, pair, number, 3).lay_down()
        }).collect();
        assert_eq!(base.pair.sync(&[]).code, Some(0));
        base.assert_all_in(&opslogs);
        assert_eq!(base.one("SELECT COUNT(*) FROM sync_iterations"), "4");
    }

    fn what_waits_for_another_database_or_for_none_is_left_to_it(base) {
        let logs = base.pair.logs.clone();
        let other = format!("sqlite:{}/other", base.pair.scratch.path().display());
        let opslogs: Vec<Opslog> = ["none", "ha@tcp(db:3306)/x", &other].iter().zip(1..).map(|(database, number)| {
            Opslog::new(&logs, "other", number, 3).with(|lines| lines[0]["database"] = (*database).into()).lay_down()
        }).collect();
        let ran = base.pair.sync(&[]);
        assert_eq!(ran.code, Some(0));
        assert!(ran.stderr.contains("1 opslogs of other runs wait for the database ha@tcp(db:3306)/x"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("none"), "{}", ran.stderr);
        assert_eq!(base.pair.log_files(".jsonl").len(), 3);
        assert_eq!(base.one("SELECT COUNT(*) FROM sync_operations"), "0");

        let ours = std::mem::replace(&mut base.pair.dsn, other);
        let ran = base.flush();
        assert!(ran.stdout.contains("flushed 1 opslog with 3 operations"), "{}", ran.stdout);
        assert!(ran.stdout.contains("left 1 for the database none (--all takes them, too)"), "{}", ran.stdout);
        assert!(!opslogs[2].path.exists() && opslogs[0].path.exists() && opslogs[1].path.exists());
        base.pair.dsn = ours;
        assert_eq!(run(base.flush_command().arg("--all")).code, Some(0));
        base.assert_all_in(&opslogs[..2]);
    }

    fn what_waits_is_flushed_in_the_order_in_which_the_runs_began(base) {
        for (number, pair, day) in [(1, "ai", 23), (2, "photos", 20), (3, "a-z", 21), (4, "media", 22)] {
            let mut opslog = Opslog::new(&base.pair.logs, pair, number, 1);
            opslog.path = base.pair.logs.join(format!("opslog-{pair}-fwd-202611{day}T230944Z-{number:08x}.jsonl"));
            opslog.lay_down();
        }
        assert_eq!(base.flush().code, Some(0));
        let order = base.rows("SELECT sync_pair FROM sync_iterations ORDER BY id");
        assert_eq!(order, [["photos"], ["a-z"], ["media"], ["ai"]]);
    }

    fn flushing_by_hand_says_what_it_did(base) {
        fs::create_dir(&base.pair.logs).unwrap();
        assert!(base.flush().stdout.contains("flushed 0 opslogs"));
        let opslog = Opslog::new(&base.pair.logs, "test", 1, 20_000).lay_down();
        let ran = base.flush();
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
        assert!(ran.stdout.contains("flushed 1 opslog with 20,000 operations"), "{}", ran.stdout);
        base.assert_all_in(&[opslog]);
    }

    fn an_opslog_that_comes_again_changes_nothing_and_a_longer_one_of_the_same_run_adds_the_rest(base) {
        let opslog = Opslog::new(&base.pair.logs, "test", 1, 10).lay_down();
        for _ in 0..2 {
            assert_eq!(base.flush().code, Some(0));
            base.assert_all_in(std::slice::from_ref(&opslog));
            fs::write(&opslog.path, opslog.text()).unwrap();
        }
        // A run that was taken for dead, recovered, and then went on.
        let longer = Opslog::new(&base.pair.logs, "test", 1, 15).lay_down();
        assert_eq!(base.flush().code, Some(0));
        base.assert_all_in(std::slice::from_ref(&longer));
        opslog.lay_down();
        assert_eq!(base.flush().code, Some(0));
        base.assert_all_in(&[longer]);
    }

    fn paths_and_messages_of_every_kind_are_kept(base) {
        use base64::Engine as _;
        let long = "é".repeat(3000) + &"x".repeat(3000);
        let bytes = b"not \xff utf-8";
        let mut odd = operation("not \u{fffd} utf-8");
        odd["filepath_b64"] = base64::engine::general_purpose::STANDARD.encode(bytes).into();
        let mut failed = operation("failed");
        (failed["status"], failed["cause"]) = ("fail".into(), "error".into());
        failed["error_message"] = "ü".repeat(5000).into();
        let paths = ["emoji 😀", "quote ' \" \\ ; -- \u{1a} \n\t?", &long, ""];
        let mut operations: Vec<serde_json::Value> = paths.iter().map(|path| operation(path)).collect();
        operations.extend([odd, failed]);
        Opslog::new(&base.pair.logs, "test", 1, 6).with(|lines| drop(lines.splice(1..7, operations))).lay_down();
        let ran = base.flush();
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));

        let rows = base.rows("SELECT filepath, filepath_raw FROM sync_operations ORDER BY id");
        for (row, path) in rows.iter().zip(paths).filter(|(_, path)| path.len() < 4096) {
            assert_eq!((row[0].as_str(), row[1].as_str()), (path, "NULL"));
        }
        assert_eq!((rows[2][0].chars().count(), &rows[2][1]), (4096, &long));
        assert_eq!(rows[4][0], "not \u{fffd} utf-8");
        assert_eq!(base.one("SELECT LOWER(HEX(filepath_raw)) FROM sync_operations WHERE filepath LIKE 'not %'"), "6e6f7420ff207574662d38");
        assert_eq!(base.one("SELECT error_message FROM sync_operations WHERE filepath = 'failed'").chars().count(), 4096);
    }

    fn the_password_is_nowhere(base) {
        write(&base.pair.a, "file", "x", T0);
        let mut said = String::new();
        for flags in [vec![], vec!["--dry-run", "--format", "json"], vec!["--verbose", "--log-format=json"]] {
            let ran = base.pair.sync(&flags);
            said += &(ran.stdout + &ran.stderr);
        }
        for words in [&["flush"][..], &["history"], &["history", "--format", "json"], &["prune", "--older-than", "1d"]] {
            let ran = base.ask(words);
            said += &(ran.stdout + &ran.stderr);
        }
        assert!(said.contains(if base.is_sqlite() { "rows.sqlite" } else { "ha@tcp(127.0.0.1:" }), "{said}");
        assert!(!said.contains("p@ss") && !said.contains("w:rd"), "{said}");
    }
}

#[test]
fn the_default_is_a_file_in_the_log_directory_for_the_owner_and_the_group() {
    use std::os::unix::fs::PermissionsExt as _;
    let pair = Fixture::new();
    write(&pair.a, "file", "x", T0);
    let mut command = binary();
    command.arg("--src").arg(&pair.a).arg("--dest").arg(&pair.b).arg("--log-dir").arg(&pair.logs);
    let ran = run(command.args(["--pair", "test"]));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(
        ran.stdout.contains("recorded     in sqlite:") && ran.stdout.contains("/ha-sync.sqlite"),
        "{}",
        ran.stdout
    );
    let file = pair.logs.join("ha-sync.sqlite");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(pair.log_files(".jsonl").len(), 0);
    let connection = rusqlite::Connection::open(file).unwrap();
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_ne!(mode, "wal");
}

#[test]
fn without_a_database_opslogs_stay() {
    let pair = Fixture::new();
    assert_eq!(pair.sync(&[]).stderr, "");
    assert_eq!(pair.log_files(".jsonl").len(), 1);
    let ran = run(binary().args(["flush", "--db-dsn", "none", "--log-dir"]).arg(&pair.logs));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}

#[test]
fn a_dsn_may_end_in_a_newline_and_an_empty_one_is_none_at_all() {
    let pair = Fixture::new();
    fs::create_dir(&pair.logs).unwrap();
    let file = pair.scratch.path().join("rows");
    for (dsn, made) in [
        (format!("sqlite:{}\n", file.display()), &file),
        (String::new(), &pair.logs.join("ha-sync.sqlite")),
    ] {
        let ran =
            run(binary().args(["history", "--log-dir"]).arg(&pair.logs).env("HA_SYNC_DB_DSN", dsn));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "no runs yet\n"), "{}", ran.stderr);
        assert!(made.exists());
    }
}

#[test]
fn flushing_by_hand_fails_where_there_is_no_way_to_the_database_though_nothing_waits() {
    let pair = Fixture::new();
    fs::create_dir(&pair.logs).unwrap();
    let dsn = "ha:s3cret@tcp(127.0.0.1:1)/x";
    let ran = run(binary().args(["flush", "--db-dsn", dsn, "--log-dir"]).arg(&pair.logs));
    assert_eq!(ran.code, Some(5), "{}", ran.stdout);
    assert!(ran.stderr.contains("cannot connect to 127.0.0.1:1"), "{}", ran.stderr);
}

#[test]
fn a_database_in_a_tree_is_refused_but_for_one_in_the_log_directory() {
    let mut pair = Fixture::new();
    for (folder, flag) in [(&pair.a, "--src"), (&pair.b, "--dest")] {
        let mut command = binary();
        command.args(["--pair", "test", "--src"]).arg(&pair.a).arg("--dest").arg(&pair.b);
        command.arg("--log-dir").arg(&pair.logs);
        let ran = run(command.args(["--db-dsn", &format!("sqlite:{}/rows", folder.display())]));
        assert_eq!(ran.code, Some(2));
        assert!(ran.stderr.contains(&format!("lies inside {flag}")), "{}", ran.stderr);
    }
    pair.logs = pair.a.join("logs");
    fs::create_dir(&pair.logs).unwrap();
    pair.dsn = format!("sqlite:{}/rows", pair.logs.display());
    assert_eq!(pair.sync(&[]).code, Some(0));
    assert_eq!(look(&pair.b).len(), 0, "the log directory is left out");
}

/// Wrong ones, and what the message has to say and not to say.
#[test]
fn a_wrong_dsn_is_refused_with_the_part_that_is_wrong() {
    let pair = Fixture::new();
    let cases = [
        ("user:s3cret@tcp(db:port)/x", "the port is wrong"),
        ("user:s3cret@tcp(db:3306)", "the part after the address is wrong"),
        ("mysql://user:s3cret@db:3306/x?tls=perhaps", "the value of the parameter tls is wrong"),
        ("s3cret", "the part after the login is wrong"),
        ("sqlite:", "the path after sqlite: is wrong"),
    ];
    for (dsn, words) in cases {
        let mut command = binary();
        command.args(["--pair", "test", "--src"]).arg(&pair.a).arg("--dest").arg(&pair.b);
        for ran in [
            run(command.arg("--log-dir").arg(&pair.logs).env("HA_SYNC_DB_DSN", dsn)),
            run(binary().args(["history", "--db-dsn", dsn])),
        ] {
            assert_eq!(ran.code, Some(2), "{dsn}: {}", ran.stderr);
            assert!(
                ran.stderr.contains(words) && !ran.stderr.contains("s3cret"),
                "{dsn}: {}",
                ran.stderr
            );
        }
    }
    for words in [
        &["user:s3cret@tcp(db)/x"][..],
        &["--pair", "x", "user:s3cret@tcp(db)/x"],
        &["flush", "user:s3cret@tcp(db)/x"],
    ] {
        let ran = run(binary().args(words));
        assert_eq!(ran.code, Some(2), "{words:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("s3cret"), "{words:?}: {}", ran.stderr);
    }
    let help = run(binary().arg("--help").env("HA_SYNC_DB_DSN", "user:s3cret@tcp(db)/x"));
    assert!(help.code == Some(0) && !help.stdout.contains("s3cret"));
}
