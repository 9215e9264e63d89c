//! The API: the same answers from both databases, and what each question finds.

use std::fs;

use serde_json::{Value, json};

use super::filled::{Run, insert_operations, insert_runs};
use super::server::Dashboard;
use crate::fixture::*;
use crate::ledger::base::*;

fn ids(list: &Value) -> Vec<i64> {
    list.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

/// Follows the pages to the end.
fn all_ids(dashboard: &Dashboard, path: &str, list: &str, key: &str) -> Vec<i64> {
    let (mut found, mut from) = (Vec::new(), String::new());
    loop {
        let answer = dashboard.ask(&format!("{path}{from}"));
        found.extend(ids(&answer[list]));
        match answer["next"].as_i64() {
            Some(next) => from = format!("&{key}={next}"),
            None => return found,
        }
    }
}

on_both! {
    fn real_runs_are_shown_as_they_went(base) {
        let pair = &base.pair;
        write(&pair.a, "new", "12345", T0);
        write(&pair.a, "dir/changed", "new!", T0 + 100);
        write(&pair.b, "dir/changed", "old", T0);
        write(&pair.b, "gone", "x", T0);
        fs::create_dir(pair.b.join("conflict")).unwrap();
        write(&pair.a, "conflict", "a file here, a folder there", T0);
        assert_eq!(pair.sync(&["--dry-run", "--delete-missing", "--direction", "a-to-b"]).code, Some(1));
        assert_eq!(pair.sync(&["--delete-missing", "--direction", "a-to-b"]).code, Some(1));
        fs::remove_dir(pair.b.join("conflict")).unwrap();
        assert_eq!(run(pair.command_between(&pair.b, &pair.a).args(["--direction", "b-to-a"])).code, Some(0));

        let dashboard = Dashboard::start(&pair.dsn, &[]);
        let pairs = dashboard.ask("/api/pairs");
        assert_eq!(pairs["pairs"][0]["pair"], "test");
        let [there, back] = [0, 1].map(|index| &pairs["pairs"][0]["directions"][index]);
        assert_eq!((&there["direction"], &back["direction"]), (&json!("a-to-b"), &json!("b-to-a")));
        assert_eq!(there["running"], Value::Null);
        let last = &there["last_run"];
        assert_eq!(last["status"], "partial_failure");
        let counts = ["files_created", "files_updated", "files_deleted"].map(|name| last[name].as_u64().unwrap());
        assert_eq!(counts, [1, 1, 1]);
        assert_eq!((&last["counts"]["conflicts"], &last["total_bytes_transferred"]), (&json!(1), &json!(9)));
        assert_eq!((&last["dry_run"], &there["last_dry_run"]["dry_run"]), (&json!(false), &json!(true)));
        assert_eq!(there["last_success"], Value::Null);
        assert_eq!(back["last_success"]["status"], "success");
        assert_eq!(back["last_dry_run"], Value::Null);

        let id = last["id"].as_i64().unwrap();
        let answer = dashboard.ask(&format!("/api/operations?iteration_id={id}"));
        assert_eq!(answer["iteration"], *last);
        let mut operations: Vec<String> = answer["operations"].as_array().unwrap().iter().map(|row| {
            format!("{} {} {}", row["operation"].as_str().unwrap(), row["filepath"].as_str().unwrap(), row["status"].as_str().unwrap())
        }).collect();
        operations.sort();
        assert_eq!(operations, ["create new success", "delete gone success", "update conflict fail", "update dir/changed success"]);
        let failed = dashboard.ask(&format!("/api/operations?iteration_id={id}&status=fail"));
        assert_eq!((ids(&failed["operations"]).len(), &failed["operations"][0]["cause"]), (1, &json!("conflict")));
    }

    fn times_and_counts_are_the_same_however_they_are_asked_for(base) {
        base.make_tables();
        insert_runs(base, [Run::new(1, "media", "there", 60), Run::new(2, "media", "there", 50), Run::new(3, "media", "there", 40)]);
        base.execute(&[
            "UPDATE sync_iterations SET started_at = '2026-01-02 00:00:00.000', ended_at = '2026-01-02 00:00:00.040', \
             files_created = -1, total_bytes_transferred = 9223372036854775807, error_message = NULL WHERE id IN (1, 2)",
            "UPDATE sync_iterations SET started_at = '2026-01-02 00:00:00.001' WHERE id = 3",
        ]);
        insert_operations(base, 2, 1);
        let raw = if base.is_sqlite() { "X'E900FF'" } else { "0xE900FF" };
        base.execute(&[&format!("UPDATE sync_operations SET filepath_raw = {raw}, started_at = '2026-01-02 00:00:00.000', ended_at = NULL")]);
        let dashboard = Dashboard::start(&base.pair.dsn, &[]);
        let all = dashboard.ask("/api/iterations")["iterations"].clone();
        let of_pair = dashboard.ask("/api/iterations?pair=media&direction=there&dry_run=false");
        assert_eq!(of_pair["iterations"], all);
        let answer = dashboard.ask("/api/operations?iteration_id=2");
        assert_eq!(answer["iteration"], all[1]);
        let moments = ["started_at", "ended_at"].map(|name| all[1][name].as_str().unwrap());
        assert_eq!(moments, ["2026-01-02T00:00:00.000Z", "2026-01-02T00:00:00.040Z"]);
        assert_eq!((&all[1]["files_created"], &all[1]["total_bytes_transferred"]), (&json!(-1), &json!(i64::MAX)));
        let operation = &answer["operations"][0];
        assert_eq!((&operation["started_at"], &operation["ended_at"]), (&json!("2026-01-02T00:00:00.000Z"), &Value::Null));
        assert_eq!((&operation["filepath_b64"], &operation["size_after"]), (&json!("6QD/"), &json!(4096)));
        // From midnight on, one by one.
        assert_eq!(all_ids(&dashboard, "/api/iterations?limit=1", "iterations", "before"), [3, 2, 1]);
        assert_eq!(all_ids(&dashboard, "/api/iterations?limit=1&pair=media", "iterations", "before"), [3, 2, 1]);
    }

    fn points_of_many_series_are_fewer_of_each(base) {
        base.make_tables();
        let names: Vec<&'static str> = (0..300).map(|number| &*Box::leak(format!("pair-{number:03}").into_boxed_str())).collect();
        insert_runs(base, (0..9000).map(|id| Run::new(id + 1, names[id as usize % 300], "there", 9000 - id)));
        let dashboard = Dashboard::start(&base.pair.dsn, &[]);
        let lengths = |question: &str| -> Vec<(usize, bool)> {
            let answer = dashboard.ask(question);
            let series = answer["pairs"].as_array().unwrap().iter().flat_map(|pair| pair["directions"].as_array().unwrap());
            series.map(|one| (one["runs"].as_array().unwrap().len(), one["is_cut"] == true)).collect()
        };
        for question in ["/api/history", "/api/history?limit=1000"] {
            assert_eq!(lengths(question), vec![(20, true); 300], "{question}");
        }
        assert_eq!(lengths("/api/history?limit=3"), vec![(3, true); 300]);
        assert_eq!(lengths("/api/history?pair=pair-007"), [(30, false)]);
        let latest = dashboard.ask("/api/history?pair=pair-299&limit=1")["pairs"][0]["directions"][0]["runs"].clone();
        assert_eq!(latest[0]["id"], 9000);
    }

    fn more_directions_than_are_told_of_are_not_left_out_without_a_word(base) {
        base.make_tables();
        let names: Vec<&'static str> = (0..501).map(|number| &*Box::leak(format!("pair-{number:03}").into_boxed_str())).collect();
        insert_runs(base, names[..499].iter().zip(1..).map(|(name, id)| Run::new(id, name, "there", 0)));
        let dashboard = Dashboard::start(&base.pair.dsn, &[]);
        let told = || {
            let answer = dashboard.ask("/api/pairs");
            (answer["pairs"].as_array().unwrap().len(), answer["is_cut"] == true)
        };
        assert_eq!(told(), (499, false));
        insert_runs(base, names[499..].iter().zip(500..).map(|(name, id)| Run::new(id, name, "there", 0)));
        assert_eq!(told(), (500, true));
    }

    fn a_run_that_began_in_the_future_hides_nothing_that_came_after_it(base) {
        base.make_tables();
        insert_runs(base, [
            Run::new(1, "media", "there", 60),
            Run::new(2, "media", "there", -600),
            Run::new(3, "media", "there", 5).failed("failed", 0, Some("the disk is full")),
        ]);
        let dashboard = Dashboard::start(&base.pair.dsn, &[]);
        let stands = |name: &str| dashboard.ask("/api/pairs")["pairs"][0]["directions"][0][name]["id"].clone();
        assert_eq!([stands("last_run"), stands("last_success")], [json!(3), json!(2)]);
        insert_runs(base, [Run::new(4, "media", "there", 1)]);
        assert_eq!([stands("last_run"), stands("last_success")], [json!(4), json!(4)]);
    }

    fn columns_and_tables_that_change_under_an_open_connection_are_looked_at_again(base) {
        base.make_tables();
        insert_runs(base, [Run::new(1, "media", "there", 60)]);
        let dashboard = Dashboard::start(&base.pair.dsn, &[]);
        let last = || dashboard.ask("/api/pairs")["pairs"][0]["directions"][0]["last_run"].clone();
        assert_eq!(last()["host"], "node-1");
        base.execute(&["ALTER TABLE sync_iterations DROP COLUMN host"]);
        assert_eq!((&last()["host"], &last()["id"]), (&Value::Null, &json!(1)));
    }

    fn an_empty_database_is_shown_as_empty_and_is_left_alone(base) {
        let dashboard = Dashboard::start(&base.pair.dsn, &[]);
        assert_eq!(dashboard.ask("/api/pairs")["pairs"], json!([]));
        assert_eq!(dashboard.ask("/api/pairs")["has_tables"], false);
        assert_eq!(dashboard.ask("/api/history")["pairs"], json!([]));
        assert_eq!(dashboard.ask("/api/iterations")["iterations"], json!([]));
        assert_eq!(dashboard.get("/api/operations?iteration_id=1").status, 404);
        if base.is_sqlite() {
            assert!(!base.pair.scratch.path().join("rows.sqlite").exists(), "nothing is made");
        } else {
            assert_eq!(base.one("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()"), "0");
        }
        // What is made later is found.
        base.make_tables();
        assert_eq!(dashboard.ask("/api/pairs")["has_tables"], true);
        write(&base.pair.a, "file", "x", T0);
        assert_eq!(base.pair.sync(&[]).code, Some(0));
        assert_eq!(dashboard.ask("/api/pairs")["pairs"][0]["directions"][0]["last_run"]["files_created"], 1);
    }

    fn where_a_direction_stands_is_told_by_its_latest_runs_real_and_dry_apart(base) {
        base.make_tables();
        insert_runs(base, [
            // An opslog that waited gets in late: the order is that of the beginnings.
            Run::new(9, "media", "there", 300),
            Run::new(2, "media", "there", 200).failed("failed", 0, Some("the disk is full")),
            Run::new(3, "media", "there", 100).failed("partial_failure", 4, None),
            Run { status: "running", ..Run::new(4, "media", "there", 5) },
            Run::new(5, "media", "there", 50).dry(),
            // One whose process died unseen, before another one.
            Run { status: "running", ..Run::new(6, "media", "back", 500) },
            Run::new(7, "media", "back", 400),
            Run::new(8, "photos", "there", 10).dry(),
        ]);
        let dashboard = Dashboard::start(&base.pair.dsn, &[]);
        let answer = dashboard.ask("/api/pairs");
        let ids: Vec<Vec<i64>> = answer["pairs"].as_array().unwrap().iter().flat_map(|pair| {
            pair["directions"].as_array().unwrap().iter().map(|direction| {
                ["running", "last_run", "last_success", "last_dry_run"].map(|which| direction[which]["id"].as_i64().unwrap_or(0)).to_vec()
            })
        }).collect();
        // back, there of media; there of photos.
        assert_eq!(ids, [[0, 7, 7, 0], [4, 3, 9, 5], [0, 0, 0, 8]]);
    }

    fn runs_are_listed_page_by_page_whatever_is_asked_for(base) {
        base.make_tables();
        let mut expected = Vec::new();
        let runs: Vec<Run> = (1..=120).map(|id| {
            let (pair, direction) = (["ai", "media", "photos"][id as usize % 3], ["there", "back"][id as usize / 3 % 2]);
            // Several begin together.
            let run = Run::new(id, pair, direction, 1000 - id / 4);
            let run = match id % 5 { 0 => run.failed("failed", 0, Some("x")), 1 => run.failed("partial_failure", 1, None), _ => run };
            if id % 7 == 0 { run.dry() } else { run }
        }).collect();
        insert_runs(base, runs.clone());
        expected.extend(runs);
        expected.sort_by_key(|run| (run.age, -run.id));
        let dashboard = Dashboard::start(&base.pair.dsn, &[]);
        type Wanted = fn(&Run) -> bool;
        let cases: [(&str, Wanted); 8] = [
            ("", |_| true),
            ("pair=media&", |run| run.pair == "media"),
            ("direction=back&", |run| run.direction == "back"),
            ("status=failed&", |run| run.status == "failed"),
            ("dry_run=true&", |run| run.dry_run),
            ("dry_run=0&status=success&", |run| !run.dry_run && run.status == "success"),
            ("pair=ai&direction=there&status=partial_failure&dry_run=false&", |run| {
                run.pair == "ai" && run.direction == "there" && run.status == "partial_failure" && !run.dry_run
            }),
            ("pair=nothing&", |_| false),
        ];
        for (filter, wanted) in cases {
            let wanted: Vec<i64> = expected.iter().filter(|run| wanted(run)).map(|run| run.id).collect();
            for limit in [7, 200] {
                let path = format!("/api/iterations?{filter}limit={limit}");
                assert_eq!(all_ids(&dashboard, &path, "iterations", "before"), wanted, "{path}");
            }
        }
        assert_eq!(dashboard.get("/api/iterations?before=99999").status, 404);
    }

    fn operations_are_found_page_by_page_by_status_operation_and_a_part_of_their_path(base) {
        base.make_tables();
        insert_runs(base, (1..=3).map(|id| Run::new(id, "media", "there", 10)));
        insert_operations(base, 1, 50);
        insert_operations(base, 2, 30_000);
        insert_operations(base, 3, 10);
        let dashboard = Dashboard::start(&base.pair.dsn, &[]);
        for (filter, found) in [
            ("iteration_id=1&limit=7", 50),
            ("iteration_id=1&limit=50", 50),
            ("iteration_id=2&status=fail&limit=500", 30),
            ("iteration_id=2&status=fail&operation=create&limit=10", 0),
            ("iteration_id=2&q=needle&limit=2", 3),
            ("iteration_id=2&q=needle&limit=1", 3),
            ("iteration_id=2&q=Needle&limit=2", 0),
            ("iteration_id=2&q=/029/&operation=update&status=success&limit=500", 499),
            ("iteration_id=3&q=%25&limit=5", 0),
            ("iteration_id=3&q=file-_00&limit=5", 0),
        ] {
            let found_ids = all_ids(&dashboard, &format!("/api/operations?{filter}"), "operations", "after");
            assert_eq!(found_ids.len(), found, "{filter}");
            assert!(found_ids.is_sorted(), "{filter}");
        }
        assert_eq!(dashboard.get("/api/operations?iteration_id=77").status, 404);
    }

    fn a_history_has_the_latest_points_of_its_days_the_oldest_first(base) {
        base.make_tables();
        let day = 24 * 60;
        insert_runs(base, (1..=10).map(|id| Run::new(id, "media", "there", (11 - id) * day - 60)));
        insert_runs(base, [Run { status: "running", ..Run::new(11, "media", "there", 1) }, Run::new(12, "media", "there", 2).dry(), Run::new(13, "ai", "there", 2)]);
        let dashboard = Dashboard::start(&base.pair.dsn, &[]);
        let points = |path: &str| {
            let answer = dashboard.ask(path);
            (ids(&answer["pairs"][0]["directions"][0]["runs"]), answer["pairs"][0]["directions"][0]["is_cut"] == true)
        };
        assert_eq!(points("/api/history?pair=media"), ((1..=10).collect(), false));
        assert_eq!(points("/api/history?pair=media&days=3"), (vec![8, 9, 10], false));
        assert_eq!(points("/api/history?pair=media&limit=2"), (vec![9, 10], true));
        assert_eq!(points("/api/history"), (vec![13], false));
        assert_eq!(dashboard.ask("/api/history?pair=nothing")["pairs"], json!([]));
    }

    fn tables_of_the_first_release_are_shown_as_they_are(base) {
        base.execute(if base.is_sqlite() { &crate::ledger::tables::FIRST_RELEASE_SQLITE } else { &crate::ledger::tables::FIRST_RELEASE });
        base.execute(&crate::ledger::tables::ROWS);
        let dashboard = Dashboard::start(&base.pair.dsn, &[]);
        let answer = dashboard.ask("/api/pairs");
        let direction = &answer["pairs"][0]["directions"][0];
        assert_eq!((&direction["running"]["id"], &direction["last_dry_run"]["id"]), (&json!(8), &json!(7)));
        assert_eq!(ids(&dashboard.ask("/api/iterations")["iterations"]), [8, 7]);
        let operations = dashboard.ask("/api/operations?iteration_id=7&q=caf%C3%A9");
        assert_eq!((ids(&operations["operations"]).len(), &operations["operations"][0]["kind"]), (1, &Value::Null));
        assert_eq!(dashboard.get("/api/operations?iteration_id=7&q=%F0%9F%98%80").status, 200);
        assert_eq!(dashboard.ask("/api/history?days=3660")["pairs"][0]["directions"][0]["runs"], json!([]));
        assert!(dashboard.get("/metrics").text().contains("hasync_running{pair=\"media\",direction=\"fwd\"} 1\n"));
    }
}

#[test]
fn both_databases_give_the_same_answers() {
    let bases = [Base::sqlite(), Base::mariadb()];
    let answers = bases.map(|base| {
        for (pair, number) in [("ai", 1), ("media", 2)] {
            Opslog::new(&base.pair.logs, pair, number, 120)
                .with(|lines| {
                    let mut odd = operation("b\u{fffd}d");
                    odd["filepath_b64"] = "Yv9k".into();
                    lines[5] = odd;
                    lines[6]["status"] = "fail".into();
                    lines[6]["cause"] = "error".into();
                    lines[6]["error_message"] = "cannot do <b>it</b> \u{202e}".into();
                    lines[7]["compares"] = true.into();
                })
                .lay_down();
        }
        assert_eq!(base.flush().code, Some(0));
        let dashboard = Dashboard::start(&base.pair.dsn, &[]);
        let paths = [
            "/api/pairs",
            "/api/iterations",
            "/api/iterations?pair=media&status=success",
            "/api/operations?iteration_id=1",
            "/api/operations?iteration_id=2&status=fail",
            "/api/operations?iteration_id=2&q=%EF%BF%BD",
            "/api/history?days=3660",
        ];
        let mut answers = paths.map(|path| dashboard.ask(path)).to_vec();
        answers.iter_mut().for_each(|answer| drop(answer.as_object_mut().unwrap().remove("now")));
        answers.push(dashboard.get("/metrics").text().into());
        answers
    });
    let [sqlite, mariadb] = answers;
    assert_eq!(sqlite, mariadb);
    let odd = &sqlite[5]["operations"][0];
    assert_eq!((&odd["filepath"], &odd["filepath_b64"]), (&json!("b\u{fffd}d"), &json!("Yv9k")));
    assert_eq!(sqlite[4]["operations"][0]["error_message"], "cannot do <b>it</b> \u{202e}");
    assert_eq!(sqlite[3]["operations"][6]["compares"], true);
}
