//! `--bwlimit`: what is read in a second, by all workers together.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::*;

#[test]
fn all_workers_together_read_no_faster_than_allowed() {
    for hash in ["--hash-copies=true", "--hash-copies=false"] {
        let pair = Fixture::new();
        for index in 0..8 {
            write(&pair.a, format!("file-{index}"), vec![index; 512 << 10], T0);
        }
        let begun = Instant::now();
        pair.counts(&["--bwlimit=4M", "--workers=8", hash]).expect(&[("created", 8)]);
        // A quarter of a second may have been saved up.
        assert!(begun.elapsed() >= Duration::from_millis(740), "{hash}: {:?}", begun.elapsed());
        assert_same(&look(&pair.a), &look(&pair.b));
    }
}

#[test]
fn comparing_counts_too() {
    let pair = Fixture::new();
    write(&pair.a, "file", vec![1; 2 << 20], T0 + 100);
    write(&pair.b, "file", vec![1; 2 << 20], T0);
    let begun = Instant::now();
    pair.counts(&["--bwlimit=4M"]).expect(&[("updated", 1), ("updated_metadata", 1)]);
    assert!(begun.elapsed() >= Duration::from_millis(740), "{:?}", begun.elapsed());
}

#[test]
fn a_worker_that_waits_for_its_turn_hears_that_the_run_ends() {
    let pair = Fixture::new();
    write(&pair.a, "file", vec![1; 4 << 20], T0);
    let child = pair.command().args(["--bwlimit=1K"]).spawn().unwrap();
    wait_until("a temporary appears", || !temporaries(&pair.b).is_empty());
    let asked = Instant::now();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(143));
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(temporaries(&pair.b), Vec::<String>::new());
}
