//! Opslogs that a disk or a person damaged. They are set aside and reported, the others are not
//! affected, and one that was repaired gets in as if it had never been damaged.

use std::fs;
use std::time::Instant;

use ha_sync::ledger::{FlushError, Flushed, Ledger};
use serde_json::{Value, json};

use super::base::*;

on_both! {
    fn a_damaged_opslog_is_set_aside_and_the_others_are_flushed(base) {
        let logs = base.pair.logs.clone();
        let opslog = |number| Opslog::new(&logs, "test", number, 4);
        let good = [opslog(1).lay_down(), opslog(9).lay_down()];
        let torn = |opslog: Opslog| opslog.text()[..opslog.text().len() - 5].to_owned();
        // What it is, what lies there, rows that get in, and what is said.
        let changed = |opslog: Opslog, from: &str, to: &str| opslog.text().replacen(from, to, 1);
        let cases: [(u32, String, &str, &str); 12] = [
            (2, torn(opslog(2)), "0", "its last line is torn"),
            (3, opslog(3).text().replacen("file 1", "file\n1", 1), "0", "line 3 is damaged"),
            (4, String::new(), "none", "the file has no header"),
            (5, opslog(5).text().replacen("\"format\":1", "\"format\":99", 1), "none", "the file has format 99"),
            (6, opslog(6).with(|lines| drop(lines.remove(2))).text(), "0", "it holds 3 operations, its last line says 4"),
            (7, "\0\0\0\0\n\0\n".into(), "none", "line 1 is damaged"),
            (8, opslog(8).with(|lines| lines[4] = json!({ "type": "operation" })).text(), "3", "line 5 is damaged"),
            (10, changed(opslog(10), "23:09:44.910", "23:0):44.910"), "none", "line 1 is damaged: started_at is not a time"),
            (11, changed(opslog(11), "23:09:44.916", "29:09:44.916"), "0", "line 2 is damaged: started_at is not a time"),
            (12, opslog(12).with(|lines| lines[3]["md5_after"] = "9".repeat(36).into()).text(), "2", "line 4 is damaged: an MD5 is none"),
            (13, opslog(13).with(|lines| lines[2]["filepath_b64"] = "?".into()).text(), "1", "line 3 is damaged: filepath_b64 is not base64"),
            (14, opslog(14).with(|lines| lines[0]["direction"] = "x".repeat(65).into()).text(), "none", "line 1 is damaged: pair or direction"),
        ];
        for (number, text, ..) in &cases {
            fs::write(opslog(*number).path, text).unwrap();
        }
        let ran = base.flush();
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert!(ran.stdout.contains("flushed 2 opslogs with 8 operations") && ran.stdout.contains("12 are damaged"), "{}", ran.stdout);
        base.assert_all_in(&good);
        for (number, text, rows, words) in cases {
            let opslog = opslog(number);
            let aside = opslog.path.with_extension("jsonl.corrupt");
            assert_eq!(fs::read_to_string(&aside).unwrap(), text, "it is kept as it was");
            let told = ran.stderr.lines().find(|line| line.contains(aside.to_str().unwrap())).unwrap_or_else(|| panic!("{}", ran.stderr));
            assert!(told.contains(words), "{words:?}: {told}");
            let found = base.rows(&format!("SELECT flushed_rows, status, error_message FROM sync_iterations WHERE run_id = '{}'", opslog.run_id));
            match found.first() {
                None => assert_eq!(rows, "none", "{words}"),
                Some(found) => {
                    assert_eq!((found[0].as_str(), found[1].as_str()), (rows, "failed"), "{words}");
                    assert!(found[2].contains(words), "{found:?}");
                }
            }
        }
        assert_eq!(base.flush().code, Some(0), "they are told of once");
    }

    fn a_damaged_opslog_that_somebody_repaired_gets_in_whole(base) {
        for (number, how) in DAMAGES.into_iter().enumerate() {
            let opslog = Opslog::new(&base.pair.logs, "test", number as u32, 5000);
            fs::create_dir_all(&base.pair.logs).unwrap();
            fs::write(&opslog.path, damaged(&opslog, how)).unwrap();
            assert_eq!(base.flush().code, Some(1), "{how}");
            let row = "SELECT status, opslog_rows FROM sync_iterations WHERE run_id";
            assert_eq!(base.rows(&format!("{row} = '{}'", opslog.run_id)), [["failed", "NULL"]], "{how}");
            let opslog = opslog.lay_down();
            assert_eq!(base.flush().code, Some(0), "{how}");
            base.assert_all_in(&[opslog]);
        }
    }

    fn a_flush_that_was_cut_short_before_or_after_the_damage_makes_no_difference_to_the_repaired_one(base) {
        let mut ledger = Ledger::open(&base.pair.dsn.parse().unwrap()).unwrap();
        let mut cut_short = |opslog: &Opslog| ledger.flush(&opslog.path, Instant::now());
        for (number, how) in DAMAGES.into_iter().enumerate() {
            let after = Opslog::new(&base.pair.logs, "after", number as u32, 5000).lay_down();
            fs::write(&after.path, damaged(&after, how)).unwrap();
            assert!(!matches!(cut_short(&after), Ok(Flushed::All { .. })), "{how}");

            let before = Opslog::new(&base.pair.logs, "before", 100 + number as u32, 5000).lay_down();
            assert!(matches!(cut_short(&before), Err(FlushError::OutOfTime(1..5000))), "{how}");
            fs::write(&before.path, damaged(&before, how)).unwrap();
            base.flush();
            assert!(!before.path.exists(), "{how}: it is set aside");

            let repaired = [after.lay_down(), before.lay_down()];
            assert_eq!(base.flush().code, Some(0), "{how}");
            base.assert_all_in(&repaired);
        }
    }

    fn a_damaged_opslog_of_a_run_that_is_all_in_changes_nothing_there(base) {
        let opslog = Opslog::new(&base.pair.logs, "test", 1, 5).lay_down();
        assert_eq!(base.flush().code, Some(0));
        // As of a flush that was killed before it could delete the file.
        let doubled = opslog.clone().with(|lines| lines.insert(2, lines[2].clone())).lay_down();
        assert_eq!(base.flush().code, Some(1));
        assert!(doubled.path.with_extension("jsonl.corrupt").exists());
        base.assert_all_in(&[opslog]);
    }

    fn whatever_stands_in_a_file_nothing_panics_and_a_run_goes_on(base) {
        use proptest::prelude::*;
        use proptest::test_runner::{Config, TestRunner};
        let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
        let number = std::cell::Cell::new(0);
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(40) });
        let result = runner.run(&changes, |changes| {
            number.set(number.get() + 1);
            let opslog = Opslog::new(&base.pair.logs, "test", number.get(), 3).lay_down();
            let mut bytes = opslog.text().into_bytes();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            fs::write(&opslog.path, bytes).unwrap();
            let ran = base.flush();
            prop_assert!(matches!(ran.code, Some(0 | 1)), "{:?} {}", ran.code, ran.stderr);
            prop_assert!(!opslog.path.exists(), "it is in, or set aside: {}", ran.stderr);
            Ok(())
        });
        result.unwrap();
    }
}

