//! The reasons why a Lease cannot be acquired, in words that tell the user what to do.

use std::io;
use std::time::Duration;

use super::api::CallError;

/// The reason why a Lease cannot be acquired although nobody holds it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// There is no configuration, or one that makes no sense.
    #[error("no Lease can be had: {0}")]
    Configuration(String),
    /// This process lacks a right.
    #[error(
        "the Lease {name} in the namespace {namespace}: may not {verb} it ({said}). Who runs this needs a Role there with this rule \
         (deploy/rbac.yaml has it, with its binding):\n\n  - apiGroups: [coordination.k8s.io]\n    resources: [leases]\n    \
         verbs: [create, get, update, delete]\n"
    )]
    Forbidden {
        /// The verb that was tried.
        verb: &'static str,
        /// The Lease's name.
        name: String,
        /// The Lease's namespace.
        namespace: String,
        /// The API server's own words.
        said: String,
    },
    /// No API server answered for some time.
    #[error("no Lease can be had, tried for {:.0} s: {why}. Nothing was touched", tried.as_secs_f64())]
    Unreachable {
        /// The time for which it was tried.
        tried: Duration,
        /// The result of the last attempt.
        why: String,
    },
}

/// Which Lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeaseName<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

impl LeaseError {
    /// The error of a call with this verb on this Lease that was tried for this time.
    pub(super) fn of(
        verb: &'static str,
        lease: LeaseName<'_>,
        error: CallError,
        tried: Duration,
    ) -> Self {
        let LeaseName { namespace, name } = lease;
        match error {
            // The words of the authorizer. A quota, or a namespace that is being removed, forbids
            // in other words.
            CallError::Forbidden(said) if said.contains(&format!(" cannot {verb} ")) => {
                Self::Forbidden {
                    verb,
                    name: name.to_owned(),
                    namespace: namespace.to_owned(),
                    said,
                }
            }
            CallError::NotFound(said) if verb != "get" => Self::Configuration(format!(
                "the namespace {namespace} cannot be used ({said}). Create it, or give another one with --namespace"
            )),
            CallError::NoAnswer(why) => Self::Unreachable { tried, why },
            other => Self::Configuration(other.to_string()),
        }
    }

    /// The thread or runtime that calls the API server cannot be started.
    pub(super) fn no_thread(error: &io::Error) -> Self {
        Self::Configuration(format!("its thread cannot be started: {error}"))
    }

    /// Whether the user has to fix it. `false` if it may pass by itself.
    pub fn is_configuration(&self) -> bool {
        !matches!(self, Self::Unreachable { .. })
    }
}
