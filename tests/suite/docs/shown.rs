//! What the pages show of the tool's own words: examples of its output and the messages of its
//! guards.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::{blocks, project};
use crate::fixture::*;

/// The names of all fields, of those within others too.
fn fields(value: &Value) -> BTreeSet<String> {
    let Some(object) = value.as_object() else { return BTreeSet::new() };
    let below = object.iter().flat_map(|(name, value)| {
        fields(value).into_iter().map(move |field| format!("{name}.{field}"))
    });
    object.keys().cloned().chain(below).collect()
}

/// The examples in `docs/output.md` by their `type`.
fn example(kind: &str) -> Value {
    let page = project().join("docs/output.md");
    let lines = blocks(&page).into_iter().filter(|block| block.tag == "json").flat_map(|block| {
        block
            .text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .collect::<Vec<_>>()
    });
    lines
        .into_iter()
        .find(|line| line["type"] == kind)
        .unwrap_or_else(|| panic!("no example of {kind}"))
}

#[test]
fn output_in_json_is_as_documented() {
    let mut pair = Fixture::new();
    pair.dsn = format!("sqlite:{}", pair.scratch.path().join("rows.sqlite").display());
    write(&pair.a, "films/new.mkv", "content", T0);
    let planned = pair.sync(&["--dry-run", "--format", "json"]);
    let lines = planned.json();
    let kinds: BTreeSet<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, BTreeSet::from(["operation", "summary"]));
    let file = lines.iter().find(|line| line["kind"] == "file").unwrap();
    assert_eq!(fields(file), fields(&example("operation")), "{file}");
    assert_eq!(fields(&planned.summary()), fields(&example("summary")), "{}", planned.summary());

    let lock = pair.logs.join("ha-sync-test.lock");
    let held = fs::File::options().write(true).open(&lock).unwrap();
    held.lock().unwrap();
    fs::write(
        &lock,
        r#"{"holder":"node-1/5679","direction":"fwd","since":"2026-11-23T22:25:01.123Z"}"#,
    )
    .unwrap();
    let locked = pair.sync(&["--format", "json"]).summary();
    assert_eq!(fields(&locked), fields(&example("locked")), "{locked}");
    drop(held);

    let refused = pair.sync(&["--format", "json", "--require-file", ".mounted"]).summary();
    assert_eq!(fields(&refused), fields(&example("error")), "{refused}");
}

/// Each guard and refusal, and words of its message that the page must have as a person sees them.
#[test]
fn troubleshooting_has_the_very_messages() {
    let page = fs::read_to_string(project().join("docs/troubleshooting.md")).unwrap();
    let pair = Fixture::new();
    write(&pair.a, "kept", "x", T0);
    let said = |flags: &[&str]| {
        let ran = pair.sync(flags);
        (ran.code, format!("{}{}", ran.stdout, ran.stderr))
    };
    let check = |(code, said): (Option<i32>, String), expected: i32, words: &str| {
        assert_eq!(code, Some(expected), "{said}");
        assert!(said.contains(words), "the tool does not say {words:?}: {said}");
        assert!(page.contains(words), "the page does not have {words:?}");
    };
    check(said(&["--require-mount"]), 3, "is not a mount point. Mount what should be there");
    check(
        said(&["--require-file", ".mounted"]),
        3,
        ".mounted is not there. Mount the disk that holds it",
    );
    for index in 0..200 {
        write(&pair.b, format!("extra-{index}"), "x", T0);
    }
    check(said(&["--delete-missing"]), 3, "entries would go, more than --max-delete 50% allows");
    fs::remove_file(pair.a.join("kept")).unwrap();
    check(
        said(&["--delete-missing"]),
        3,
        "has no entry that takes part in the sync, as if its disk were not mounted",
    );
    check(said(&["--workers", "0"]), 2, "is not in 1..=1024");
    let lock = pair.logs.join("ha-sync-test.lock");
    let held = fs::File::options().write(true).open(&lock).unwrap();
    held.lock().unwrap();
    check(said(&["--if-locked", "fail"]), 75, "not run, the pair is locked by");
    check(said(&[]), 0, "skipped, the pair is locked by");
    drop(held);
    write(&pair.a, "both/inside", "x", T0);
    write(&pair.b, "both", "x", T0);
    check(said(&[]), 1, "a directory at the source");
    let mistyped = run(binary().args(["history", "--log-dir", "/nonexistent/logs"]));
    check(
        (mistyped.code, mistyped.stderr),
        2,
        "the log directory /nonexistent/logs cannot be used",
    );
    check(
        {
            let ran = run(pair.command().env("HA_SYNC_WORKER", "9"));
            (ran.code, ran.stderr)
        },
        1,
        "no flag reads the environment variable HA_SYNC_WORKER: did you mean HA_SYNC_WORKERS?",
    );
}

#[test]
fn every_exit_code_has_a_heading() {
    let page = fs::read_to_string(project().join("docs/troubleshooting.md")).unwrap();
    let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
    for (code, _) in ha_sync::cli::EXIT_CODES {
        let wanted = format!("Exit code {}", code.split(',').next().unwrap());
        assert!(
            headings.iter().any(|heading| heading.contains(&wanted)),
            "{wanted} in {headings:?}"
        );
    }
}
