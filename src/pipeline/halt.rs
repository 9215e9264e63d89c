//! Halt: the ways in which a step of an operation ends without success.

use std::io;

use crate::model::{Failure, Side};
use crate::stop::Stop;

/// The result of one step.
pub(super) type OpResult<T> = Result<T, Halt>;

/// Why an operation does not go on.
#[derive(Debug)]
pub(super) enum Halt {
    /// A system call failed: the path has failed.
    Failed(Failure),
    /// What stands at the destination is no longer what the decision was about: look and classify
    /// again.
    Overtaken,
    /// The source changed while it was being read.
    SourceChanged,
    /// The run is ending.
    Stopped,
}

/// Whether a change at the destination may still be begun. Asked right before each change, as close
/// to the system call as possible.
pub(super) fn may_change(stop: &Stop) -> OpResult<()> {
    if stop.forbids_changes() { Err(Halt::Stopped) } else { Ok(()) }
}

/// Adds to an error what was being done, and on which tree: whether deletions are safe depends on
/// that. `doing` completes "failed while …", for example "writing the data".
pub(super) trait Doing<T>: Sized {
    /// The error came from the tree on that side.
    fn on(self, side: Side, doing: &str) -> OpResult<T>;

    /// The error came from the tree that is read.
    fn at_source(self, doing: &str) -> OpResult<T> {
        self.on(Side::Source, doing)
    }

    /// The error came from the tree that is changed.
    fn at_dest(self, doing: &str) -> OpResult<T> {
        self.on(Side::Dest, doing)
    }
}

impl<T> Doing<T> for io::Result<T> {
    fn on(self, side: Side, doing: &str) -> OpResult<T> {
        self.map_err(|error| Halt::Failed(Failure::fault(side, doing, &error)))
    }
}
