//! Metrics: what they say, that Prometheus takes them, and its alerts.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::filled::{Run, insert_runs};
use super::server::Dashboard;
use crate::fixture::*;
use crate::ledger::base::*;

fn lines(dashboard: &Dashboard) -> Vec<String> {
    let response = dashboard.get("/metrics");
    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    response.text().lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[track_caller]
fn value(lines: &[String], name: &str) -> f64 {
    let line = lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {lines:#?}")).parse().unwrap()
}

on_both! {
    fn metrics_tell_of_real_runs_and_only_of_them(base) {
        base.make_tables();
        insert_runs(base, [
            Run::new(1, "media", "there", 100),
            Run { seconds: 90, ..Run::new(2, "media", "there", 50) }.failed("partial_failure", 4, None),
            Run::new(3, "media", "there", 20).dry(),
            Run { status: "running", ..Run::new(4, "media", "there", 5) },
            Run::new(5, "ai", "there", 30).dry(),
        ]);
        base.execute(&[r#"UPDATE sync_iterations SET counts = '{"deferred":12,"conflicts":3,"withheld":7}' WHERE id = 2"#]);
        let dashboard = Dashboard::start(&base.pair.dsn, &[]);
        let said = lines(&dashboard);
        let of = |name: &str, more: &str| value(&said, &format!("{name}{{pair=\"media\",direction=\"there\"{more}}}"));
        let (success, last) = (of("hasync_last_success_timestamp_seconds", ""), of("hasync_last_run_timestamp_seconds", ""));
        assert_eq!(last - success, 50.0 * 60.0 + 60.0);
        assert_eq!(of("hasync_last_run_duration_seconds", ""), 90.0);
        let undone = ["deferred", "conflicts", "withheld_deletions"].map(|what| of(&format!("hasync_last_run_{what}"), ""));
        assert_eq!(undone, [12.0, 3.0, 7.0]);
        let status = |status| of("hasync_last_run_status", &format!(",status=\"{status}\""));
        assert_eq!([status("success"), status("partial_failure"), status("failed")], [0.0, 1.0, 0.0]);
        let runs = |status| of("hasync_runs_total", &format!(",status=\"{status}\""));
        assert_eq!([runs("success"), runs("partial_failure"), runs("failed")], [1.0, 1.0, 0.0]);
        let files = |operation| of("hasync_files_total", &format!(",operation=\"{operation}\""));
        assert_eq!([files("create"), files("update"), files("delete")], [6.0, 4.0, 2.0]);
        assert_eq!([of("hasync_bytes_transferred_total", ""), of("hasync_failed_total", "")], [f64::from(10 << 20), 4.0]);
        assert_eq!([of("hasync_running", ""), value(&said, "hasync_up")], [1.0, 1.0]);
        assert!(of("hasync_running_since_timestamp_seconds", "") > last);
        // A pair whose runs are all dry has no real run to tell of.
        let ai: Vec<&String> = said.iter().filter(|line| line.contains("\"ai\"")).collect();
        assert_eq!(ai, ["hasync_running{pair=\"ai\",direction=\"there\"} 0"]);
        assert_eq!(value(&said, &format!("hasync_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), 1.0);

        // The one at work ends.
        base.execute(&["UPDATE sync_iterations SET status = 'success', ended_at = started_at WHERE id = 4"]);
        assert_eq!(value(&lines(&dashboard), "hasync_runs_total{pair=\"media\",direction=\"there\",status=\"success\"}"), 2.0);
    }

    fn sums_over_many_runs_are_exact_grow_with_new_ones_and_are_the_same_after_a_start(base) {
        base.make_tables();
        // More than are read at once, some of which are not over.
        insert_runs(base, (1..=12_000).map(|id| {
            let run = Run::new(id, "media", ["there", "back"][id as usize % 2], 20_000 - id);
            if id % 1000 == 0 { Run { status: "running", ..run } } else { run }
        }));
        let dashboard = Dashboard::start(&base.pair.dsn, &[]);
        let name = |direction| format!("hasync_files_total{{pair=\"media\",direction=\"{direction}\",operation=\"create\"}}");
        let sums = |dashboard: &Dashboard| ["there", "back"].map(|direction| value(&lines(dashboard), &name(direction)));
        assert_eq!(sums(&dashboard), [5988.0 * 3.0, 6000.0 * 3.0]);
        base.execute(&["UPDATE sync_iterations SET status = 'success' WHERE id IN (2000, 12000)"]);
        insert_runs(base, (12_001..=12_400).map(|id| Run::new(id, "media", "back", 1)));
        let expected = [5990.0 * 3.0, 6400.0 * 3.0];
        assert_eq!(sums(&dashboard), expected);
        assert_eq!(sums(&dashboard), expected, "nothing is counted twice");
        assert_eq!(sums(&Dashboard::start(&base.pair.dsn, &[])), expected);
        // Other rows under the same name, as many and more: it begins anew.
        base.execute(&["UPDATE sync_iterations SET run_id = NULL, files_created = 1"]);
        assert_eq!(sums(&dashboard), [5990.0, 6400.0]);
    }
}

/// Runs promtool in a folder, with a file as its input.
fn promtool(words: &[&str], input: Option<&Path>, folder: &Path) -> Ran {
    let input = input.map_or_else(Stdio::null, |path| fs::File::open(path).unwrap().into());
    run(Command::new("promtool").args(words).current_dir(folder).stdin(input))
}

#[test]
fn prometheus_takes_the_metrics() {
    let base = Base::sqlite();
    base.make_tables();
    insert_runs(
        &base,
        [
            Run::new(1, "media", "there", 9),
            Run { status: "running", ..Run::new(2, "media", "there", 1) },
        ],
    );
    let dashboard = Dashboard::start(&base.pair.dsn, &[]);
    let (folder, text) = (base.pair.scratch.path(), dashboard.get("/metrics").text());
    assert!(text.contains("hasync_runs_total"));
    fs::write(folder.join("metrics"), text).unwrap();
    let ran = promtool(&["check", "metrics"], Some(&folder.join("metrics")), folder);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn alerts_are_sound_and_each_fires_for_its_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    for file in ["deploy/monitoring/ha-sync.rules.yaml", "tests/alerts.yaml"] {
        let path = root.join(file);
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    for words in [&["check", "rules", "ha-sync.rules.yaml"], &["test", "rules", "alerts.yaml"]] {
        let ran = promtool(words, None, folder.path());
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    }
    // What the rules speak of is what the dashboard tells.
    let base = Base::sqlite();
    base.make_tables();
    insert_runs(
        &base,
        [
            Run::new(1, "media", "there", 9),
            Run { status: "running", ..Run::new(2, "media", "there", 1) },
        ],
    );
    let said = Dashboard::start(&base.pair.dsn, &[]).get("/metrics").text();
    let rules = fs::read_to_string(root.join("deploy/monitoring/ha-sync.rules.yaml")).unwrap();
    let names: Vec<&str> = rules
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("hasync_"))
        .collect();
    assert!(names.len() > 5);
    names.iter().for_each(|name| assert!(said.contains(&format!("# TYPE {name} ")), "{name}"));
}
