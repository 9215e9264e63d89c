//! The binary as a black box: help, wrong input, output formats, exit codes.

use std::fs;

use crate::fixture::*;

#[test]
fn help_names_every_flag_and_its_variable_and_version_is_one_line() {
    let help = run(binary().arg("--help"));
    assert_eq!(help.code, Some(0));
    for word in
        ["--src", "--dest", "--pair", "--dry-run", "HA_SYNC_SRC", "Exit codes", "--mtime-threshold"]
    {
        assert!(help.stdout.contains(word), "{word} is not in:\n{}", help.stdout);
    }
    let version = run(binary().arg("--version"));
    assert_eq!(
        (version.code, version.stdout),
        (Some(0), format!("ha-sync {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn completions_and_manual_are_printed() {
    let script = run(binary().args(["completions", "bash"]));
    assert!(script.code == Some(0) && script.stdout.contains("complete -F"), "{}", script.stderr);
    let manual = run(binary().arg("man"));
    assert!(manual.code == Some(0) && manual.stdout.contains(".TH ha-sync"), "{}", manual.stderr);
}

/// Each wrong input: what is typed, and what the message must say.
#[test]
fn wrong_input_is_refused_at_once_with_what_to_do() {
    let pair = Fixture::new();
    let path = |name: &str| pair.scratch.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir_all(pair.a.join("inside")).unwrap();
    fs::write(pair.a.join("file"), "x").unwrap();
    std::os::unix::fs::symlink(&pair.a, pair.scratch.path().join("alias")).unwrap();
    let (a, b, inside, file) = (path("a"), path("b"), path("a/inside"), path("a/file"));
    let (missing, alias) = (path("missing"), path("alias"));
    let good = ["--src", &a, "--dest", &b, "--pair", "test"];
    #[rustfmt::skip]
    let cases: Vec<(Vec<&str>, &[&str])> = vec![
        (vec![], &["--src", "--dest", "--pair"]),
        (vec![], &["ha-sync --src", "--dry-run"]),
        (vec![&a, &b], &["--src and --dest", "--pair"]),
        (vec!["-a", &a, &b], &["leave it out"]),
        ([&good[..], &["--delete"]].concat(), &["--delete-missing"]),
        ([&good[..], &["-n"]].concat(), &["--dry-run"]),
        ([&good[..], &["--dry-run", "true"]].concat(), &["--dry-run=true"]),
        (vec!["sync", "--src", &a], &["no such word", "--dry-run"]),
        (vec!["--src", "server:/export", "--dest", &b, "--pair", "test"], &["mounted here first"]),
        (vec!["--src=~/photos", "--dest", &b, "--pair", "test"], &["$HOME"]),
        (vec!["--src", &missing, "--dest", &b, "--pair", "test"], &["--src", "no such folder", "mount"]),
        (vec!["--src", &a, "--dest", &missing, "--pair", "test"], &["--dest", "no such folder"]),
        (vec!["--src", &file, "--dest", &b, "--pair", "test"], &["is not a folder"]),
        (vec!["--src", "", "--dest", &b, "--pair", "test"], &["--src"]),
        (vec!["--src", &a, "--dest", &a, "--pair", "test"], &["same folder"]),
        (vec!["--src", &a, "--dest", &alias, "--pair", "test"], &["same folder"]),
        (vec!["--src", &a, "--dest", &inside, "--pair", "test"], &["--dest lies inside --src"]),
        (vec!["--src", &inside, "--dest", &a, "--pair", "test"], &["--src lies inside --dest"]),
        (vec!["--src", &a, "--dest", &b, "--pair", "Not A Label"], &["DNS label", "such as media"]),
        ([&good[..], &["--direction", "a/b"]].concat(), &["--direction"]),
        ([&good[..], &["--mtime-threshold", "-1"]].concat(), &["--mtime-threshold"]),
        ([&good[..], &["--mtime-threshold", "soon"]].concat(), &["--mtime-threshold", "seconds"]),
        ([&good[..], &["--workers", "0"]].concat(), &["--workers", "1..=1024"]),
        ([&good[..], &["--workers", "many"]].concat(), &["--workers"]),
        ([&good[..], &["--bwlimit", "fast"]].concat(), &["--bwlimit", "50M"]),
        ([&good[..], &["--if-locked", "later"]].concat(), &["--if-locked", "wait=SECONDS"]),
        ([&good[..], &["--log-dir", &a]].concat(), &["--log-dir is --src itself"]),
        ([&good[..], &["--quiet", "--verbose"]].concat(), &["exclude each other"]),
        ([&good[..], &["--dry-rum"]].concat(), &["--dry-rum", "--dry-run"]),
        ([&good[..], &["--dry-run=maybe"]].concat(), &["--dry-run", "true, false"]),
    ];
    for (flags, words) in cases {
        let ran = run(binary().args(&flags));
        assert_eq!(ran.code, Some(2), "{flags:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{flags:?}");
        for word in words {
            assert!(ran.stderr.contains(word), "{flags:?} does not say {word:?}: {}", ran.stderr);
        }
    }
    assert_eq!(look(&pair.b).len(), 0);
}

#[test]
fn a_lock_that_cannot_be_had_here_is_refused_with_what_to_do() {
    let pair = Fixture::new();
    let cases = [
        (&["--lock=lease", "--lock-ttl=2"][..], "whole seconds, from 3 to 2147483647"),
        (&["--lock=lease", "--namespace=In.fra"], "is not a DNS label"),
        (&["--lock=lease"], "the kubeconfig (KUBECONFIG, else ~/.kube/config) cannot be used"),
    ];
    for (flags, says) in cases {
        let ran =
            run(pair.command().args(flags).env("KUBECONFIG", pair.scratch.path().join("none")));
        assert_eq!(ran.code, Some(2), "{flags:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{flags:?}: {}", ran.stderr);
    }
    let in_a_pod = run(pair.command().env("KUBERNETES_SERVICE_HOST", "10.0.0.1"));
    assert!(
        in_a_pod.code == Some(2) && in_a_pod.stderr.contains("--lock=file"),
        "{}",
        in_a_pod.stderr
    );
    assert!(in_a_pod.stderr.contains("automountServiceAccountToken: true"), "{}", in_a_pod.stderr);
    assert!(look(&pair.b).is_empty());
    assert_eq!(pair.sync(&["--delete-missing=false", "--require-mount=false"]).code, Some(0));
}

#[test]
fn a_dest_that_is_not_writable_is_refused_but_for_a_dry_run() {
    use std::os::unix::process::CommandExt as _;
    let pair = Fixture::new();
    chmod(pair.scratch.path(), 0o755);
    let copy = pair.scratch.path().join("ha-sync");
    fs::copy(env!("CARGO_BIN_EXE_ha-sync"), &copy).unwrap();
    let logs = pair.scratch.path().join("open-logs");
    fs::create_dir(&logs).unwrap();
    chmod(&logs, 0o777);
    let sync = |flags: &[&str]| {
        let mut command = std::process::Command::new(&copy);
        command
            .args(["--pair", "test", "--src"])
            .arg(&pair.a)
            .arg("--dest")
            .arg(&pair.b)
            .arg("--log-dir")
            .arg(&logs);
        run(command.args(flags).uid(65534).gid(65534).current_dir("/"))
    };
    let refused = sync(&[]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("not writable"), "{}", refused.stderr);
    assert_eq!(sync(&["--dry-run"]).code, Some(0));
}

#[test]
fn flags_come_from_the_environment_too() {
    let pair = Fixture::new();
    write(&pair.a, "file", "x", T0);
    let ran = run(binary()
        .env("HA_SYNC_SRC", &pair.a)
        .env("HA_SYNC_DEST", &pair.b)
        .env("HA_SYNC_PAIR", "test")
        .env("HA_SYNC_LOG_DIR", &pair.logs)
        .env("HA_SYNC_DRY_RUN", "true")
        .env("HA_SYNC_FORMAT", "json"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.summary()["dry_run"], true);
    assert_eq!(look(&pair.b).len(), 0);
}

#[test]
fn quiet_prints_nothing_and_verbose_every_operation() {
    let pair = Fixture::new();
    write(&pair.a, "dir/file", "content", T0);
    let verbose = pair.sync(&["--verbose"]);
    assert!(verbose.stdout.contains("create    dir/\n"), "{}", verbose.stdout);
    assert!(verbose.stdout.contains("create    dir/file  (7 B)\n"), "{}", verbose.stdout);
    write(&pair.a, "more", "x", T0);
    let quiet = pair.sync(&["--quiet"]);
    assert_eq!((quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()), (Some(0), "", ""));
    assert!(pair.b.join("more").exists());
}

#[test]
fn the_json_summary_holds_what_a_script_needs() {
    let pair = Fixture::new();
    write(&pair.a, "file", "content", T0);
    let ran = pair.sync(&["--format", "json", "--direction", "there"]);
    let summary = ran.summary();
    assert_eq!(ran.json().len(), 1);
    for (key, value) in
        [("type", "summary"), ("pair", "test"), ("direction", "there"), ("status", "success")]
    {
        assert_eq!(summary[key], value);
    }
    assert_eq!((&summary["exit_code"], &summary["dry_run"]), (&0.into(), &false.into()));
    assert_eq!(summary["counts"]["copied_bytes"], 7);
    assert!(std::path::Path::new(summary["opslog"].as_str().unwrap()).exists());
}

#[test]
fn nobody_reading_the_output_is_no_failure() {
    let pair = Fixture::new();
    for index in 0..2000 {
        write(&pair.a, format!("file-{index}"), "x", T0);
    }
    let mut command = pair.command();
    command.args(["--verbose"]).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(look(&pair.b).len(), 2000);
}

#[test]
fn a_log_directory_that_cannot_be_made_is_refused_and_the_default_falls_back_to_the_users() {
    let pair = Fixture::new();
    fs::write(pair.scratch.path().join("file"), "x").unwrap();
    let mut command = pair.command_between(&pair.a, &pair.b);
    let refused = run(command.arg("--dry-run").env("HA_SYNC_LOG_DIR", "unused"));
    assert_eq!(refused.code, Some(0), "a flag goes before the environment: {}", refused.stderr);
    let in_a_file = pair.scratch.path().join("file/logs");
    let ran = run(binary()
        .args(["--pair", "test", "--src"])
        .arg(&pair.a)
        .arg("--dest")
        .arg(&pair.b)
        .arg("--log-dir")
        .arg(in_a_file));
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("--log-dir"), "{}", ran.stderr);
}

#[test]
fn a_folder_of_the_users_inside_a_tree_cannot_become_the_log_directory() {
    let mut pair = Fixture::new();
    write(&pair.a, "photos/mine.jpg", "x", T0);
    pair.logs = pair.a.join("photos");
    let refused = pair.sync(&[]);
    assert!(
        refused.code == Some(2) && refused.stderr.contains("holds files of other kinds"),
        "{}",
        refused.stderr
    );
    assert_eq!(look(&pair.a).len(), 2);
}

#[test]
fn output_that_cannot_be_written_is_told_and_is_no_success() {
    let pair = Fixture::new();
    write(&pair.a, "file", "x", T0);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = pair.command();
    let output = command
        .arg("--dry-run")
        .stdout(full)
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8(output.stderr).unwrap().contains("not complete"));
}

#[test]
fn quiet_still_names_what_failed() {
    let pair = Fixture::new();
    fs::create_dir(pair.a.join("both")).unwrap();
    write(&pair.b, "both", "x", T0);
    let ran = pair.sync(&["--quiet"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.contains("conflict  both: a directory at the source"), "{}", ran.stderr);
}

#[test]
fn who_only_looks_makes_no_log_directory_of_a_mistyped_one() {
    let pair = Fixture::new();
    write(&pair.a, "mine", "x", T0);
    let missing = pair.scratch.path().join("missing");
    for words in [&["history"][..], &["flush"], &["prune", "--older-than", "1d"]] {
        for folder in [&missing, &pair.a] {
            let ran = run(binary().args(words).arg("--log-dir").arg(folder));
            assert_eq!(ran.code, Some(2), "{words:?}: {}", ran.stderr);
            assert!(ran.stderr.contains("the log directory"), "{}", ran.stderr);
        }
    }
    assert!(!missing.exists());
    assert_eq!(look(&pair.a).len(), 1);
}

#[test]
fn a_misspelt_variable_is_told_of_and_what_it_holds_is_not() {
    let pair = Fixture::new();
    let ran = run(pair.command().env("HA_SYNC_DB_DNS", "user:hunter2@tcp(db:3306)/audit"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("HA_SYNC_DB_DNS: did you mean HA_SYNC_DB_DSN?"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
}

#[test]
fn the_manual_page_has_the_sections_of_one() {
    let page = run(binary().arg("man")).stdout;
    for section in ["SYNOPSIS", "OPTIONS", "COMMANDS", "ENVIRONMENT", "\"EXIT STATUS\"", "EXAMPLES"]
    {
        assert!(page.contains(&format!(".SH {section}\n")), "{section} in:\n{page}");
    }
    let synopsis = page.split(".SH SYNOPSIS").nth(1).unwrap().lines().nth(1).unwrap();
    let plain =
        synopsis.replace("\\fB", "").replace("\\fI", "").replace("\\fR", "").replace('\\', "");
    assert_eq!(plain, "ha-sync --src DIR --dest DIR --pair NAME [options]");
}
