//! What a person sees on a terminal, and what a log collector sees without one.

use std::process::Command;

use crate::fixture::*;

/// Runs the sync on a terminal of that many columns, slowed down enough to be watched. Returns all
/// that was drawn.
fn on_a_terminal(pair: &Fixture, columns: usize, flags: &str) -> String {
    let command = pair.command_between(&pair.a, &pair.b);
    let words: Vec<String> =
        command.get_args().map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let sync = words.join(" ").replace("'--progress' 'none'", "");
    let script = format!(
        "stty cols {columns} rows 24; strace -f -qq -o /dev/null -e trace=pwrite64,getdents64 \
         -e inject=pwrite64:delay_enter=20000 -e inject=getdents64:delay_enter=200000 {} {sync} {flags}",
        command.get_program().to_str().unwrap()
    );
    let ran = run(Command::new("script").args(["-qec", &script, "/dev/null"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    ran.stdout
}

#[test]
fn bars_show_scan_work_and_what_is_in_hand_and_are_gone_in_the_end() {
    let pair = Fixture::new();
    write(&pair.a, "photos/\u{1b}[2J-large.jpg", vec![1; 16 << 20], T0);
    for columns in [80, 200] {
        let _emptied = std::fs::remove_dir_all(pair.b.join("photos"));
        let drawn = on_a_terminal(&pair, columns, "");
        for word in ["scan   ", "work   ", " of 16.0 MiB", "photos/\\u{1b}[2J-large.jpg"] {
            assert!(drawn.contains(word), "{word:?} at {columns} columns was not drawn: {drawn:?}");
        }
        let (_, after) = drawn.rsplit_once("test fwd: done in").expect("the summary");
        assert!(!after.contains("work   "), "nothing is drawn after the summary: {after:?}");
    }
}

#[test]
fn a_scan_is_measured_by_the_last_run_of_its_pair_and_direction() {
    let pair = Fixture::new();
    for index in 0..3 {
        write(&pair.a, format!("dir-{index}/file"), "x", T0);
    }
    let drawn = on_a_terminal(&pair, 80, "--direction=there");
    assert!(!drawn.contains("of last run"), "there is none: {drawn:?}");
    let drawn = on_a_terminal(&pair, 80, "--direction=back");
    assert!(!drawn.contains("of last run"), "that was the other direction: {drawn:?}");
    let drawn = on_a_terminal(&pair, 80, "--direction=there");
    assert!(drawn.contains(" % of last run") && drawn.contains(" so far, "), "{drawn:?}");
}

#[test]
fn without_a_terminal_nothing_is_drawn() {
    let pair = Fixture::new();
    write(&pair.a, "file", "x", T0);
    let mut command = binary();
    command
        .args(["--pair", "test", "--src"])
        .arg(&pair.a)
        .arg("--dest")
        .arg(&pair.b)
        .arg("--log-dir")
        .arg(&pair.logs);
    let ran = run(&mut command);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(!ran.stdout.contains('\u{1b}'));
}

#[test]
fn bars_are_drawn_only_where_asked() {
    let pair = Fixture::new();
    write(&pair.a, "file", vec![1; 4 << 20], T0);
    for flags in ["--progress=none", "--progress=log", "--quiet"] {
        let _emptied = std::fs::remove_file(pair.b.join("file"));
        let drawn = on_a_terminal(&pair, 80, flags);
        assert!(!drawn.contains("work   "), "{flags}: {drawn:?}");
    }
}

#[test]
fn messages_can_be_json() {
    let pair = Fixture::new();
    let age = std::time::SystemTime::now() - std::time::Duration::from_secs(100 * 24 * 3600);
    pair.counts(&[]);
    for path in pair.log_files(".jsonl") {
        std::fs::File::options().append(true).open(path).unwrap().set_modified(age).unwrap();
    }
    let ran = pair.sync(&["--log-format=json"]);
    let event: serde_json::Value =
        serde_json::from_str(ran.stderr.lines().next().unwrap()).unwrap();
    assert_eq!(event["level"], "WARN");
    assert!(event["message"].as_str().unwrap().contains("deleted an opslog"), "{event}");
}
