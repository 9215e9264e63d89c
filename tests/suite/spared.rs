//! Candidates for deletion that are spared, and what that means for the directories above them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::fixture::*;

const DELETE: [&str; 3] = ["--delete-missing", "--format=json", "--verbose"];

/// A pair in sync. The name `taken` is a directory at dest and a file at the source, and dest still
/// has the former name of that file.
fn with_a_former_name(former: &str) -> Fixture {
    let pair = Fixture::new();
    for root in [&pair.a, &pair.b] {
        write(root, "kept", "x", T0);
    }
    write(&pair.a, "taken", "content", T0 + 50);
    fs::create_dir(pair.b.join("taken")).unwrap();
    write(&pair.b, former, "content", T0 + 50);
    pair
}

/// Paths that are deleted, or would be, and what is spared with its reason.
fn told(ran: &Ran) -> (BTreeSet<String>, BTreeSet<String>) {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let deleted = ran.json().into_iter().filter(|row| row["operation"] == "delete");
    let summary = ran.summary();
    let spared = summary["spared"].as_array().unwrap().iter().map(text);
    let spared = spared.map(|line| line.strip_prefix("spared    ").unwrap().to_owned()).collect();
    (deleted.map(|row| text(&row["filepath"])).collect(), spared)
}

/// A dry run says what the real run then does; both are returned by their words.
fn dry_and_real(
    pair: &Fixture,
    run_it: impl Fn(&[&str]) -> Ran,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let before = (look(&pair.a), look(&pair.b));
    let [dry, real] = [true, false].map(|is_dry| {
        let ran = run_it(&[&DELETE[..], if is_dry { &["--dry-run"] } else { &[] }].concat());
        assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
        if is_dry {
            assert_same(&look(&pair.b), &before.1);
        }
        (told(&ran), ["spared", "deleted", "failed"].map(|count| Counts(ran.summary()).get(count)))
    });
    assert_eq!(dry, real);
    assert_same(&look(&pair.a), &before.0);
    real.0
}

fn set<const N: usize>(texts: [&str; N]) -> BTreeSet<String> {
    texts.map(str::to_owned).into()
}

const FORMER: &str = "it may be the former name of a file that could not be carried over";

#[test]
fn directories_above_what_is_spared_stay_in_the_plan_too_and_keep_their_mtimes() {
    let pair = with_a_former_name("old/sub/former");
    write(&pair.b, "old/sub/gone", "x", T0);
    write(&pair.b, "old/gone/gone", "x", T0);
    for dir in ["old/sub", "old"] {
        date(&pair.b.join(dir), T0 + 7, 0);
    }
    let (deleted, spared) = dry_and_real(&pair, |flags| pair.sync(flags));
    assert_eq!(deleted, set(["old/gone", "old/gone/gone", "old/sub/gone"]));
    let expected = [
        &format!("old/sub/former: {FORMER}"),
        "old/sub: there is something in it",
        "old: there is something in it",
    ];
    assert_eq!(spared, set(expected));
    let left = look(&pair.b);
    for dir in ["old", "old/sub"] {
        assert_eq!(left[dir.as_bytes()].mtime, (T0 + 7, 0), "{dir}");
    }
}

/// What could have been moved below the directory that is in conflict.
#[test]
fn the_former_name_of_a_file_below_a_conflict_stays() {
    type Take = fn(&Path);
    let taken: [(&str, Take); 3] = [
        ("a file", |dest| drop(write(dest, "taken", "in the way", T0))),
        ("a symlink", |dest| drop(symlink(dest, "taken", "kept", T0))),
        ("a fifo", |dest| {
            let path = dest.join("taken");
            rustix::fs::mknodat(
                rustix::fs::CWD,
                &path,
                rustix::fs::FileType::Fifo,
                0o644.into(),
                0,
            )
            .unwrap();
        }),
    ];
    for (what, take) in taken {
        let pair = Fixture::new();
        for root in [&pair.a, &pair.b] {
            write(root, "kept", "x", T0);
        }
        write(&pair.a, "taken/top", "content", T0 + 50);
        write(&pair.a, "taken/some/where/deep", "longer content", T0 + 60);
        write(&pair.a, "taken/some/thing.bak", "excluded", T0 + 70);
        take(&pair.b);
        write(&pair.b, "former-top", "content", T0 + 50);
        write(&pair.b, "former-deep", "longer content", T0 + 60);
        write(&pair.b, "former-of-what-takes-no-part", "excluded", T0 + 70);
        write(&pair.b, "gone", "content", T0);
        for dry in ["--dry-run=true", "--dry-run=false"] {
            let ran = pair.sync(&[&DELETE[..], &["--exclude=*.bak", dry]].concat());
            let (deleted, spared) = told(&ran);
            assert_eq!(
                deleted,
                set(["former-of-what-takes-no-part", "gone"]),
                "{what}: {}",
                ran.stdout
            );
            let expected = ["former-top", "former-deep"].map(|name| format!("{name}: {FORMER}"));
            assert_eq!(spared, expected.into(), "{what}: {}", ran.stdout);
        }
        // And when it is settled, what was moved goes over and the former names go.
        fs::remove_file(pair.b.join("taken")).unwrap();
        let counts = pair.counts(&["--delete-missing", "--exclude=*.bak"]);
        assert_eq!((counts.get("deleted"), counts.get("spared")), (2, 0), "{what}: {counts:?}");
        assert_eq!(
            fs::read(pair.b.join("taken/some/where/deep")).unwrap(),
            b"longer content",
            "{what}"
        );
    }
}

#[test]
fn the_former_name_of_a_file_below_a_directory_that_dest_keeps_closed_stays() {
    let pair = Fixture::new();
    for root in [&pair.a, &pair.b] {
        write(root, "closed/kept", "x", T0);
    }
    write(&pair.a, "closed/sub/moved", "content", T0 + 50);
    write(&pair.b, "former", "content", T0 + 50);
    write(&pair.b, "gone", "content", T0);
    chmod(&pair.b.join("closed"), 0o000);
    let ran = as_nobody(&pair, &DELETE);
    chmod(&pair.b.join("closed"), 0o755);
    let (deleted, spared) = told(&ran);
    assert_eq!(deleted, set(["gone"]), "{}", ran.stdout);
    assert_eq!(spared, set([&format!("former: {FORMER}")]), "{}", ran.stdout);
}
