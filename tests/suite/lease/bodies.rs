//! Who gets the Lease, how it is kept, and how it ends.

use std::process::Child;
use std::time::{Duration, SystemTime};

use ha_sync::time::from_rfc3339;
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use super::lab::{Job, Lab};
use crate::fixture::*;

fn end(mut strace: Child) {
    kill_process(traced(&strace), Signal::KILL).unwrap();
    strace.wait().unwrap();
}

fn time(lease: &Value, name: &str) -> SystemTime {
    from_rfc3339(lease["spec"][name].as_str().unwrap()).unwrap()
}

pub fn a_pair_is_held_by_one_run_in_whatever_direction(lab: &Lab) {
    let job = lab.job();
    let running = job.slow_holder(30);
    let lease = job.lease().unwrap();
    let (holder, annotations) =
        (lease["spec"]["holderIdentity"].as_str().unwrap(), &lease["metadata"]["annotations"]);
    let parts: Vec<_> = holder.split('/').collect();
    assert_eq!(
        (parts.len(), parts[1]),
        (3, traced(&running).as_raw_nonzero().to_string().as_str()),
        "{holder}"
    );
    assert_eq!(
        (&annotations["ha-sync/direction"], lease["spec"]["leaseDurationSeconds"].as_u64()),
        (&"there".into(), Some(30))
    );
    assert!(annotations["ha-sync/run"].as_str().unwrap().ends_with(parts[2]), "{annotations}");
    assert!(annotations["ha-sync/version"].is_string(), "{annotations}");

    let skipped = run(&mut job.command(30));
    assert_eq!(skipped.code, Some(0), "{}", skipped.stderr);
    assert!(
        skipped
            .stdout
            .contains(&format!("skipped, the pair is locked by {holder} (there) since 2")),
        "{}",
        skipped.stdout
    );
    let back = run(job.between(&job.trees.b, &job.trees.a, 30).args(["--format", "json"]));
    assert_eq!(
        (back.code, &back.summary()["holder"]["holder"]),
        (Some(0), &holder.into()),
        "the other direction, too"
    );
    let dry = run(job.command(30).arg("--dry-run"));
    assert!(dry.stdout.contains("skipped"), "a dry run, too: {}", dry.stdout);
    for refuses in ["--if-locked=fail", "--if-locked=wait=1"] {
        assert_eq!(run(job.command(30).arg(refuses)).code, Some(75), "{refuses}");
    }
    let other = lab.job();
    write(&other.trees.a, "file", "x", T0);
    assert_eq!(run(&mut other.command(30)).code, Some(0), "another pair is free");
    assert!(other.trees.b.join("file").exists());
    assert_eq!(other.lease(), None, "and its Lease is gone");
    assert_eq!(
        job.lease().unwrap()["metadata"]["uid"],
        lease["metadata"]["uid"],
        "nobody has touched this one"
    );
    end(running);
}

pub fn a_lease_is_renewed_and_released_by_a_signal(lab: &Lab) {
    let job = lab.job();
    let running = job.slow_holder(5);
    let mut seen = vec![job.renewed()];
    wait_until("it has been renewed for longer than it holds", || {
        let now = job.renewed();
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        seen.len() > 4
    });
    assert!(run(&mut job.command(3)).stdout.contains("skipped"), "it is still held");
    kill_process(traced(&running), Signal::TERM).unwrap();
    let ran = finish(running);
    assert_eq!((ran.code, job.lease()), (Some(143), None), "{}", ran.stderr);
    assert_eq!(run(job.command(6).arg("--if-locked=fail")).code, Some(0), "it is free at once");
}

pub fn a_dead_holders_lease_is_taken_over_when_its_time_is_over_and_not_before(lab: &Lab) {
    let job = lab.job();
    let running = job.slow_holder(5);
    end(running);
    let left = job.lease().unwrap();
    assert!(
        run(&mut job.command(4)).stdout.contains("skipped"),
        "nobody knows yet that it is dead"
    );
    let next = {
        let mut command = job.command(6);
        command.args(["--if-locked=wait", "--direction", "back"]);
        slowed(&command, 50, &[]).spawn().unwrap()
    };
    let mut taken = Value::Null;
    wait_until("it is taken over", || {
        taken = job.lease().unwrap();
        taken["spec"]["holderIdentity"] != left["spec"]["holderIdentity"]
    });
    let waited = time(&taken, "acquireTime").duration_since(time(&left, "renewTime")).unwrap();
    assert!(waited > Duration::from_secs(5), "{waited:?}");
    assert_eq!(taken["spec"]["leaseTransitions"], 1);
    assert_eq!(taken["metadata"]["uid"], left["metadata"]["uid"], "the same object");
    kill_process(traced(&next), Signal::TERM).unwrap();
    assert_eq!((finish(next).code, job.lease()), (Some(143), None));

    let free = run(job.command(6).args(["--format", "json"]));
    assert_eq!(free.code, Some(0), "{}", free.stderr);
    assert_eq!(Counts(free.summary()).get("created"), 1);
    assert_eq!(
        temporaries(&job.trees.b),
        Vec::<String>::new(),
        "one of the two has swept what the dead run left"
    );
}

