//! What a file costs in calls to the server. One call too many is a round trip for each of millions
//! of files.
//!
//! The reason for each is in `docs/performance.md`.

use std::fs;
use std::path::Path;

use super::lab::*;
use crate::fixture::*;

const DIRS: usize = 6;
const FILES: usize = 25;

/// Calls for each file, of one run.
fn calls(pair: &Fixture, flags: &[&str]) -> (f64, Counts) {
    let total = || shell("nfs_total").trim().parse::<f64>().unwrap();
    shell("nfs_remount"); // Nothing is cached.
    let before = total();
    let counts = pair.counts(flags);
    ((total() - before) / (DIRS * FILES) as f64, counts)
}

#[test]
fn no_file_costs_more_calls_than_the_documentation_says() {
    in_the_lab(|pair| {
        let paths: Vec<_> =
            (0..DIRS * FILES).map(|index| format!("d{}/f{index}", index % DIRS)).collect();
        for path in &paths {
            write(SERVER_A.as_ref(), path, vec![1; 2000], T0);
        }
        let (first, counts) = calls(&pair, &[]);
        counts.expect(&[("created", (paths.len() + DIRS) as u64)]);
        let (nothing, counts) = calls(&pair, &[]);
        counts.expect(&[]);
        for path in &paths {
            write(SERVER_A.as_ref(), path, vec![2; 2001], T0 + 100);
        }
        let (update, counts) = calls(&pair, &[]);
        counts.expect(&[("updated", paths.len() as u64)]);
        for path in &paths {
            date(&Path::new(SERVER_A).join(path), T0 + 200, 0);
        }
        let (touched, counts) = calls(&pair, &[]);
        counts.expect(&[("updated", paths.len() as u64), ("updated_metadata", paths.len() as u64)]);
        for path in &paths {
            fs::remove_file(format!("/srv/a/{path}")).unwrap();
        }
        (0..DIRS).for_each(|index| fs::remove_dir(format!("/srv/a/d{index}")).unwrap());
        write(SERVER_A.as_ref(), "kept", "x", T0);
        let (deleted, counts) = calls(&pair, &["--delete-missing", "--max-delete", "none"]);
        counts.expect(&[("created", 1), ("deleted", (paths.len() + DIRS) as u64)]);
        // What a file costs by itself, a directory's share, and what a run costs once.
        assert!(first <= 12.0 + 0.6, "first copy: {first}");
        assert!(nothing <= 0.24 + 0.15, "nothing to do: {nothing}");
        assert!(update <= 11.0 + 0.6, "update: {update}");
        assert!(touched <= 10.0 + 0.6, "only touched: {touched}");
        assert!(deleted <= 3.0 + 1.2, "delete: {deleted}");
    });
}
