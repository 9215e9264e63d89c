//! What is carried over, and what the engine reports about it.

use std::fs;
use std::os::unix::fs::symlink;

use ha_sync::model::{Cause, Change, Verdict};
use ha_sync::pipeline::{Checksum, Options, Policy, Selection};

use crate::trees::{Pair, at, look, options, write};

#[test]
fn what_the_source_has_arrives_and_the_next_run_finds_it_equal() {
    let pair = Pair::new();
    write(&pair.a, "one", "1", at(0));
    write(&pair.a, "dir/sub/two", "22", at(5));
    symlink("one", pair.a.join("link")).unwrap();
    fs::create_dir(pair.a.join("empty")).unwrap();

    let first = pair.run(&options());
    first.synced.result.as_ref().unwrap();
    assert_eq!(look(&pair.b), look(&pair.a));
    let created = ["dir", "dir/sub", "dir/sub/two", "empty", "link", "one"];
    assert_eq!(first.changes(), created.map(|path| (Change::Create, path.to_owned())));
    assert_eq!(first.equal(), ["dir/sub/two", "link", "one"], "they have come to be equal");
    assert_eq!(first.heard.copied_bytes, 3);

    let second = pair.run(&options());
    assert_eq!((second.changes(), second.synced.counts.in_sync), (vec![], 3));
    assert_eq!(second.equal(), first.equal(), "and are found equal, each once");
}

#[test]
fn the_newer_version_wins_whichever_direction_runs_first() {
    for back_first in [false, true] {
        let pair = Pair::new();
        write(&pair.a, "newer-at-a", "new", at(100));
        write(&pair.b, "newer-at-a", "older", at(0));
        write(&pair.a, "newer-at-b", "older", at(0));
        write(&pair.b, "newer-at-b", "new", at(100));
        let (first, second) = match back_first {
            false => (pair.run(&options()), pair.run_back(&options())),
            true => (pair.run_back(&options()), pair.run(&options())),
        };
        for ran in [&first, &second] {
            assert_eq!((ran.synced.counts.updated, ran.synced.counts.failed), (1, 0));
        }
        assert_eq!(first.synced.counts.newer_at_dest, 1, "the opposite direction carries it");
        assert_eq!(look(&pair.a), look(&pair.b));
        let contents =
            ["newer-at-a", "newer-at-b"].map(|name| fs::read_to_string(pair.a.join(name)).unwrap());
        assert_eq!(contents, ["new", "new"]);
    }
}

#[test]
fn equal_contents_of_another_mtime_get_the_mtime_and_no_data() {
    let pair = Pair::new();
    write(&pair.a, "file", "same", at(100));
    write(&pair.b, "file", "same", at(0));
    let ran = pair.run(&options());
    let counts = &ran.synced.counts;
    assert_eq!((counts.updated, counts.updated_metadata, counts.copied_bytes), (1, 1, 0));
    assert_eq!(ran.equal(), ["file"]);
    assert_eq!(look(&pair.a), look(&pair.b));
}

#[test]
fn contents_of_one_size_and_mtime_are_compared_only_where_that_is_asked_for() {
    let pair = Pair::new();
    write(&pair.a, "file", "left", at(1));
    write(&pair.b, "file", "rite", at(0));
    let trusting = pair.run(&options());
    assert_eq!((trusting.changes(), trusting.synced.counts.close_mtimes), (vec![], 1));
    let always =
        Options { policy: Policy { checksum: Checksum::Always, ..options().policy }, ..options() };
    assert_eq!(pair.run_back(&always).synced.counts.newer_at_dest, 1, "the exact mtime decides");
    assert_eq!(pair.run(&always).synced.counts.updated, 1);
    assert_eq!(fs::read_to_string(pair.b.join("file")).unwrap(), "left");
}

#[test]
fn a_directory_against_a_file_is_a_conflict_and_both_stay() {
    let pair = Pair::new();
    write(&pair.a, "name/below", "x", at(100));
    write(&pair.b, "name", "y", at(0));
    let before = (look(&pair.a), look(&pair.b));
    let ran = pair.run(&options());
    assert_eq!((ran.synced.counts.conflicts, ran.equal()), (1, vec![]));
    let causes: Vec<_> = (ran.heard.outcomes.iter())
        .map(|outcome| match &outcome.verdict {
            Verdict::Failed(failure) => failure.cause,
            verdict => panic!("{verdict:?}"),
        })
        .collect();
    assert_eq!(causes, [Cause::Conflict]);
    assert_eq!((look(&pair.a), look(&pair.b)), before);
}

#[test]
fn a_dry_run_plans_what_the_run_does_and_touches_nothing() {
    let pair = Pair::new();
    write(&pair.a, "dir/new", "1", at(0));
    write(&pair.a, "changed", "22", at(100));
    write(&pair.b, "changed", "1", at(0));
    write(&pair.a, "same", "1", at(0));
    write(&pair.b, "same", "1", at(0));
    let before = look(&pair.b);
    let dry = pair.run(&Options { dry_run: true, ..options() });
    assert_eq!(look(&pair.b), before);
    assert_eq!(dry.equal(), ["same"], "what is planned is not equal yet");
    let real = pair.run(&options());
    assert_eq!(dry.changes(), real.changes());
    assert_eq!(real.equal(), ["changed", "dir/new", "same"]);
}

#[test]
fn what_is_excluded_is_neither_carried_nor_told_of() {
    let pair = Pair::new();
    write(&pair.a, "keep", "1", at(0));
    write(&pair.a, "cache/big", "1", at(0));
    let mut globs = Selection::builder();
    globs.add_glob("/cache/", true).unwrap();
    let selection = globs.build().unwrap();
    let ran = pair.run(&Options { selection, ..options() });
    assert_eq!((ran.equal(), ran.synced.counts.excluded), (vec!["keep".to_owned()], 1));
    assert!(!pair.b.join("cache").exists());
}
