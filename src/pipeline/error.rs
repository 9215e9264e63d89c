//! What ends a run early. A problem with one path is not an [`Error`]: it is data and travels with
//! its outcome.

use std::io;
use std::path::PathBuf;

use crate::model::shown;

/// What ends a run early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A root can't be used.
    #[error("cannot look at {}: {error}", shown(path))]
    Root {
        /// The root.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The recorder failed.
    #[error("cannot write down what was done, in the opslog: {0}")]
    Recorder(io::Error),
    /// The destination did not write everything to its disk.
    #[error(
        "the destination could not write everything to disk, the last changes may be lost in a crash: {0}"
    )]
    Sync(io::Error),
    /// Threads could not be started.
    #[error(
        "cannot start as many threads: {0}. Lower --workers or --scan-threads, or raise the limit on processes"
    )]
    Threads(#[from] io::Error),
    /// The candidates for deletion can't be read back.
    #[error(
        "cannot read back what is to be deleted: {0}; what is left of it stays until the next run"
    )]
    Candidates(io::Error),
    /// A bug.
    #[error("internal error: a thread panicked; what it was at is not done")]
    Panicked,
}
