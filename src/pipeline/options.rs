//! Options: what the stages need to know of the user's wishes and of the process, grouped by who
//! needs it.

use std::time::Duration;

use super::classify::{Checksum, Policy};
use super::selection::Selection;
use crate::model::{Entry, Name, Owner, Timestamp};
use crate::tree::owner_of_new_files;

/// What the stages need to know of the user's wishes and of the process.
#[derive(Clone, Debug)]
pub struct Options {
    /// Plan only: neither tree is touched.
    pub dry_run: bool,
    /// How names are decided about.
    pub policy: Policy,
    /// Which names take part.
    pub selection: Selection,
    /// The conditions under which what only the destination has is deleted; `None` if it is kept.
    pub deletion: Option<Deletion>,
    /// What is carried beside the content.
    pub metadata: MetadataOptions,
    /// Threads, bytes and disks.
    pub io: IoOptions,
    /// What tells this run apart from others, and what its process gives to new files.
    pub process: Process,
}

/// The conditions under which what only the destination has is deleted, and the way in which it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Deletion {
    /// More candidates than this, and none is deleted.
    pub max: MaxDelete,
    /// What becomes of a candidate.
    pub method: DeletionMethod,
    /// A file that must be in both roots.
    pub require_file: Option<Name>,
}

/// More candidates than this, and none is deleted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MaxDelete {
    /// That number of candidates.
    Count(u64),
    /// A percentage of the destination's entries. Fewer than a hundred candidates are always
    /// allowed.
    Percent(f64),
    /// Any number is allowed.
    Unlimited,
}

/// What becomes of a candidate for deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionMethod {
    /// It is removed for good: `unlink` and `rmdir`.
    Remove,
}

/// What is carried beside the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataOptions {
    /// Carry owner and group.
    pub owner: bool,
    /// Carry the permission bits.
    pub mode: bool,
    /// Carry extended attributes and, with the permission bits, ACLs.
    pub xattrs: bool,
}

/// Threads, bytes and disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoOptions {
    /// Threads that copy, hash, make directories and delete.
    pub workers: usize,
    /// Threads that list directories.
    pub scan_threads: usize,
    /// Bytes that all workers together read in a second at most; `None` if there is no limit.
    pub bwlimit: Option<u64>,
    /// Compute the MD5 of everything that is copied.
    pub hash_copies: bool,
    /// When files are written through to disk.
    pub fsync: Fsync,
    /// Whether the destination is on another machine.
    pub dest_on_network: bool,
    /// A file's size in bytes. The interrupted copy of a larger file is resumed, if the run holds
    /// the lock.
    pub resume_above: u64,
}

/// What tells a run apart from others, and what its process gives to new files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// A random number that tells this run's temporaries from those of other runs.
    pub run: u64,
    /// Whether the run holds the pair's lock. With it, temporaries of other runs are leftovers.
    /// Without it, they may be in use.
    pub holds_lock: bool,
    /// When the run began.
    pub began: Timestamp,
    /// User and group that new files get from this process.
    pub owner: Owner,
    /// Permission bits that new files lack if the mode is not carried.
    pub umask: u32,
}

impl Process {
    /// A run of this process that began at `began`, with a umask of 0. `run` has to be random.
    pub fn new(run: u64, holds_lock: bool, began: Timestamp) -> Self {
        Self { run, holds_lock, began, owner: owner_of_new_files(), umask: 0 }
    }
}

impl Options {
    /// What the command line's defaults mean for two local trees: four workers, everything is
    /// carried, nothing is deleted.
    pub fn plain(process: Process) -> Self {
        Self {
            dry_run: false,
            policy: Policy {
                mtime_threshold: Duration::from_secs(2),
                checksum: Checksum::Mismatch,
                min_age: None,
            },
            selection: Selection::default(),
            deletion: None,
            metadata: MetadataOptions { owner: true, mode: true, xattrs: true },
            io: IoOptions {
                workers: 4,
                scan_threads: 8,
                bwlimit: None,
                hash_copies: true,
                fsync: Fsync::AtEnd,
                dest_on_network: false,
                resume_above: 1024 * 1024 * 1024,
            },
            process,
        }
    }

    /// Whether an interrupted copy of a file of that size in bytes is resumed. That requires that
    /// it is known what is on disk.
    pub(super) fn resumes(&self, len: Option<u64>) -> bool {
        let IoOptions { fsync, resume_above, .. } = self.io;
        self.process.holds_lock
            && fsync != Fsync::Never
            && len.is_some_and(|len| len > resume_above)
    }

    /// The permission bits that a new file or directory gets in the end.
    pub(super) fn mode_of_new(&self, source: &Entry) -> u32 {
        if self.metadata.mode { source.mode } else { source.mode & 0o777 & !self.process.umask }
    }
}

/// When files are written through to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Each file is written through before it gets its name.
    EachFile,
    /// The whole file system of the destination is written through once, at the end.
    AtEnd,
    /// The kernel writes when it likes.
    Never,
}
