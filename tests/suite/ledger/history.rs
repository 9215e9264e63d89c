//! Asking for past runs, and removing what is old.

use std::fs;
use std::path::Path;
use std::process::Command;

use mysql::prelude::Queryable as _;

use super::base::*;
use crate::fixture::*;

/// Three runs of two pairs: one of long ago, a dry run of long ago, one of today.
fn three_runs(base: &Base) {
    let opslogs =
        [(1, "media", false, "2020"), (2, "media", true, "2020"), (3, "photos", false, "2026")];
    for (number, pair, dry_run, year) in opslogs {
        let opslog = Opslog::new(&base.pair.logs, pair, number, 12_000).with(|lines| {
            lines[0]["dry_run"] = dry_run.into();
            lines[0]["started_at"] = format!("{year}-11-2{number}T10:00:00.000Z").into();
        });
        opslog.lay_down();
    }
    assert_eq!(base.flush().code, Some(0));
}

fn rows_of(base: &Base, number: u32) -> String {
    base.one(&format!(
        "SELECT COUNT(*) FROM sync_operations o JOIN sync_iterations i ON i.id = o.iteration_id WHERE i.run_id LIKE '%-{number:012}'"
    ))
}

on_both! {
    fn the_latest_runs_are_a_table_or_json(base) {
        assert_eq!(base.ask(&["history"]).stdout, "no runs yet\n");
        three_runs(base);
        let table = base.ask(&["history"]).stdout;
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4, "{table}");
        assert!(lines[0].starts_with("started (UTC)        pair"), "{table}");
        assert!(lines[1].starts_with("2026-11-23 10:00:00  photos  fwd        success ") && lines[1].contains("12,000"), "{table}");
        assert!(lines[2].contains("media   fwd        success (dry run)"), "{table}");

        let runs = base.ask(&["history", "--format", "json"]).json();
        assert_eq!(runs.len(), 3);
        let columns = "SELECT * FROM sync_iterations WHERE sync_pair = 'photos'";
        assert_eq!(runs[0].as_object().unwrap().len(), base.rows(columns)[0].len(), "every column is there");
        let latest = &runs[0];
        for (name, value) in [("sync_pair", "photos"), ("status", "success"), ("started_at", "2026-11-23T10:00:00.000Z")] {
            assert_eq!(latest[name], value);
        }
        assert_eq!((&latest["files_created"], &latest["dry_run"], &latest["error_message"]), (&12_000.into(), &false.into(), &serde_json::Value::Null));
        assert_eq!((&latest["counts"]["created"], &runs[1]["dry_run"]), (&12_000.into(), &true.into()));

        assert_eq!(base.ask(&["history", "--pair", "media", "--format", "json"]).json().len(), 2);
        assert_eq!(base.ask(&["history", "--limit", "1", "--format", "json"]).json(), runs[..1]);
        assert_eq!(base.ask(&["history", "--limit", "0"]).code, Some(2));
    }

    fn old_operation_rows_are_removed_but_for_those_of_the_last_dry_run(base) {
        three_runs(base);
        let iterations = base.one("SELECT COUNT(*) FROM sync_iterations");
        assert!(base.ask(&["prune", "--older-than", "9999w"]).stdout.contains("removed 0 operation rows"));
        let ran = base.ask(&["prune", "--older-than", "30d"]);
        assert!(ran.code == Some(0) && ran.stdout.contains("removed 12,000 operation rows"), "{}{}", ran.stdout, ran.stderr);
        assert_eq!([1, 2, 3].map(|number| rows_of(base, number)), ["0", "12000", "12000"]);
        assert_eq!(base.one("SELECT COUNT(*) FROM sync_iterations"), iterations, "the runs stay");
        base.execute(&["UPDATE sync_iterations SET status = 'running', started_at = '2020-01-01 00:00:00.000' WHERE sync_pair = 'photos'"]);
        base.ask(&["prune", "--older-than", "30d"]);
        assert_eq!(rows_of(base, 3), "12000", "a run that is not over keeps its rows");
        assert_eq!(base.ask(&["prune", "--older-than", "soon"]).code, Some(2));
        assert_eq!(base.ask(&["prune"]).code, Some(2));
    }

    fn the_last_dry_run_of_each_direction_keeps_its_rows(base) {
        base.make_tables();
        if !base.is_sqlite() {
            base.execute(&["ALTER TABLE sync_iterations CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"]);
        }
        for (number, direction, day) in [(1, "There", 20), (2, "There", 21), (3, "there", 22), (4, "back", 19)] {
            let opslog = Opslog::new(&base.pair.logs, "media", number, 10).with(|lines| {
                (lines[0]["dry_run"], lines[0]["direction"]) = (true.into(), direction.into());
                lines[0]["started_at"] = format!("2020-11-{day}T10:00:00.000Z").into();
            });
            opslog.lay_down();
        }
        assert_eq!(base.flush().code, Some(0));
        assert_eq!(base.ask(&["prune", "--older-than", "30d"]).code, Some(0));
        assert_eq!([1, 2, 3, 4].map(|number| rows_of(base, number)), ["0", "10", "10", "10"]);
    }

    fn what_a_run_left_undone_stands_below_it(base) {
        Opslog::new(&base.pair.logs, "media", 1, 1).with(|lines| {
            lines[2]["status"] = "partial_failure".into();
            lines[2]["counts"] = serde_json::json!({ "created": 1, "conflicts": 1, "deferred": 3, "withheld": 12_000 });
            lines[2]["error_message"] = "more than 50%".into();
        }).lay_down();
        assert_eq!(base.flush().code, Some(0));
        let table = base.ask(&["history"]).stdout;
        let below: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(below, ["  more than 50%", "  1 conflict, 3 deferred, 12,000 deletions withheld"], "{table}");
    }

    fn a_run_removes_old_rows_when_asked_and_a_dry_run_does_not(base) {
        three_runs(base);
        let everything = "SELECT COUNT(*) FROM sync_operations";
        write(&base.pair.a, "file", "x", T0);
        for days in ["400000", "4294967295"] {
            assert_eq!(base.pair.sync(&[&format!("--db-retain-days={days}")]).code, Some(0));
            assert_eq!(base.one(everything), "36001", "nothing is older than {days} days");
        }
        assert_eq!(base.pair.sync(&["--dry-run", "--db-retain-days=30"]).code, Some(0));
        assert_eq!(rows_of(base, 1), "12000");
        let ran = base.pair.sync(&["--db-retain-days=30"]);
        assert!(ran.code == Some(0) && ran.stderr.contains("removed 12000 old operation rows"), "{}", ran.stderr);
        assert_eq!([1, 2, 3].map(|number| rows_of(base, number)), ["0", "12000", "12000"]);
        assert_eq!(base.pair.sync(&["--db-retain-days=0"]).code, Some(2));
    }
}

