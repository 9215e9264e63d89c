//! The lock that was meant, and whether this machine can have it.

use std::path::Path;
use std::time::Duration;

use super::error::{Checked, wrong};
use super::values::dns_label;
use crate::cli::{LockArg, LockArgs};
use crate::lock::{ApiAccess, LeaseChoice, LockChoice, SHORTEST};

/// The directory in which a pod finds its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The namespace of the Leases, unless the flag or the pod names another.
const NAMESPACE: &str = "infrastructure";

/// The longest duration in seconds: the field of a Lease is an `int32`.
const LONGEST: u64 = i32::MAX as u64;

/// The lock that `--lock`, `--lock-ttl` and `--namespace` mean.
pub fn lock_choice(args: &LockArgs) -> Checked<LockChoice> {
    let in_cluster =
        std::env::var_os("KUBERNETES_SERVICE_HOST").is_some_and(|host| !host.is_empty());
    choice(args, in_cluster, Path::new(SERVICE_ACCOUNT))
}

fn choice(args: &LockArgs, in_cluster: bool, account: &Path) -> Checked<LockChoice> {
    let duration = lock_ttl(&args.lock_ttl)?;
    let given = args.namespace.as_deref().filter(|name| !name.is_empty());
    let given = given.map(|name| dns_label("--namespace", name, NAMESPACE)).transpose()?;
    match args.lock {
        LockArg::None => return Ok(LockChoice::None),
        LockArg::File => return Ok(LockChoice::File),
        LockArg::Auto if !in_cluster => return Ok(LockChoice::File),
        LockArg::Auto | LockArg::Lease => {}
    }
    if in_cluster && !account.join("token").exists() {
        return wrong(format!(
            "inside a cluster the lock is a Lease, and this pod has no service account's token ({} is missing): set \
             automountServiceAccountToken: true and serviceAccountName: ha-sync in the pod's spec, or use --lock=file \
             with a log directory that all runs of the pair share",
            account.join("token").display()
        ));
    }
    let own =
        || in_cluster.then(|| std::fs::read_to_string(account.join("namespace")).ok()).flatten();
    let own = || own().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    Ok(LockChoice::Lease(LeaseChoice {
        access: if in_cluster { ApiAccess::InCluster } else { ApiAccess::Kubeconfig },
        namespace: given.or_else(own).unwrap_or_else(|| NAMESPACE.to_owned()),
        duration,
    }))
}

fn lock_ttl(text: &str) -> Checked<Duration> {
    let seconds =
        text.parse().ok().filter(|seconds| (SHORTEST.as_secs()..=LONGEST).contains(seconds));
    seconds.map(Duration::from_secs).ok_or(()).or_else(|()| {
        wrong(format!(
            "--lock-ttl {text:?}: give whole seconds, from {} to {LONGEST}, such as 3600",
            SHORTEST.as_secs()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(lock: LockArg, namespace: Option<&str>) -> LockArgs {
        LockArgs { lock, lock_ttl: "60".into(), namespace: namespace.map(str::to_owned) }
    }

    fn lease(access: ApiAccess, namespace: &str) -> LockChoice {
        let duration = Duration::from_secs(60);
        LockChoice::Lease(LeaseChoice { access, namespace: namespace.to_owned(), duration })
    }

    #[test]
    fn auto_is_a_lease_in_a_cluster_and_a_file_elsewhere() {
        let pod = tempfile::tempdir().unwrap();
        let auto = args(LockArg::Auto, None);
        assert_eq!(choice(&auto, false, pod.path()), Ok(LockChoice::File));
        let refused = choice(&auto, true, pod.path()).unwrap_err().to_string();
        assert!(refused.contains("automountServiceAccountToken: true"), "{refused}");
        std::fs::write(pod.path().join("token"), "secret").unwrap();
        assert_eq!(
            choice(&auto, true, pod.path()),
            Ok(lease(ApiAccess::InCluster, "infrastructure"))
        );
        std::fs::write(pod.path().join("namespace"), "storage\n").unwrap();
        assert_eq!(choice(&auto, true, pod.path()), Ok(lease(ApiAccess::InCluster, "storage")));
        let named = args(LockArg::Auto, Some("other"));
        assert_eq!(choice(&named, true, pod.path()), Ok(lease(ApiAccess::InCluster, "other")));
        for (lock, chosen) in [(LockArg::File, LockChoice::File), (LockArg::None, LockChoice::None)]
        {
            assert_eq!(choice(&args(lock, None), true, pod.path()), Ok(chosen));
        }
    }

    #[test]
    fn outside_a_cluster_a_lease_goes_by_the_kubeconfig() {
        let nowhere = Path::new("/nonexistent");
        let chosen = choice(&args(LockArg::Lease, None), false, nowhere);
        assert_eq!(chosen, Ok(lease(ApiAccess::Kubeconfig, "infrastructure")));
        for bad in ["Infra", "a.b", "-", "a_b"] {
            assert!(choice(&args(LockArg::Lease, Some(bad)), false, nowhere).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_ttl_is_whole_seconds_and_no_fewer_than_three() {
        for (text, seconds) in [("3", 3), ("3600", 3600)] {
            assert_eq!(lock_ttl(text), Ok(Duration::from_secs(seconds)));
        }
        for bad in ["", "0", "2", "-5", "3.5", "1h", "99999999999"] {
            assert!(lock_ttl(bad).is_err(), "{bad:?}");
        }
    }
}
