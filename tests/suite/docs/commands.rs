//! Commands that the pages show.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Block, blocks, pages, project, tagged};
use crate::deploy::{Thing, objects};
use crate::fixture::*;

/// The blocks of a page are one session. It has a home of its own, the built programs come first in
/// its path, and an empty folder hides the system's log folder.
fn run_session(page: &Path) {
    let session: Vec<Block> = blocks(page).into_iter().filter(|block| block.tag == "sh").collect();
    if session.is_empty() {
        return;
    }
    let scratch = tempfile::Builder::new().prefix("ha-sync-docs-").tempdir().unwrap();
    let (home, bin) = (scratch.path().join("home"), scratch.path().join("bin"));
    fs::create_dir_all(&home).unwrap();
    fs::create_dir_all(&bin).unwrap();
    for (program, name) in [
        (env!("CARGO_BIN_EXE_ha-sync"), "ha-sync"),
        (env!("CARGO_BIN_EXE_ha-sync-ui"), "ha-sync-ui"),
    ] {
        std::os::unix::fs::symlink(program, bin.join(name)).unwrap();
    }
    let script: String =
        session.iter().map(|block| format!(": {}\n{}", block.place, block.text)).collect();
    let inside = "mount -t tmpfs none /var/log && exec bash -euxo pipefail -c \"$1\"";
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", inside, "sh", &script])
        .env_clear()
        .current_dir(&home)
        .env("HOME", &home);
    command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", bin.display()));
    let ran = run(&mut command);
    assert_eq!(ran.code, Some(0), "{}\n{}\n{}", page.display(), ran.stdout, ran.stderr);
}

#[test]
fn every_command_that_needs_nothing_else_runs() {
    let pages = pages();
    let sessions =
        pages.iter().flat_map(|page| blocks(page)).filter(|block| block.tag == "sh").count();
    assert!(sessions >= 5, "there are only {sessions} blocks to run");
    pages.iter().for_each(|page| run_session(page));
}

#[test]
fn commands_that_need_more_are_at_least_commands() {
    for block in ["sh cluster", "sh server", "sh project"].into_iter().flat_map(tagged) {
        let ran = run(Command::new("bash").args(["-n", "-c", &block.text]));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", block.place);
    }
}

/// Names that are in none of the manifests: they are made by hand, by the commands themselves, or
/// by the runs (the Leases).
fn names_beside_the_manifests(things: &[Thing]) -> BTreeSet<String> {
    let by_hand = ["ha-sync-db-secret", "ha-sync-ui-db-secret"].map(str::to_owned);
    let made = tagged("sh cluster").into_iter().flat_map(|block| {
        let names = block
            .text
            .split("create job ")
            .skip(1)
            .filter_map(|rest| rest.split_whitespace().next());
        names.map(str::to_owned).collect::<Vec<_>>()
    });
    let pairs =
        things.iter().filter_map(|thing| thing.0["metadata"]["labels"]["ha-sync/pair"].as_str());
    pairs.map(|pair| format!("ha-sync-{pair}")).chain(made).chain(by_hand).collect()
}

/// A name that no manifest has is a name that was changed.
#[test]
fn commands_for_the_cluster_name_what_is_in_the_manifests() {
    let things = objects();
    let mut known = names_beside_the_manifests(&things);
    known.extend(things.iter().map(|thing| thing.name().to_owned()));
    let is_in_a_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '$';
    for block in tagged("sh cluster") {
        for word in block.text.split(|c| !is_in_a_name(c)) {
            let is_ours = ["ha-sync-", "pv-", "pvc-"].iter().any(|start| word.starts_with(start));
            // What a variable stands for is left open.
            let is_known = match word.split_once('$') {
                Some((start, _)) => known.iter().any(|name| name.starts_with(start)),
                None => known.contains(word),
            };
            assert!(!is_ours || is_known, "{}: nothing is called {word}", block.place);
        }
    }
}

/// Scripts and files of the checkout that are called or named.
#[test]
fn commands_for_the_checkout_name_files_that_are_there() {
    for block in tagged("sh project") {
        for word in block
            .text
            .split_whitespace()
            .filter(|word| word.starts_with("scripts/") || word.starts_with("deploy/"))
        {
            assert!(project().join(word).exists(), "{}: there is no {word}", block.place);
        }
    }
}
