//! What `docs/api.md` shows is what the dashboard answers.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::server::Dashboard;
use crate::fixture::*;
use crate::ledger::base::*;

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

/// Questions and the answers that are shown for them.
fn examples() -> Vec<(String, Value)> {
    let text = page("api.md");
    let parts = text.split("\nExample: `GET ").skip(1);
    parts
        .map(|part| {
            let (question, rest) = part.split_once('`').unwrap();
            let answer = rest.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
            (
                question.to_owned(),
                serde_json::from_str(answer).unwrap_or_else(|error| panic!("{question}: {error}")),
            )
        })
        .collect()
}

/// The keys of an answer by their places, with the kind of each value. A list is described by its
/// first element.
fn shape(at: &str, value: &Value, into: &mut Vec<String>) {
    match value {
        // Which counts there are depends on the run.
        Value::Object(_) if at.ends_with("counts") => into.push(format!("{at} object")),
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| shape(&format!("{at}.{key}"), value, into));
        }
        Value::Array(items) => match items.first() {
            Some(first) => shape(&format!("{at}[]"), first, into),
            None => into.push(format!("{at} empty")),
        },
        Value::Null => into.push(format!("{at} null")),
        Value::Bool(_) => into.push(format!("{at} boolean")),
        Value::Number(_) => into.push(format!("{at} number")),
        Value::String(_) => into.push(format!("{at} text")),
    }
}

fn shape_of(value: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    shape("", value, &mut lines);
    lines.sort();
    lines
}

#[test]
fn the_examples_have_the_shape_of_real_answers() {
    let base = Base::sqlite();
    for number in 1..3 {
        Opslog::new(&base.pair.logs, "media", number, 3)
            .with(|lines| {
                lines[0]["direction"] = "dell-to-hp".into();
                lines[0]["started_at"] =
                    ha_sync::time::to_rfc3339(std::time::SystemTime::now()).into();
                let failed = &mut lines[3];
                for (key, value) in [
                    ("status", "fail"),
                    ("cause", "error"),
                    ("error_message", "no"),
                    ("filepath_b64", "6Q=="),
                ] {
                    failed[key] = value.into();
                }
                failed["size_before"] = 7.into();
                failed["operation"] = "update".into();
                failed.as_object_mut().unwrap().remove("md5_after");
                lines[4]["status"] = "partial_failure".into();
            })
            .lay_down();
    }
    assert_eq!(base.flush().code, Some(0));
    let dashboard = Dashboard::start(&base.pair.dsn, &[]);
    let examples = examples();
    assert_eq!(examples.len(), 4);
    for (question, shown) in examples {
        assert_eq!(shape_of(&dashboard.ask(&question)), shape_of(&shown), "{question}");
    }
}

#[test]
fn every_metric_flag_and_alert_has_its_line() {
    let (monitoring, dashboard) = (page("monitoring.md"), page("dashboard.md"));
    let base = Base::sqlite();
    write(&base.pair.a, "file", "x", T0);
    assert_eq!(base.pair.sync(&[]).code, Some(0));
    let metrics = Dashboard::start(&base.pair.dsn, &[]).get("/metrics").text();
    let names: Vec<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    assert!(names.len() > 10);
    names.iter().for_each(|name| assert!(monitoring.contains(&format!("| `{name}")), "{name}"));
    let rules = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring/ha-sync.rules.yaml"),
    )
    .unwrap();
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.split_once("alert: ").map(|(_, name)| name)).collect();
    alerts.iter().for_each(|name| assert!(monitoring.contains(&format!("| `{name}` |")), "{name}"));
    let help = run(super::server::dashboard().arg("--help")).stdout;
    let flags =
        help.lines().filter_map(|line| line.trim_start().strip_prefix("--")?.split(' ').next());
    for flag in flags {
        assert!(dashboard.contains(&format!("| `--{flag}` |")), "{flag}");
    }
}
