//! What can't be: rights that are missing, namespaces that are not there.

use std::process::Command;

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
    assert!(
        look(&job.trees.b).is_empty() && job.trees.log_files(".jsonl").is_empty(),
        "nothing was touched"
    );
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

#[test]
fn a_proxy_is_refused_in_words_that_tell_what_to_do() {
    let lab = Lab::fake();
    let job = lab.job();
    let usual = job.command(3);
    let mut command = Command::new("env");
    // In place of what takes such variables away.
    let rest = usual.get_args().skip_while(|arg| !arg.to_string_lossy().starts_with("KUBECONFIG="));
    command.arg("HTTPS_PROXY=http://user:secret@proxy.invalid:3128").args(rest);
    let ran = run(&mut command);
    assert_eq!(ran.code, Some(2), "{}{}", ran.stdout, ran.stderr);
    for part in ["the proxy proxy.invalid", "Unset HTTPS_PROXY", "proxy-url"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
}
