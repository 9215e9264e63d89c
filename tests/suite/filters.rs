//! What globs and a minimum age leave out.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::fixture::*;

fn names(pair: &Fixture) -> Vec<String> {
    look(&pair.b).into_keys().map(|path| String::from_utf8(path).unwrap()).collect()
}

#[test]
fn what_is_excluded_is_not_carried_and_not_deleted_on_either_side() {
    let pair = Fixture::new();
    for name in ["a.tmp", "sub/b.tmp", "kept", "cache/x", "sub/cache/y"] {
        write(&pair.a, name, "source", T0 + 100);
    }
    for name in ["old.tmp", "sub/old.tmp", "cache/old", "sub/gone", "kept"] {
        write(&pair.b, name, "dest", T0);
    }
    let counts = pair.counts(&["--delete-missing", "--exclude=*.tmp", "--exclude", "/cache/"]);
    // a.tmp, old.tmp, sub/b.tmp, sub/old.tmp, and the directory cache once.
    counts.expect(&[("excluded", 5), ("created", 2), ("updated", 1), ("deleted", 1)]);
    let expected =
        ["cache", "cache/old", "kept", "old.tmp", "sub", "sub/cache", "sub/cache/y", "sub/old.tmp"];
    assert_eq!(names(&pair), expected);
    assert_eq!(
        counts.get("source_entries") + counts.get("dest_entries"),
        4 + 3,
        "what is excluded does not count"
    );
}

#[test]
fn the_last_match_wins_in_the_order_given_over_all_three_flags() {
    let pair = Fixture::new();
    for name in ["a.log", "keep.log", "really.log", "other"] {
        write(&pair.a, name, "x", T0);
    }
    let file = pair.scratch.path().join("patterns");
    fs::write(&file, "\u{feff}# logs\n*.log\r\n\n!really.log\n").unwrap();
    let from = format!("--exclude-from={}", file.to_str().unwrap());
    let cases: [(&[&str], &[&str]); 5] = [
        (&["--exclude=*.log", "--include=keep.log"], &["keep.log", "other"]),
        (&["--include=keep.log", "--exclude=*.log"], &["other"]),
        (&[&from, "--include=keep.log"], &["keep.log", "other", "really.log"]),
        (&["--include=keep.log", &from], &["other", "really.log"]),
        (&[&from, "--exclude=really*", "--include", "a.log"], &["a.log", "other"]),
    ];
    for (flags, expected) in cases {
        for name in names(&pair) {
            fs::remove_file(pair.b.join(name)).unwrap();
        }
        pair.counts(flags);
        assert_eq!(names(&pair), expected, "{flags:?}");
    }
    let header = &pair.opslogs().pop().unwrap()[0];
    assert_eq!(
        header["options"]["filter"],
        serde_json::json!(["*.log", "!really.log", "really*", "!a.log"])
    );
}

#[test]
fn globs_come_from_the_environment_one_a_line_and_flags_come_after_them() {
    let pair = Fixture::new();
    for name in ["a.tmp", "b.bak", "c"] {
        write(&pair.a, name, "x", T0);
    }
    let sync = |variable: &str, flag: &str| {
        let ran =
            run(pair.command().env("HA_SYNC_EXCLUDE", variable).args([flag, "--format=json"]));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let names = names(&pair);
        names.iter().for_each(|name| fs::remove_file(pair.b.join(name)).unwrap());
        names
    };
    assert_eq!(sync("*.tmp\n*.bak", "--include=b.bak"), ["b.bak", "c"]);
    assert_eq!(sync("*.tmp\n", "--exclude=c"), ["b.bak"], "a typed glob adds to the variable");
    assert_eq!(sync("", "--exclude=c"), ["a.tmp", "b.bak"], "an empty variable is none");
}

#[test]
fn a_glob_that_is_none_is_refused_with_its_place() {
    let pair = Fixture::new();
    let file = pair.scratch.path().join("patterns");
    fs::write(&file, b"*.o\n[z-a]\n").unwrap();
    let binary_file = pair.scratch.path().join("binary");
    fs::write(&binary_file, b"fine\ncaf\xe9\n").unwrap();
    let missing_file = pair.scratch.path().join("none");
    let [from, binary, missing] =
        [&file, &binary_file, &missing_file].map(|path| path.to_str().unwrap());
    let cases: [(&str, &str, &[&str]); 6] = [
        ("--exclude", "{a", &["--exclude", "{a", "such as"]),
        ("--exclude", "", &["--exclude", "empty"]),
        ("--include", "[", &["--include"]),
        ("--exclude-from", missing, &["--exclude-from", "cannot be read", "none"]),
        ("--exclude-from", from, &["line 2", "[z-a]"]),
        ("--exclude-from", binary, &["line 2", "UTF-8"]),
    ];
    for (flag, value, words) in cases {
        let ran = pair.sync(&[flag, value]);
        assert_eq!(ran.code, Some(2), "{flag} {value}: {}", ran.stderr);
        for word in words {
            assert!(
                ran.stderr.contains(word),
                "{flag} {value} does not say {word:?}: {}",
                ran.stderr
            );
        }
    }
}

#[test]
fn an_excluded_name_that_cannot_be_read_is_no_failure() {
    let pair = Fixture::new();
    write(&pair.a, "closed/x", "x", T0);
    write(&pair.a, "fine", "x", T0);
    chmod(&pair.a.join("closed"), 0o000);
    let ran = as_nobody(&pair, &["--exclude=closed", "--format=json"]);
    chmod(&pair.a.join("closed"), 0o755);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    Counts(ran.summary()).expect(&[("created", 1), ("excluded", 1)]);
}

#[test]
fn files_that_changed_less_than_the_minimum_age_ago_are_left_alone_on_both_sides() {
    let pair = Fixture::new();
    let now =
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let ages = [
        ("seconds", 5),
        ("minutes", 1800),
        ("hours", 7200),
        ("a-bit-ahead", -600),
        ("far-ahead", -90_000_000),
    ];
    for (name, age) in ages {
        write(&pair.a, name, "x", now - age);
        write(&pair.b, format!("dest-{name}"), "x", now - age);
        write(&pair.a, format!("over-{name}"), "the source's version", now + 100_000_000);
        write(&pair.b, format!("over-{name}"), "x", now - age);
    }
    symlink(&pair.a, "young-link", "x", now - 5);
    let counts = pair.counts(&["--min-age=1h", "--delete-missing"]);
    // Three of five ages are young, for each of new, gone and replaced; and the symlink.
    counts.expect(&[("too_young", 3 * 3 + 1), ("created", 2), ("deleted", 2), ("updated", 2)]);
    for (name, is_old) in
        [("seconds", false), ("hours", true), ("far-ahead", true), ("a-bit-ahead", false)]
    {
        assert_eq!(pair.b.join(name).exists(), is_old, "{name}");
        assert_eq!(!pair.b.join(format!("dest-{name}")).exists(), is_old, "{name}");
    }
    for bad in ["soon", "-5s", "1 month"] {
        let ran = pair.sync(&[&format!("--min-age={bad}")]);
        assert!(ran.code == Some(2) && ran.stderr.contains("--min-age"), "{}", ran.stderr);
    }
}
