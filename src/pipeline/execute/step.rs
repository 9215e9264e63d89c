//! How one step of an operation may end other than well.

use std::io;

use crate::model::Failure;

/// A step's result.
pub(super) type Step<T> = Result<T, Halt>;

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

/// Says in the error what was being done.
pub(super) trait Doing<T> {
    /// `doing` completes "failed while …", for example "writing the data".
    fn doing(self, doing: &str) -> Step<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &str) -> Step<T> {
        self.map_err(|error| Halt::Failed(Failure::error(format!("{doing}: {error}"))))
    }
}
