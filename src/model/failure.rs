//! Failure: why a path was not carried or deleted. It is data and travels with the path's outcome.

use std::io;

use super::Side;

/// Why a path was not carried or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How it counts.
    pub cause: Cause,
    /// One sentence for people.
    pub reason: String,
    /// The system call that failed on one of the trees; `None` if there is another reason.
    pub fault: Option<Fault>,
}

/// Something that failed on one of the trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The tree on which it failed.
    pub side: Side,
    /// The operating system's error number; `None` if there was none.
    pub errno: Option<i32>,
}

/// How a failure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A system call failed, or what lies there is unknown.
    Error,
    /// A directory meets something else. Nothing says which of the two is to win.
    Conflict,
    /// The source changed while it was being carried. It is left for the next run.
    Deferred,
}

impl Failure {
    /// A failure that counts as an error and does not come from one of the trees.
    pub fn error(reason: String) -> Self {
        Self { cause: Cause::Error, reason, fault: None }
    }

    /// A system call failed on that side; `doing` completes "failed while …".
    pub fn fault(side: Side, doing: &str, error: &io::Error) -> Self {
        let fault = Fault { side, errno: error.raw_os_error() };
        Self { fault: Some(fault), ..Self::error(format!("{doing}: {error}")) }
    }

    /// The path is in use by another process just now.
    pub fn deferred(reason: &str) -> Self {
        Self { cause: Cause::Deferred, ..Self::error(reason.to_owned()) }
    }

    /// What stands on one side could not be looked at, so nothing may be concluded about the name.
    pub fn unknown(side: Side, errno: i32) -> Self {
        let error = io::Error::from_raw_os_error(errno);
        Self::fault(side, &format!("looking at {}", side.name()), &error)
    }

    /// The kinds on the two sides can't replace each other.
    pub fn conflict(source: &str, dest: &str) -> Self {
        let reason =
            format!("{source} at the source, {dest} at the destination; rename or remove one");
        Self { cause: Cause::Conflict, ..Self::error(reason) }
    }
}
