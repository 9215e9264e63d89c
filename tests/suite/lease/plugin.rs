//! A kubeconfig that names a program to prove who one is.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::lab::{Job, Lab};
use crate::fixture::*;

/// A job whose kubeconfig names a program that does this first, and where it notes its process.
fn job_with_plugin<'l>(lab: &'l Lab, first: &str) -> (Job<'l>, PathBuf) {
    let (plugin, begun) = (lab.dir.path().join("prove"), lab.dir.path().join("begun"));
    let credential = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"ha-sync"}}"#;
    let script =
        format!("#!/bin/sh\necho $$ >>{}\n{first}\necho '{credential}'\n", begun.display());
    fs::write(&plugin, script).unwrap();
    chmod(&plugin, 0o755);
    let user = serde_json::json!({
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": plugin, "interactiveMode": "Never",
        },
    });
    lab.write_kubeconfig_of("plugin", &user);
    let mut job = lab.job();
    job.kubeconfig = lab.dir.path().join("plugin.kubeconfig");
    write(&job.trees.a, "file", "x", T0);
    (job, begun)
}

/// The processes that it was begun as, which are ended.
fn end(begun: &PathBuf) -> usize {
    let begun: Vec<i32> =
        fs::read_to_string(begun).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    for plugin in &begun {
        kill_process(Pid::from_raw(*plugin).unwrap(), Signal::KILL).unwrap();
    }
    begun.len()
}

#[test]
fn a_plugin_that_hangs_is_named_and_not_waited_for() {
    let lab = Lab::fake();
    let (job, begun) = job_with_plugin(&lab, "exec sleep 600");
    let ran = run(&mut job.command(3));
    assert_eq!(end(&begun), 1, "it is begun once, and waited for again and again");
    assert_eq!(ran.code, Some(5), "{}{}", ran.stdout, ran.stderr);
    let names = |said: &str| {
        said.contains("the credential plugin /") && said.contains("/prove, which the kube")
    };
    assert!(names(&ran.stderr) && ran.stderr.contains("Nothing was touched"), "{}", ran.stderr);
    assert!(look(&job.trees.b).is_empty());

    fs::remove_file(&begun).unwrap();
    let asked = Instant::now();
    let unlock = job.unlock(&["--yes"]);
    end(&begun);
    assert!(unlock.code == Some(5) && names(&unlock.stderr), "{}{}", unlock.stdout, unlock.stderr);
    assert!(asked.elapsed() < Duration::from_secs(60), "it ends before the plugin does");
}

#[test]
fn a_plugin_that_takes_longer_than_a_call_may_is_waited_for() {
    let lab = Lab::fake();
    let (job, begun) = job_with_plugin(&lab, "sleep 2");
    let ran = run(&mut job.command(3));
    assert_eq!((ran.code, job.lease()), (Some(0), None), "{}{}", ran.stdout, ran.stderr);
    // The library asks it up to three times for one client.
    let begun = fs::read_to_string(begun).unwrap().lines().count();
    assert!(begun <= 3, "each call waits on for what the one before has begun: {begun}");
}
