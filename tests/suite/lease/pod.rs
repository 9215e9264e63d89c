//! Inside a pod: the service account's files and variables, and no flag at all.

use std::fs;
use std::process::Command;

use super::lab::Lab;
use crate::fixture::*;

/// Only the real server speaks TLS, as every cluster does.
pub fn a_pod_takes_a_lease_by_itself(lab: &Lab) {
    let job = lab.job();
    write(&job.trees.a, "file", "x", T0);
    let port = fs::read_to_string(lab.dir.path().join("ports")).unwrap();
    let mut command = Command::new("env");
    command.args(["KUBERNETES_SERVICE_HOST=127.0.0.1", "POD_NAME=pod-x", "JOB_NAME=job-x"]);
    command.arg(format!("KUBERNETES_SERVICE_PORT={}", port.split(' ').next().unwrap()));
    command
        .arg(env!("CARGO_BIN_EXE_ha-sync"))
        .arg("--src")
        .arg(&job.trees.a)
        .arg("--dest")
        .arg(&job.trees.b);
    command.arg("--log-dir").arg(&job.trees.logs).args([
        "--pair",
        &job.pair,
        "--db-dsn=none",
        "--if-locked=fail",
    ]);
    let account = "account=/run/secrets/kubernetes.io/serviceaccount && mount -t tmpfs none /run && mkdir -p $account && \
                   cp \"$1\" $account/token && cp \"$2\" $account/ca.crt && printf infrastructure >$account/namespace";
    let (token, ca) =
        (lab.dir.path().join("ha-sync.token"), lab.dir.path().join("certs/apiserver.crt"));
    let in_a_pod = || run(&mut in_a_namespace(account, &[&token, &ca], &command));

    let ran = in_a_pod();
    assert_eq!((ran.code, job.lease()), (Some(0), None), "{}{}", ran.stdout, ran.stderr);
    assert!(job.trees.b.join("file").exists());
    job.held_by_somebody();
    let ran = in_a_pod();
    assert!(
        ran.code == Some(75) && ran.stdout.contains("locked by somebody"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
}
