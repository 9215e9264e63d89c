//! A Lease as the API server stores it: the whole object, and the fields of it that matter here.
//!
//! The object is kept as it was read and sent back whole. So fields that others put there stay, and
//! so do fields that a newer server knows and this program does not. And as the uid is in it, a PUT
//! to a Lease that is gone does not create one.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::lock::holder::Holder;
use crate::time::{from_rfc3339, to_rfc3339_micro};

const DIRECTION: &str = "ha-sync/direction";
const RENEWALS: &str = "ha-sync/renewals";

/// The fields of a Lease that tell who holds it, and until when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spec {
    pub holder: String,
    pub duration: Option<Duration>,
    pub acquired: Option<SystemTime>,
    pub renewed: Option<SystemTime>,
}

/// One version of one Lease.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    object: Value,
    pub uid: String,
    pub version: String,
    pub spec: Spec,
}

/// The values that a holder writes into its Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The Lease's name.
    pub name: String,
    pub namespace: String,
    /// `<pod or host>/<job or pid>/<unique>`
    pub identity: String,
    pub duration: Duration,
    pub direction: String,
    pub run_id: String,
}

impl Record {
    /// Reads an object. `None` if it is not one that a server has stored.
    pub(super) fn read(object: Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let uid = text(&object["metadata"]["uid"])?;
        let version = text(&object["metadata"]["resourceVersion"])?;
        let spec = Spec::read(&object["spec"]);
        Some(Self { object, uid, version, spec })
    }

    /// The holder, for messages.
    pub(super) fn holder(&self) -> Holder {
        let since = self.spec.acquired.or(self.spec.renewed);
        Holder {
            holder: self.spec.holder.clone(),
            direction: self.object["metadata"]["annotations"][DIRECTION]
                .as_str()
                .unwrap_or("?")
                .to_owned(),
            since: since.map_or_else(|| "an unknown time".to_owned(), crate::time::to_rfc3339),
        }
    }

    /// The same object, renewed at `now` by the server's clock.
    ///
    /// If the server's clock is not known, no time is written: others would take it for the
    /// server's. A counter changes instead, or nobody could see the renewal.
    pub(super) fn renewed(&self, now: Option<SystemTime>) -> Value {
        let mut object = self.object.clone();
        match now {
            Some(now) => object["spec"]["renewTime"] = to_rfc3339_micro(now).into(),
            None => {
                let renewals = &mut object["metadata"]["annotations"][RENEWALS];
                let count =
                    renewals.as_str().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
                *renewals = count.saturating_add(1).to_string().into();
            }
        }
        object
    }
}

impl Spec {
    /// Reads the `spec` of a Lease. A field that is missing or malformed becomes empty or `None`.
    pub(super) fn read(spec: &Value) -> Self {
        let time = |name: &str| spec[name].as_str().and_then(from_rfc3339);
        Self {
            holder: spec["holderIdentity"].as_str().unwrap_or_default().to_owned(),
            duration: seconds(&spec["leaseDurationSeconds"]),
            acquired: time("acquireTime"),
            renewed: time("renewTime"),
        }
    }
}

/// Reads a number of seconds. The API server's field has 32 bits. `None` if the value does not fit:
/// then no later addition can overflow.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
    seconds.map(|seconds| Duration::from_secs(seconds.into()))
}

impl Claim {
    /// The object of a new Lease that this claim holds. `now`: the server's clock, if it is known.
    pub(super) fn create(&self, now: Option<SystemTime>) -> Value {
        self.put_into(
            json!({
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": { "name": self.name, "namespace": self.namespace },
                "spec": { "leaseTransitions": 0 },
            }),
            now,
        )
    }

    /// The object of an existing Lease, with this claim as its new holder.
    pub(super) fn take(&self, from: &Record, now: Option<SystemTime>) -> Value {
        let mut object = from.object.clone();
        let transitions = object["spec"]["leaseTransitions"].as_i64().unwrap_or(0);
        object["spec"]["leaseTransitions"] =
            transitions.saturating_add(1).min(i32::MAX.into()).into();
        self.put_into(object, now)
    }

    fn put_into(&self, mut object: Value, now: Option<SystemTime>) -> Value {
        let now = now.map(to_rfc3339_micro);
        object["metadata"]["labels"]["app.kubernetes.io/name"] = "ha-sync".into();
        let annotations = &mut object["metadata"]["annotations"];
        annotations[DIRECTION] = self.direction.as_str().into();
        annotations["ha-sync/run"] = self.run_id.as_str().into();
        annotations["ha-sync/version"] = env!("CARGO_PKG_VERSION").into();
        let spec = &mut object["spec"];
        spec["holderIdentity"] = self.identity.as_str().into();
        spec["leaseDurationSeconds"] = self.duration.as_secs().into();
        spec["acquireTime"] = now.clone().into();
        spec["renewTime"] = now.into();
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_that_is_none_says_nothing() {
        let read =
            |seconds: Value| Spec::read(&json!({ "leaseDurationSeconds": seconds })).duration;
        assert_eq!(read(json!(30)), Some(Duration::from_secs(30)));
        for none in [json!(u64::MAX), json!(-5), json!("30"), json!(1.5), Value::Null] {
            assert_eq!(read(none.clone()), None, "{none}");
        }
    }
}
