//! Exit: how a process ends, and what keeps a run from beginning.

use std::io;
use std::path::PathBuf;

use crate::lock::LockError;
use crate::model::{Escaped, shown};
use crate::opslog::RunStatus;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, and nothing failed. Also a run that was left to another one that holds the lock.
    Done,
    /// Done, but some paths failed or are in conflict.
    Partial,
    /// The usage or the configuration is wrong.
    Usage,
    /// A safety guard withheld all deletions or refused the run.
    Withheld,
    /// The lock was lost. What was not done by then was not begun any more.
    LockLost,
    /// The run could not go on.
    Fatal,
    /// The pair is locked, and the user wants to know it.
    Locked,
    /// A signal asked for the end. Holds its number.
    Interrupted(usize),
}

impl Exit {
    /// The exit code that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Partial => 1,
            Self::Usage => 2,
            Self::Withheld => 3,
            Self::LockLost => 4,
            Self::Fatal => 5,
            Self::Locked => 75,
            Self::Interrupted(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }

    /// The exit if something of the run's own was lost, too. That is worse than failed paths, but
    /// not worse than a signal.
    pub(super) fn or_fatal(self) -> Self {
        if matches!(self, Self::Interrupted(_)) { self } else { Self::Fatal }
    }

    /// The status under which a run with this exit is logged.
    pub(super) fn status(self) -> RunStatus {
        match self {
            Self::Done => RunStatus::Success,
            Self::Partial | Self::Withheld => RunStatus::PartialFailure,
            Self::Usage | Self::LockLost | Self::Fatal | Self::Locked | Self::Interrupted(_) => {
                RunStatus::Failed
            }
        }
    }
}

/// What keeps a run from beginning. Nothing was touched.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log directory can't be used.
    #[error(
        "the log directory {} cannot be used: {error}. Give another one with --log-dir",
        shown(path)
    )]
    LogDir {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The lock can't be had, though nobody holds it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A root went away since it was checked.
    #[error("{} cannot be opened: {error}", shown(path))]
    Root {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The opslog can't be begun.
    #[error("the opslog cannot be begun in {}: {error}", shown(path))]
    Opslog {
        /// In which log directory.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// Something that the run needs does not answer, and the run has to end.
    #[error(
        "{ended}; {} does not answer (is its server down?) and was not waited for, {fate}. Nothing was touched",
        shown(path)
    )]
    Hangs {
        /// A root, or the log directory.
        path: PathBuf,
        /// What ended the run.
        ended: String,
        /// What becomes of the lock.
        fate: &'static str,
        /// What the process ends with.
        exit: Exit,
    },
    /// A root is not what it has to be.
    #[error("refused: {}. Nothing was touched", Escaped(_0.as_bytes()))]
    Refused(String),
    /// The limit on open files is too low even for a small run. Holds the limit.
    #[error("the limit of {0} open files is too low: raise it, as with `ulimit -n 1024`")]
    OpenFiles(usize),
}

impl StartError {
    /// What the process ends with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::LogDir { .. } | Self::OpenFiles(_) => Exit::Usage,
            Self::Lock(LockError::Lease(error)) if error.is_configuration() => Exit::Usage,
            Self::Refused(_) => Exit::Withheld,
            Self::Hangs { exit, .. } => *exit,
            Self::Lock(_) | Self::Root { .. } | Self::Opslog { .. } => Exit::Fatal,
        }
    }
}
