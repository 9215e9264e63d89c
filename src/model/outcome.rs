//! What became of one operation: the nouns that travel from the workers to the opslog.

use std::fmt;
use std::time::SystemTime;

use super::RelPath;

/// An MD5 digest. It tells whether two contents are the same; it is no protection against forgery.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Md5(pub [u8; 16]);

impl fmt::Display for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How an operation changes the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// The name was not there.
    Create,
    /// The name was there and gets new content or metadata.
    Update,
}

/// What kind of thing an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

/// One finished operation: a line of the opslog.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Where, relative to the roots.
    pub path: RelPath,
    /// Create or update.
    pub change: Change,
    /// What was carried.
    pub subject: Subject,
    /// The destination's size in bytes before; nothing for a create or where it was no file.
    pub size_before: Option<u64>,
    /// The destination's size in bytes after; nothing where it is no file.
    pub size_after: Option<u64>,
    /// Digest of the destination before, where the comparison computed it.
    pub md5_before: Option<Md5>,
    /// Digest of what was carried, where it was computed.
    pub md5_after: Option<Md5>,
    /// Bytes of content that were transferred.
    pub bytes: u64,
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
    /// The destination is as it was; `reason` says why.
    Failed(Failure),
}

/// Why a path was not carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How it counts.
    pub cause: Cause,
    /// One sentence for people.
    pub reason: String,
}

/// How a failure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A system call failed, or what lies there is unknown.
    Error,
    /// A directory meets something else; nothing orders the two.
    Conflict,
    /// The source changed while it was being carried: left for the next run.
    Deferred,
}

impl Outcome {
    /// The outcome of something that failed and changed nothing at the path itself.
    pub fn failed(
        path: RelPath,
        change: Change,
        subject: Subject,
        started: SystemTime,
        failure: Failure,
    ) -> Self {
        Self {
            path,
            change,
            subject,
            size_before: None,
            size_after: None,
            md5_before: None,
            md5_after: None,
            bytes: 0,
            started,
            ended: SystemTime::now(),
            verdict: Verdict::Failed(failure),
        }
    }
}

impl Failure {
    /// Something went wrong.
    pub fn error(reason: String) -> Self {
        Self {
            cause: Cause::Error,
            reason,
        }
    }

    /// The kinds at the two sides can't replace each other.
    pub fn conflict(source: &str, dest: &str) -> Self {
        let reason = format!("{source} at the source, {dest} at the destination; rename or remove one");
        Self {
            cause: Cause::Conflict,
            reason,
        }
    }
}
