//! An API server that is late, overloaded, out of reach or killed, and answers that are lost.

use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use super::fake::Fault;
use super::lab::{Job, Lab};
use crate::fixture::*;

fn fake(lab: &Lab) -> &super::fake::Fake {
    lab.fake.as_ref().unwrap()
}

fn terminate(running: Child) -> Ran {
    kill_process(traced(&running), Signal::TERM).unwrap();
    finish(running)
}

fn wait_for_renewals(job: &Job<'_>, count: usize) {
    let mut seen = vec![job.renewed()];
    wait_until("it is renewed", || {
        let now = job.renewed();
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        seen.len() > count
    });
}

#[test]
fn a_lost_answer_when_it_is_made_or_taken_costs_a_moment() {
    let lab = Lab::fake();
    let job = lab.job();
    write(&job.trees.a, "file", "x", T0);
    fake(&lab).fail_next("POST", Fault::LostAnswer);
    fake(&lab).fail_next("GET", Fault::Status(503));
    fake(&lab).fail_next("GET", Fault::Status(429));
    let ran = run(&mut job.command(3));
    assert_eq!((ran.code, job.lease()), (Some(0), None), "{}{}", ran.stdout, ran.stderr);
    assert!(fake(&lab).has_failed() && ran.stderr.is_empty(), "{}", ran.stderr);
}

#[test]
fn a_lost_answer_to_the_release_leaves_nothing_behind() {
    let lab = Lab::fake();
    for fault in [Fault::LostAnswer, Fault::Status(500)] {
        let job = lab.job();
        fake(&lab).fail_next("DELETE", fault);
        let ran = run(&mut job.command(3));
        assert_eq!((ran.code, job.lease()), (Some(0), None), "{}{}", ran.stdout, ran.stderr);
        assert!(fake(&lab).has_failed() && ran.stderr.is_empty(), "{}", ran.stderr);
    }
}

#[test]
fn renewals_whose_answers_are_lost_late_or_refused_for_a_moment_are_survived_in_silence() {
    let lab = Lab::fake();
    let job = lab.job();
    let running = job.slow_holder(6);
    let faults = [
        Fault::LostAnswer,
        Fault::Status(500),
        Fault::Late(Duration::from_millis(700)),
        Fault::Status(429),
        Fault::Status(409),
    ];
    for fault in faults {
        fake(&lab).fail_next("PUT", fault);
        wait_until("it has happened", || fake(&lab).has_failed());
        wait_for_renewals(&job, 1);
    }
    let ran = terminate(running);
    assert_eq!((ran.code, job.lease()), (Some(143), None), "{}", ran.stderr);
    assert!(!ran.stderr.contains("WARN") && !ran.stderr.contains("lost"), "{}", ran.stderr);
}

#[test]
fn an_outage_that_outlasts_the_lease_ends_the_run() {
    let lab = Lab::fake();
    let job = lab.job();
    let running = job.slow_holder(3);
    fake(&lab).fail_all(Some(Fault::Status(503)));
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    let said = job.footer()["error_message"].as_str().unwrap().to_owned();
    assert!(said.contains("ran out before it could be renewed") && said.contains("503"), "{said}");
    assert!(job.lease().is_some(), "it is left alone");
}

#[test]
fn without_an_api_server_nothing_is_touched() {
    let lab = Lab::fake();
    let job = lab.job();
    write(&job.trees.a, "file", "x", T0);
    fake(&lab).fail_all(Some(Fault::Status(503)));
    let ran = run(job.command(3).args(["--format", "json"]));
    assert_eq!((ran.code, &ran.summary()["exit_code"]), (Some(5), &5.into()), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("no Lease can be had") && ran.stderr.contains("Nothing was touched"),
        "{}",
        ran.stderr
    );
    assert!(look(&job.trees.b).is_empty() && job.trees.log_files(".jsonl").is_empty());
    // The verbs that were used, at last: nothing but looking.
    assert!(fake(&lab).inner.lock().unwrap().requests.iter().all(|method| method == "GET"));
}

#[test]
fn a_signal_while_it_is_asked_for_ends_that_and_leaves_no_lease() {
    let lab = Lab::fake();
    let job = lab.job();
    fake(&lab).fail_next("POST", Fault::Late(Duration::from_millis(500)));
    let child = job.command(3).stdout(Stdio::piped()).spawn().unwrap();
    wait_until("it is asked for", || fake(&lab).has_failed());
    kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(143));
    assert_eq!(job.lease(), None);
}

#[test]
fn four_verbs_are_all_it_uses() {
    let lab = Lab::fake();
    let job = lab.job();
    let running = job.slow_holder(3);
    wait_for_renewals(&job, 1);
    terminate(running);
    let mut methods = fake(&lab).inner.lock().unwrap().requests.clone();
    methods.dedup();
    assert_eq!(methods, ["GET", "POST", "PUT", "DELETE"]);
}

#[test]
fn a_real_api_server_that_is_killed_and_started_again_is_survived() {
    let lab = Lab::real();
    let job = lab.job();
    let running = job.slow_holder(60);
    let before = job.renewed();
    lab.stop_server();
    let lost = lab.job();
    write(&lost.trees.a, "file", "x", T0);
    let ran = run(&mut lost.command(6));
    assert_eq!(ran.code, Some(5), "nobody answers: {}{}", ran.stdout, ran.stderr);
    assert!(look(&lost.trees.b).is_empty());
    lab.start_server();
    wait_until("it is renewed after that", || job.renewed() != before);
    let ran = terminate(running);
    assert_eq!((ran.code, job.lease()), (Some(143), None), "{}", ran.stderr);
    assert!(!ran.stderr.contains("lost"), "{}", ran.stderr);
}
