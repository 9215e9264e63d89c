//! Halt: how one step of an operation may end other than well.

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
    /// What was decided on is no longer what stands there: look and classify again.
    Overtaken,
    /// The source changed while it was being read.
    SourceChanged,
    /// The run is ending.
    Stopped,
}

/// Asked right before each change at the destination, as close to the call as can be: whether the change
/// may still be begun.
pub(super) fn may_change(stop: &Stop) -> OpResult<()> {
    if stop.forbids_changes() { Err(Halt::Stopped) } else { Ok(()) }
}

/// Says in the error what was being done, and on which tree: whether deletions are safe depends on that.
/// `doing` completes "failed while …", for example "writing the data".
pub(super) trait Doing<T>: Sized {
    /// It was done on one of the trees.
    fn on(self, side: Side, doing: &str) -> OpResult<T>;

    /// It was done on the tree that is read.
    fn at_source(self, doing: &str) -> OpResult<T> {
        self.on(Side::Source, doing)
    }

    /// It was done on the tree that is changed.
    fn at_dest(self, doing: &str) -> OpResult<T> {
        self.on(Side::Dest, doing)
    }
}

impl<T> Doing<T> for io::Result<T> {
    fn on(self, side: Side, doing: &str) -> OpResult<T> {
        self.map_err(|error| Halt::Failed(Failure::fault(side, doing, &error)))
    }
}
