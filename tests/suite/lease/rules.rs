//! What the Lease relies on, said to the API server itself.

use serde_json::{Value, json};

use super::lab::{LEASES, Lab};

pub fn an_api_server_keeps_to_what_the_lease_relies_on(lab: &Lab) {
    let path = format!("{LEASES}/rules");
    let post = |lease: &Value| lab.ask("admin", "POST", LEASES, Some(lease));
    let put = |lease: &Value| lab.ask("admin", "PUT", &path, Some(lease));
    let get = || {
        lab.ask("admin", "GET", &path, None)
            .map(|text| serde_json::from_str::<Value>(&text).unwrap())
    };
    let delete = || lab.ask("admin", "DELETE", &path, None);
    let delete_if = |part: &str, is: &str| {
        lab.ask("admin", "DELETE", &path, Some(&json!({ "preconditions": { part: is } })))
    };
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
    assert_eq!(
        first["spec"]["renewTime"], fresh["spec"]["renewTime"],
        "six digits, as they were sent"
    );

    let mut without_version = first.clone();
    without_version["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    refused(put(&without_version), "must be specified for an update");
    put(&first).unwrap();
    assert_eq!(
        get().unwrap()["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"],
        "nothing changed"
    );
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

    refused(delete_if("uid", "00000000-0000-0000-0000-000000000000"), "precondition");
    refused(delete_if("resourceVersion", "1"), "precondition");
    let version = get().unwrap()["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    delete_if("resourceVersion", &version).unwrap();
    refused(put(&changed), "uid");
    assert!(get().is_err(), "a PUT with the uid of what is gone makes nothing");
    put(&fresh).unwrap();
    assert!(get().is_ok(), "one without makes it");
    delete().unwrap();

    refused(lab.ask("ha-sync", "GET", LEASES, None), "forbidden");
    refused(lab.ask("ha-sync", "PATCH", &path, Some(&json!({}))), "forbidden");
    refused(lab.ask("ha-sync", "GET", &path, None), "not found");
}
