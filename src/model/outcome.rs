//! What became of one operation: the noun that travels from the workers to the opslog.

use std::time::SystemTime;

use super::{Effect, Failure, RelPath};

/// One finished operation: a line of the opslog.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Where, relative to the roots.
    pub path: RelPath,
    /// What was done.
    pub effect: Effect,
    /// When a worker took it up.
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
        /// Whether the real run first compares the contents and may find only metadata to carry, or nothing.
        compares: bool,
    },
    /// The destination's content is as it was; the failure says why.
    Failed(Failure),
}

impl Outcome {
    /// The outcome of something that failed and changed nothing at the path itself.
    pub fn failed(path: RelPath, effect: Effect, started: SystemTime, failure: Failure) -> Self {
        Self { path, effect, started, ended: SystemTime::now(), verdict: Verdict::Failed(failure) }
    }
}
