//! RunKey: the pair and the direction of a run.
//!
//! Everything that is named after a pair or a direction gets its name here and nowhere else.

use std::fmt;

/// The pair that a run works for, and the direction in which it does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunKey {
    /// The pair's name: a DNS label.
    pub pair: String,
    /// The direction's name: `[A-Za-z0-9._-]{1,64}`.
    pub direction: String,
}

impl RunKey {
    /// A key made of names that were checked before.
    pub fn new(pair: impl Into<String>, direction: impl Into<String>) -> Self {
        Self { pair: pair.into(), direction: direction.into() }
    }

    /// The name of the Lease that both directions of the pair share.
    pub fn lease_name(&self) -> String {
        lease_name(&self.pair)
    }

    /// The name of the lock file that both directions of the pair share, in the log directory.
    pub fn lock_file(&self) -> String {
        lock_file(&self.pair)
    }

    /// The name of the file that keeps what the last run saw, in the log directory.
    pub fn last_file(&self) -> String {
        format!("ha-sync-{}.{}.last", self.pair, self.direction)
    }

    /// The beginning of the names of all opslogs of this pair and direction.
    pub fn opslog_stem(&self) -> String {
        format!("opslog-{}-{}", self.pair, self.direction)
    }
}

/// The name of a pair's Lease, for callers that do not work in a direction.
pub fn lease_name(pair: &str) -> String {
    format!("ha-sync-{pair}")
}

/// The name of a pair's lock file, for callers that do not work in a direction.
pub fn lock_file(pair: &str) -> String {
    format!("ha-sync-{pair}.lock")
}

/// For messages: the pair, then the direction.
impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pair, self.direction)
    }
}
