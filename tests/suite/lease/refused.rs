//! What can't be: rights that are missing, namespaces that are not there.

use super::lab::Lab;
use crate::fixture::*;

pub fn what_may_not_be_done_is_named_with_the_rule_that_is_missing(lab: &Lab) {
    let mut job = lab.job();
    job.kubeconfig = lab.account("stranger", false);
    write(&job.trees.a, "file", "x", T0);
    let ran = run(&mut job.command(3));
    assert_eq!(ran.code, Some(2), "{}{}", ran.stdout, ran.stderr);
    for part in [
        "may not get it",
        &format!("ha-sync-{}", job.pair),
        "infrastructure",
        "verbs: [create, get, update, delete]",
        "deploy/rbac.yaml",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert!(look(&job.trees.b).is_empty() && job.trees.log_files(".jsonl").is_empty(), "nothing was touched");
}

pub fn a_namespace_that_is_not_there_is_named(lab: &Lab) {
    let mut job = lab.job();
    // Rights end at a namespace: only the administrator hears that it is not there.
    job.kubeconfig = lab.dir.path().join("admin.kubeconfig");
    let ran = run(job.command(3).args(["--namespace", "nowhere"]));
    assert_eq!(ran.code, Some(2), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("the namespace nowhere cannot be used"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--namespace"), "{}", ran.stderr);
}