/// Damages early in an opslog of several batches. All but the last show only in the footer, or in
/// its absence.
const DAMAGES: [&str; 7] = [
    "a line is missing",
    "a line is doubled",
    "the last operation is missing",
    "a line is missing, and the footer",
    "a line is missing, and the footer is torn",
    "a line is missing, and a later one split",
    "a line makes no sense",
];

fn damaged(opslog: &Opslog, how: &str) -> String {
    let changed = |change: &dyn Fn(&mut Vec<Value>) -> Option<Value>| {
        opslog.clone().with(|lines| drop(change(lines))).text()
    };
    let with_one_missing = changed(&|lines| Some(lines.remove(2)));
    match how {
        "a line is missing" => with_one_missing,
        "a line is doubled" => changed(&|lines| {
            lines.insert(2, lines[2].clone());
            None
        }),
        "the last operation is missing" => changed(&|lines| Some(lines.remove(5000))),
        "a line is missing, and the footer" => {
            changed(&|lines| lines.pop().and(Some(lines.remove(2))))
        }
        "a line is missing, and the footer is torn" => {
            with_one_missing[..with_one_missing.len() - 5].to_owned()
        }
        "a line is missing, and a later one split" => {
            with_one_missing.replacen("file 4900", "file\n4900", 1)
        }
        "a line makes no sense" => changed(&|lines| {
            Some(std::mem::replace(&mut lines[4900]["started_at"], "yesterday".into()))
        }),
        other => panic!("{other}"),
    }
}