#[test]
fn pruning_goes_on_beside_one_who_inserts() {
    let base = Base::mariadb();
    three_runs(&base);
    let mut other = base.connection();
    other.query_drop("BEGIN").unwrap();
    other
        .query_drop(
            "INSERT INTO sync_operations (iteration_id, operation, filepath, started_at, status) \
             SELECT id, 'create', 'x', started_at, 'success' FROM sync_iterations WHERE sync_pair = 'photos'",
        )
        .unwrap();
    let ran = base.ask(&["prune", "--older-than", "30d"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!([1, 2, 3].map(|number| rows_of(&base, number)), ["0", "12000", "12000"]);
    other.query_drop("COMMIT").unwrap();
    assert_eq!(rows_of(&base, 3), "12001");
}

#[test]
fn a_database_that_is_down_is_a_failure_for_who_asks_it() {
    let pair = Fixture::new();
    for words in [&["history"][..], &["prune", "--older-than", "1d"], &["flush"]] {
        Opslog::new(&pair.logs, "test", 1, 1).lay_down();
        let ran = run(binary()
            .args(words)
            .args(["--db-dsn", "ha:s3cret@tcp(127.0.0.1:1)/x", "--log-dir"])
            .arg(&pair.logs));
        assert_eq!(ran.code, Some(5), "{words:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("cannot connect to 127.0.0.1:1") && !ran.stderr.contains("s3cret"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_flag_of_the_sync_before_a_subcommand_is_refused_and_its_variable_is_not_in_the_way() {
    let pair = Fixture::new();
    let refused = run(binary().args(["--db-dsn", "sqlite:x", "history"]));
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("cannot be used with"), "{}", refused.stderr);
    fs::create_dir(&pair.logs).unwrap();
    let mut command = binary();
    command
        .env("HA_SYNC_SRC", &pair.a)
        .env("HA_SYNC_DEST", &pair.b)
        .env("HA_SYNC_DELETE_MISSING", "true");
    command.env("HA_SYNC_LOG_DIR", &pair.logs).env("HA_SYNC_PAIR", "test");
    assert_eq!(run(command.arg("history")).stdout, "no runs yet\n");
}

#[test]
fn history_reads_a_file_that_it_may_not_write_to_and_says_no_less_than_another() {
    use std::os::unix::process::CommandExt as _;
    let base = Base::sqlite();
    let scratch = base.pair.scratch.path();
    let copy = scratch.join("ha-sync");
    assert_eq!(run(Command::new("cp").arg(env!("CARGO_BIN_EXE_ha-sync")).arg(&copy)).code, Some(0));
    fs::create_dir(&base.pair.logs).unwrap();
    chmod(scratch, 0o755);
    let as_nobody = || {
        let mut command = Command::new(&copy);
        command.args(["history", "--db-dsn", &base.pair.dsn, "--log-dir"]).arg(&base.pair.logs);
        run(command.uid(65534).gid(65534).current_dir("/"))
    };
    let nothing = as_nobody();
    assert!(
        nothing.code == Some(5) && nothing.stderr.contains("Permission denied"),
        "{}",
        nothing.stderr
    );

    three_runs(&base);
    let file = base.pair.dsn.strip_prefix("sqlite:").unwrap();
    let hidden = as_nobody();
    assert!(
        hidden.code == Some(5) && hidden.stderr.contains("Permission denied"),
        "{}",
        hidden.stderr
    );
    chmod(Path::new(file), 0o644);
    let read = as_nobody();
    assert_eq!((read.code, read.stderr.as_str()), (Some(0), ""));
    assert_eq!(read.stdout, base.ask(&["history"]).stdout);

    // On a disk that is read-only for everybody.
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && shift && \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "bash", "-c", script, "bash"]).arg(scratch).arg(&copy);
    let read = run(unshare
        .args(["history", "--db-dsn", &base.pair.dsn, "--log-dir"])
        .arg(&base.pair.logs));
    assert_eq!((read.code, read.stderr.as_str()), (Some(0), ""));
    assert_eq!(read.stdout, base.ask(&["history"]).stdout);
}
