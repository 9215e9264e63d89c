//! What the Lease relies on, said to the API server itself.

use serde_json::{Value, json};

use super::lab::{LEASES, Lab};

pub fn an_api_server_keeps_to_what_the_lease_relies_on(lab: &Lab) {
    let path = format!("{LEASES}/rules");
    let post = |lease: &Value| lab.kubectl(&["create", "--raw", LEASES, "-f", "-"], Some(lease));
    let put = |lease: &Value| lab.kubectl(&["replace", "--raw", &path, "-f", "-"], Some(lease));
    let get = || lab.kubectl(&["get", "--raw", &path], None).map(|text| serde_json::from_str::<Value>(&text).unwrap());
    let delete = || lab.kubectl(&["delete", "--raw", &path], None);
    let fresh = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": "rules", "namespace": "infrastructure" },
        "spec": { "holderIdentity": "a", "leaseDurationSeconds": 3, "renewTime": "2026-11-25T21:13:56.000001Z" },
    });
    let refused = |result: Result<String, String>, word: &str| {
        let said = result.expect_err(word).to_lowercase();
        assert!(said.contains(word), "{word}: {said}");
    };

    post(&fresh).unwrap();
    refused(post(&fresh), "already exists");
    let first = get().unwrap();
    assert_eq!(first["spec"]["renewTime"], fresh["spec"]["renewTime"], "six digits, as they were sent");

    let mut without_version = first.clone();
    without_version["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    refused(put(&without_version), "must be specified for an update");
    put(&first).unwrap();
    assert_eq!(get().unwrap()["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"], "nothing changed");
    let mut changed = first.clone();
    changed["spec"]["holderIdentity"] = "b".into();
    put(&changed).unwrap();
    refused(put(&changed), "modified");
    let mut others = get().unwrap();
    others["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000".into();
    refused(put(&others), "uid");
    let mut short = get().unwrap();
    short["spec"]["renewTime"] = "2026-11-25T21:13:56Z".into();
    assert!(put(&short).is_err(), "a time without microseconds");

    delete().unwrap();
    refused(put(&changed), "uid");
    assert!(get().is_err(), "a PUT with the uid of what is gone makes nothing");
    put(&fresh).unwrap();
    assert!(get().is_ok(), "one without makes it");
    delete().unwrap();

    let account = |args: &[&str]| lab.kubectl_as("ha-sync", args, None);
    refused(account(&["get", "--raw", LEASES]), "forbidden");
    assert!(account(&["get", "--raw", &path]).unwrap_err().contains("not"), "but get is allowed");
}
