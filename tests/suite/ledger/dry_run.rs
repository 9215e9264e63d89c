//! A dry run's plan is recorded when it is a new one, and only then.

use super::base::*;
use crate::fixture::*;

fn dry(base: &Base, flags: &[&str]) -> Ran {
    base.pair.sync(&[&["--dry-run"], flags].concat())
}

fn dry_runs(base: &Base) -> String {
    base.one("SELECT COUNT(*) FROM sync_iterations WHERE dry_run = 1")
}

/// The message's time, if it was printed as it has to be.
fn current_as_of(ran: &Ran) -> Option<String> {
    let line = ran.stdout.lines().find(|line| line.contains("already current"))?;
    let time = line
        .strip_prefix("Dry-run already current as of ")?
        .strip_suffix(". Nothing has changed.")?;
    Some(time.to_owned())
}

on_both! {
    fn the_same_plan_again_is_told_and_not_recorded(base) {
        let (pair, everything) = (&base.pair, "SELECT * FROM sync_iterations");
        write(&pair.a, "new", "x", T0);
        write(&pair.a, "changed", "the new one", T0 + 100);
        write(&pair.b, "changed", "old", T0);
        let first = dry(base, &[]);
        assert_eq!((first.code, current_as_of(&first)), (Some(0), None), "{}", first.stderr);
        let rows = base.rows("SELECT filepath, operation, size_before, dry_run FROM sync_operations ORDER BY filepath");
        assert_eq!(rows, [["changed", "update", "3", "1"], ["new", "create", "NULL", "1"]]);
        let recorded = base.rows(everything);

        let second = dry(base, &[]);
        let begun = current_as_of(&second).unwrap_or_else(|| panic!("{}{}", second.stdout, second.stderr));
        assert_eq!(base.one("SELECT started_at FROM sync_iterations"), begun.replace('T', " ").trim_end_matches('Z'));
        let plan = |ran: &Ran| ran.stdout.lines().take(2).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(plan(&first), plan(&second), "the plan is printed all the same");
        assert_eq!(base.rows(everything), recorded, "nothing was written");
        assert_eq!(pair.log_files(".jsonl").len(), 0);
        let json = dry(base, &["--format", "json"]);
        assert_eq!(json.summary()["dry_run_current_as_of"], begun);
        assert_eq!(dry(base, &["--quiet"]).stdout, "");

        let other = dry(base, &["--direction", "back"]);
        assert_eq!((current_as_of(&other), dry_runs(base)), (None, "2".into()), "another direction has plans of its own");
    }

    fn a_plan_that_differs_in_a_path_an_operation_or_a_size_is_new(base) {
        let pair = &base.pair;
        write(&pair.a, "file", "the new one", T0 + 100);
        write(&pair.b, "file", "old", T0);
        dry(base, &[]);
        write(&pair.b, "file", "older", T0);
        assert_eq!(current_as_of(&dry(base, &[])), None, "another size before");
        std::fs::remove_file(pair.b.join("file")).unwrap();
        assert_eq!(current_as_of(&dry(base, &[])), None, "another operation");
        std::fs::rename(pair.a.join("file"), pair.a.join("other")).unwrap();
        assert_eq!(current_as_of(&dry(base, &[])), None, "another path");
        write(&pair.a, "other", "another size at the source is the same plan", T0 + 200);
        assert!(current_as_of(&dry(base, &[])).is_some());
        std::fs::remove_file(pair.a.join("other")).unwrap();
        assert_eq!(current_as_of(&dry(base, &[])), None, "nothing to do");
        assert!(current_as_of(&dry(base, &[])).is_some(), "nothing to do, again");
        assert_eq!(dry_runs(base), "5");
    }

    fn directions_that_differ_in_case_alone_have_plans_of_their_own(base) {
        base.make_tables();
        if !base.is_sqlite() {
            // As in tables of the first release on a server of the usual collation.
            base.execute(&["ALTER TABLE sync_iterations CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"]);
        }
        write(&base.pair.a, "new", "x", T0);
        for (direction, is_known) in [("There", false), ("there", false), ("There", true), ("there", true)] {
            let ran = dry(base, &["--direction", direction]);
            assert_eq!((ran.code, current_as_of(&ran).is_some()), (Some(0), is_known), "{direction}: {}", ran.stderr);
        }
        assert_eq!(dry_runs(base), "2");
    }

    fn the_same_plan_between_other_roots_is_new(base) {
        let pair = &base.pair;
        let other = pair.scratch.path().join("other");
        std::fs::create_dir(&other).unwrap();
        for root in [&pair.a, &other] {
            write(root, "new", "x", T0);
        }
        for (source, is_known) in [(&pair.a, false), (&other, false), (&other, true), (&pair.a, false)] {
            let ran = run(pair.command_between(source, &pair.b).arg("--dry-run"));
            assert_eq!((ran.code, current_as_of(&ran).is_some()), (Some(0), is_known), "{source:?}: {}", ran.stderr);
        }
    }

    fn only_a_successful_dry_run_counts_and_no_real_one(base) {
        let pair = &base.pair;
        write(&pair.a, "file", "x", T0);
        dry(base, &[]);
        base.execute(&["UPDATE sync_iterations SET status = 'failed'"]);
        assert_eq!(current_as_of(&dry(base, &[])), None);
        assert!(current_as_of(&dry(base, &[])).is_some());
        base.execute(&["UPDATE sync_iterations SET dry_run = 0"]);
        assert_eq!(current_as_of(&dry(base, &[])), None);
        std::fs::create_dir(pair.a.join("clash")).unwrap();
        write(&pair.b, "clash", "x", T0);
        for _ in 0..2 {
            let ran = dry(base, &[]);
            assert_eq!((ran.code, current_as_of(&ran)), (Some(1), None), "a plan with a conflict is never current");
        }
    }

    fn an_older_releases_dry_run_is_compared_by_its_rows(base) {
        let pair = &base.pair;
        write(&pair.a, "new", "x", T0);
        write(&pair.a, "caf\u{e9}", "the new one", T0 + 100);
        write(&pair.b, "caf\u{e9}", "old", T0);
        dry(base, &[]);
        let older = "UPDATE sync_iterations SET plan_digest = NULL, run_id = NULL, counts = NULL, flushed_rows = 0, opslog_rows = NULL";
        base.execute(&[older]);
        assert!(current_as_of(&dry(base, &[])).is_some());
        base.execute(&["UPDATE sync_operations SET size_before = 4 WHERE operation = 'update'"]);
        assert_eq!(current_as_of(&dry(base, &[])), None);
    }

    fn a_dry_run_that_waited_for_the_database_is_recorded_later(base) {
        let mut lines = Opslog::new(&base.pair.logs, "test", 1, 2).with(|lines| lines[0]["dry_run"] = true.into());
        lines = lines.lay_down();
        assert_eq!(base.flush().code, Some(0));
        base.assert_all_in(&[lines]);
        assert_eq!(base.one("SELECT COUNT(*) FROM sync_operations WHERE dry_run = 1"), "2");
        assert_ne!(base.one("SELECT plan_digest FROM sync_iterations"), "NULL");
    }
}
