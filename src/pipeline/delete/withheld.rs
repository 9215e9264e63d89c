//! Deletions that a guard withheld.

use std::fmt;

use crate::model::RelPath;

/// Candidates that were not deleted, none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// How many.
    pub candidates: u64,
    /// Why, and what to do, in a sentence or two; names in it are as they are, not escaped.
    pub reason: String,
    /// The paths of the first few.
    pub examples: Vec<RelPath>,
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing was deleted: {}", self.reason)
    }
}
