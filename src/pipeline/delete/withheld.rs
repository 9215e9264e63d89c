//! Withheld: deletions that the guard did not allow.

use std::fmt;

use crate::model::RelPath;

/// The candidates of a run, none of which was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// Number of candidates.
    pub candidates: u64,
    /// Why, and what to do, in a sentence or two. Names in it are as they are, not escaped.
    pub reason: String,
    /// The paths of the first few.
    pub examples: Vec<RelPath>,
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing was deleted: {}", self.reason)
    }
}