pub fn a_lease_that_is_deleted_taken_or_edited_ends_the_run(lab: &Lab) {
    let lose = |what: &str, how: &dyn Fn(&Job<'_>)| {
        let job = lab.job();
        let running = job.slow_holder(6);
        how(&job);
        let left = job.lease();
        let ran = finish(running);
        assert_eq!(ran.code, Some(4), "{what}: {}{}", ran.stdout, ran.stderr);
        let (summary, footer) = (ran.summary(), job.footer());
        assert_eq!(
            (&summary["exit_code"], &summary["status"]),
            (&4.into(), &"failed".into()),
            "{summary}"
        );
        assert_eq!((&footer["type"], &footer["status"]), (&"footer".into(), &"failed".into()));
        let said = footer["error_message"].as_str().unwrap();
        assert!(said.contains("the lock was lost") && said.contains(what), "{said}");
        assert_eq!(job.lease(), left, "{what}: the Lease is left alone");
        assert!(!job.trees.b.join("large").exists());
        assert_eq!(
            temporaries(&job.trees.b).len(),
            1,
            "not even a temporary is removed: the next holder does"
        );
    };
    lose("somebody deleted the Lease", &|job| job.delete());
    lose("now held by somebody", &|job| {
        job.edit(|lease| lease["spec"]["holderIdentity"] = "somebody".into());
    });
    lose("somebody edited the Lease", &|job| {
        job.edit(|lease| lease["spec"]["leaseDurationSeconds"] = 5.into());
    });
    lose("now held by", &|job| {
        let mut again = job.lease().unwrap();
        job.delete();
        let metadata = again["metadata"].as_object_mut().unwrap();
        metadata.retain(|name, _| ["name", "namespace"].contains(&name.as_str()));
        lab.ask("admin", "POST", super::lab::LEASES, Some(&again)).unwrap();
    });
}

pub fn unlock_removes_what_is_stale_and_asks_before(lab: &Lab) {
    let job = lab.job();
    let nothing = job.unlock(&[]);
    assert_eq!(nothing.code, Some(0), "{}", nothing.stderr);
    assert!(nothing.stdout.contains("not locked, there is no Lease"), "{}", nothing.stdout);
    let running = job.slow_holder(5);
    let alive = job.unlock(&["--yes"]);
    assert_eq!(alive.code, Some(75), "{}{}", alive.stdout, alive.stderr);
    assert!(
        alive.stdout.contains("(there) since 2") && alive.stdout.contains("seems to be alive"),
        "{}",
        alive.stdout
    );
    end(running);
    wait_until("it is stale", || {
        let asked = job.unlock(&[]);
        if asked.code == Some(75) {
            return false;
        }
        assert_eq!(asked.code, Some(2), "without a terminal nobody can be asked: {}", asked.stdout);
        assert!(
            asked.stderr.contains("s ago; it holds for 5 s after that: stale")
                && asked.stderr.contains("--yes"),
            "{}",
            asked.stderr
        );
        true
    });
    let removed = job.unlock(&["--yes"]);
    assert_eq!(
        (removed.code, job.lease()),
        (Some(0), None),
        "{}{}",
        removed.stdout,
        removed.stderr
    );

    let job = lab.job();
    let running = job.slow_holder(5);
    assert_eq!(job.unlock(&["--yes", "--force"]).code, Some(0));
    assert_eq!(finish(running).code, Some(4), "who loses it that way notices");
}

pub fn unlock_says_of_a_lease_without_a_holder_that_nobody_has_it(lab: &Lab) {
    let job = lab.job();
    let metadata = serde_json::json!({ "name": format!("ha-sync-{}", job.pair), "namespace": "infrastructure" });
    let lease = serde_json::json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": {},
    });
    lab.ask("admin", "POST", super::lab::LEASES, Some(&lease)).unwrap();
    let removed = job.unlock(&["--yes"]);
    assert_eq!(
        (removed.code, job.lease()),
        (Some(0), None),
        "{}{}",
        removed.stdout,
        removed.stderr
    );
    assert!(
        removed.stdout.contains("held by nobody: the Lease ha-sync-pair"),
        "{}",
        removed.stdout
    );
    assert!(!removed.stdout.contains("held by  ("), "{}", removed.stdout);
}

pub fn a_token_that_is_replaced_is_read_again(lab: &Lab) {
    let mut job = lab.job();
    job.kubeconfig = lab.account("rotated", true);
    let running = job.slow_holder(6);
    lab.replace_token("rotated");
    let before = job.renewed();
    let mut renewals = vec![before];
    wait_until("it is renewed with the new token", || {
        let now = job.renewed();
        if renewals.last() != Some(&now) {
            renewals.push(now);
        }
        renewals.len() > 3
    });
    kill_process(traced(&running), Signal::TERM).unwrap();
    assert_eq!((finish(running).code, job.lease()), (Some(143), None), "released with it, too");
}
