//! Outcome: what became of one operation. It travels from the workers to the opslog.

use std::time::SystemTime;

use super::{Effect, Failure, RelPath};

/// One finished operation, which is a line of the opslog.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The path, relative to the roots.
    pub path: RelPath,
    /// What was done.
    pub effect: Effect,
    /// When a worker began it.
    pub started: SystemTime,
    /// When it was done.
    pub ended: SystemTime,
    /// How it ended.
    pub verdict: Verdict,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The destination holds what it should.
    Done,
    /// A dry run: this is what would be done.
    Planned {
        /// Whether the real run first compares the contents, and may find that only metadata or
        /// nothing is to be carried.
        compares: bool,
    },
    /// The destination's content is as it was. The failure says why.
    Failed(Failure),
}

impl Outcome {
    /// The outcome of an operation that failed and changed nothing at the path itself.
    pub fn failed(path: RelPath, effect: Effect, started: SystemTime, failure: Failure) -> Self {
        Self { path, effect, started, ended: SystemTime::now(), verdict: Verdict::Failed(failure) }
    }
}
