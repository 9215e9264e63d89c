//! Node: one directory on both sides, and the work that is left in it.
//!
//! A node counts what is unfinished in it and below: its own scan, every operation, every directory
//! below. Whoever brings the count to zero finishes the directory. So a directory gets its mtime
//! after its children, and it is known when nothing in it stays, without a list of the whole tree.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use serde::{Deserialize, Serialize};

use crate::locked::locked;
use crate::model::{Entry, Failure, Joined, Name, Owner, RelPath, Timestamp};
use crate::tree::DirRef;

/// How a directory that had to be made came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// This run has made or finished it. `inode` is its inode number, `mode` the mode that it gets
    /// in the end.
    ByUs { inode: u64, mode: u32 },
    /// Another process had made it before.
    Found,
}

/// What a new entry gets without our doing, from this process and from the directory in which it is
/// made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inherits {
    /// The user is ours. The group is ours, or the group of a directory with a setgid bit.
    pub(super) owner: Owner,
    /// Whether the directory hands down an ACL.
    pub(super) acl: bool,
}

/// A name that only the destination has, with the entry that was scanned under it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Candidate {
    pub(super) name: Name,
    pub(super) entry: Entry,
}

/// One directory on both sides, on its way to being the same.
#[derive(Debug)]
pub(super) struct DirNode {
    pub(super) source: Arc<DirRef>,
    pub(super) dest: Arc<DirRef>,
    /// What the sides have, as the scan saw it. A directory that only the source has is to be made.
    /// A directory that only the destination has goes with everything in it, unless something in it
    /// has to stay.
    pub(super) joined: Joined<Entry>,
    pub(super) above: Option<Arc<DirNode>>,
    /// The result of making the destination directory, or of finishing one that a killed run had
    /// only begun. Set when the directory is first needed.
    pub(super) made: OnceLock<Result<Made, Failure>>,
    /// What new entries in the destination directory inherit. Set when it is first needed.
    pub(super) inherits: OnceLock<Inherits>,
    unfinished: AtomicUsize,
    half_made: AtomicBool,
    changed: AtomicBool,
    /// Whether something in it stays.
    kept: AtomicBool,
    /// Whether something in it is a candidate for deletion.
    has_candidates: AtomicBool,
    /// Directories in it that are candidates themselves, because nothing in them stays.
    empty_subdirs: Mutex<Vec<Candidate>>,
}

impl DirNode {
    /// The node of the two roots. Like every new node it counts one unfinished piece of work: its
    /// scan.
    pub(super) fn root(source: Arc<DirRef>, dest: Arc<DirRef>, joined: Joined<Entry>) -> Arc<Self> {
        Arc::new(Self::new(source, dest, joined, None))
    }

    /// The node of that name in this one. The caller has counted it as unfinished work here
    /// ([`DirNode::begin`]).
    pub(super) fn child(self: &Arc<Self>, name: &[u8], joined: Joined<Entry>) -> Arc<Self> {
        Arc::new(Self::new(
            self.source.child(name),
            self.dest.child(name),
            joined,
            Some(Arc::clone(self)),
        ))
    }

    fn new(
        source: Arc<DirRef>,
        dest: Arc<DirRef>,
        joined: Joined<Entry>,
        above: Option<Arc<Self>>,
    ) -> Self {
        Self {
            source,
            dest,
            joined,
            above,
            made: OnceLock::new(),
            inherits: OnceLock::new(),
            unfinished: AtomicUsize::new(1),
            half_made: AtomicBool::new(false),
            changed: AtomicBool::new(false),
            kept: AtomicBool::new(false),
            has_candidates: AtomicBool::new(false),
            empty_subdirs: Mutex::default(),
        }
    }

    /// The path from the roots.
    pub(super) fn path(&self) -> RelPath {
        self.dest.path()
    }

    /// The source directory; `None` if only the destination has it.
    pub(super) fn source_entry(&self) -> Option<&Entry> {
        self.joined.as_ref().source()
    }

    /// The destination directory; `None` if it has to be made.
    pub(super) fn dest_entry(&self) -> Option<&Entry> {
        self.joined.as_ref().dest()
    }

    /// Whether the directory has to be made or finished before anything is put into it.
    pub(super) fn is_to_be_made(&self) -> bool {
        self.dest_entry().is_none() || self.is_half_made()
    }

    /// Notes that a killed run has made the directory and done no more. To be called before any of
    /// the node's work is sent on.
    pub(super) fn mark_half_made(&self) {
        self.half_made.store(true, Ordering::Relaxed);
    }

    /// Whether the destination directory is one that a killed run has made, without doing more.
    pub(super) fn is_half_made(&self) -> bool {
        self.half_made.load(Ordering::Relaxed)
    }

    /// Whether only the destination has it.
    pub(super) fn is_at_dest_only(&self) -> bool {
        matches!(self.joined, Joined::DestOnly(_))
    }

    /// The mtime that the destination directory gets after a change in it.
    ///
    /// The newest wins here, too: an earlier change at the destination may be younger than the
    /// source's last one.
    pub(super) fn mtime(&self) -> Timestamp {
        match &self.joined {
            Joined::Both(source, dest) => source.mtime.max(dest.mtime),
            Joined::SourceOnly(only) | Joined::DestOnly(only) => only.mtime,
        }
    }

    /// Counts one more piece of work.
    pub(super) fn begin(&self) {
        self.unfinished.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one piece of work as done. `true` if it was the last.
    ///
    /// Acquire and release: whoever finishes the directory sees everything that was done in it.
    pub(super) fn end(&self) -> bool {
        self.unfinished.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Notes that the destination directory is about to be changed, so that its mtime has to be set
    /// in the end.
    pub(super) fn mark_changed(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Whether the destination directory was changed.
    pub(super) fn is_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// Notes that something in the directory stays, and therefore the directory does.
    pub(super) fn mark_kept(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// Whether something in it stays. The answer is final only when the node's work has ended.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed)
    }

    /// Notes that something in the directory is a candidate for deletion.
    pub(super) fn mark_candidates(&self) {
        self.has_candidates.store(true, Ordering::Relaxed);
    }

    /// Whether something in it is a candidate.
    pub(super) fn has_candidates(&self) -> bool {
        self.has_candidates.load(Ordering::Relaxed)
    }

    /// Adds a directory in which nothing stays. As soon as there are `many`, takes and returns them
    /// all.
    pub(super) fn add_empty_subdir(&self, directory: Candidate, many: usize) -> Vec<Candidate> {
        let mut empty = locked(&self.empty_subdirs);
        empty.push(directory);
        if empty.len() >= many { std::mem::take(&mut empty) } else { Vec::new() }
    }

    /// Takes all directories in it in which nothing stays.
    pub(super) fn take_empty_subdirs(&self) -> Vec<Candidate> {
        std::mem::take(&mut locked(&self.empty_subdirs))
    }
}

impl Drop for DirNode {
    /// Takes a long chain apart step by step, because a tree may be deeper than the stack.
    fn drop(&mut self) {
        let mut above = self.above.take();
        while let Some(node) = above {
            above = Arc::into_inner(node).and_then(|mut node| node.above.take());
        }
    }
}
