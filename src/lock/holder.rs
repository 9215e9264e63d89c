//! The holder of a lock, as it is named to those who do not get the lock.

use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::model::Escaped;
use crate::time::to_rfc3339;

/// The process that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Machine and process: `host/pid`, or `<pod or host>/<job or pid>/<unique>` for a Lease.
    pub holder: String,
    /// Label of the direction that it runs in.
    pub direction: String,
    /// The time since when it holds the lock, in RFC 3339.
    pub since: String,
}

impl Holder {
    /// This process, from now on.
    pub fn this_process(direction: &str) -> Self {
        Self {
            holder: format!("{}/{}", host(), std::process::id()),
            direction: direction.to_owned(),
            since: to_rfc3339(SystemTime::now()),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{} ({}) since {}", self.holder, self.direction, self.since);
        // Anybody may have written these fields, so they are escaped.
        Escaped(text.as_bytes()).fmt(f)
    }
}

/// The name of this machine.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
