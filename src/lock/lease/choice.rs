//! The choice of a Lease: how the API server is reached, in which namespace, and for how long a
//! renewal holds.

use std::time::Duration;

use super::api::ApiAccess;

/// The Lease that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseChoice {
    /// How the API server is found.
    pub access: ApiAccess,
    /// The Lease's namespace.
    pub namespace: String,
    /// The time without a renewal after which others take the Lease over.
    pub duration: Duration,
}
