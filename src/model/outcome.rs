//! What became of one operation: the nouns that travel from the workers to the opslog.

use std::fmt;
use std::io;
use std::time::SystemTime;

use super::{Entry, EntryKind, RelPath, Side};

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
    /// The name was there and goes, because the source does not have it.
    Delete,
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

/// What an operation did, or was to do, to the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Create, update or delete.
    pub change: Change,
    /// What was carried or deleted.
    pub subject: Subject,
    /// The destination's size in bytes before; nothing for a create or where it was no file.
    pub size_before: Option<u64>,
    /// The destination's size in bytes after; nothing where it is no file.
    pub size_after: Option<u64>,
    /// Digest of the destination before, where the comparison computed it.
    pub md5_before: Option<Md5>,
    /// Digest of what was carried, where it was computed.
    pub md5_after: Option<Md5>,
    /// Bytes of content that were transferred; in a dry run, that would be at most.
    pub bytes: u64,
}

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

/// Why a path was not carried or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How it counts.
    pub cause: Cause,
    /// One sentence for people.
    pub reason: String,
    /// What failed on one of the trees, where that was it.
    pub fault: Option<Fault>,
}

/// Something that failed on one of the trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// On which.
    pub side: Side,
    /// The operating system's error number, where it gave one.
    pub errno: Option<i32>,
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

impl Effect {
    /// An effect without sizes, digests and bytes.
    pub fn new(change: Change, subject: Subject) -> Self {
        let (size_before, size_after, md5_before, md5_after) = (None, None, None, None);
        Self { change, subject, size_before, size_after, md5_before, md5_after, bytes: 0 }
    }

    /// Whether content was found equal, so that only metadata was carried.
    pub fn is_metadata_only(&self) -> bool {
        self.bytes == 0 && self.md5_before.is_some() && self.md5_before == self.md5_after
    }
}

impl Change {
    /// The change to a name under which the destination has this.
    pub fn of(dest: Option<&Entry>) -> Self {
        if dest.is_some() { Self::Update } else { Self::Create }
    }
}

impl Subject {
    /// The subject of carrying an entry.
    pub fn of(entry: &Entry) -> Self {
        match entry.kind {
            EntryKind::Directory => Self::Directory,
            EntryKind::Symlink { .. } => Self::Symlink,
            _ => Self::File,
        }
    }
}

impl Outcome {
    /// The outcome of something that failed and changed nothing at the path itself.
    pub fn failed(path: RelPath, effect: Effect, started: SystemTime, failure: Failure) -> Self {
        Self { path, effect, started, ended: SystemTime::now(), verdict: Verdict::Failed(failure) }
    }
}

impl Failure {
    /// Something went wrong.
    pub fn error(reason: String) -> Self {
        Self { cause: Cause::Error, reason, fault: None }
    }

    /// A system call failed on that side; `doing` completes "failed while …".
    pub fn fault(side: Side, doing: &str, error: &io::Error) -> Self {
        let fault = Fault { side, errno: error.raw_os_error() };
        Self { fault: Some(fault), ..Self::error(format!("{doing}: {error}")) }
    }

    /// The path is in use by somebody else just now.
    pub fn deferred(reason: &str) -> Self {
        Self { cause: Cause::Deferred, ..Self::error(reason.to_owned()) }
    }

    /// The kinds at the two sides can't replace each other.
    pub fn conflict(source: &str, dest: &str) -> Self {
        let reason = format!("{source} at the source, {dest} at the destination; rename or remove one");
        Self { cause: Cause::Conflict, ..Self::error(reason) }
    }
}
