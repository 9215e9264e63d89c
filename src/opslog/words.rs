//! The words that the lines of an opslog choose from. The columns of the database hold the same
//! words.

use serde::{Deserialize, Serialize};

use crate::model::{Cause, Change, Subject};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $word:ident = $text:literal,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
            pub enum $name {
                $($(#[$about])* #[serde(rename = $text)] $word,)*
            }

            impl $name {
                /// The word as it is written.
                pub fn name(self) -> &'static str {
                    match self {
                        $(Self::$word => $text,)*
                    }
                }
            }
        )*
    };
}

words! {
    /// `operation`
    Operation {
        /// The name was not there.
        Create = "create",
        /// The name was there.
        Update = "update",
        /// The name was there, and the source does not have it.
        Delete = "delete",
    }

    /// `kind`
    Kind {
        /// A regular file.
        File = "file",
        /// A directory.
        Directory = "directory",
        /// A symbolic link.
        Symlink = "symlink",
    }

    /// `status` of an operation
    Status {
        /// Done or, in a dry run, planned.
        Success = "success",
        /// Not done.
        Fail = "fail",
    }

    /// `cause` of a failure
    FailCause {
        /// A system call failed.
        Error = "error",
        /// A directory meets something else on the other side.
        Conflict = "conflict",
        /// It changed while it was being copied.
        Deferred = "deferred",
    }

    /// `status` of a run
    RunStatus {
        /// Everything was done.
        Success = "success",
        /// Some paths failed or are in conflict.
        PartialFailure = "partial_failure",
        /// The run did not come to its end.
        Failed = "failed",
    }
}

impl From<Change> for Operation {
    fn from(change: Change) -> Self {
        match change {
            Change::Create => Self::Create,
            Change::Update => Self::Update,
            Change::Delete => Self::Delete,
        }
    }
}

impl From<Subject> for Kind {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::File => Self::File,
            Subject::Directory => Self::Directory,
            Subject::Symlink => Self::Symlink,
        }
    }
}

impl From<Cause> for FailCause {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Error => Self::Error,
            Cause::Conflict => Self::Conflict,
            Cause::Deferred => Self::Deferred,
        }
    }
}
