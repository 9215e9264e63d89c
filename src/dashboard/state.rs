//! What the handlers of all requests share, and what each of them knows of its client.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use super::database::Database;
use crate::ledger::Totals;

/// What all requests share.
pub(super) struct Shared {
    pub(super) database: Database,
    /// Host names under which the dashboard answers. An empty list allows every name.
    pub(super) hosts: Vec<String>,
    pub(super) totals: Arc<Mutex<Totals>>,
}

/// Where a request comes from: the address of the other end of its connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client(pub(super) IpAddr);
