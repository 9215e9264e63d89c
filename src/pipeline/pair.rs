//! One directory that both trees have, or are to have: the node that its work hangs on.
//!
//! A pair counts what is unfinished in it and below: its own scan, every operation, every
//! directory below. Whoever brings the count to nothing finishes the directory, which is how a
//! directory's mtime is set after its children without a list of the tree.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::model::{Entry, Failure, RelPath};
use crate::tree::Place;

/// A directory that had to be made is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// This run has made it, with that inode number.
    ByUs { inode: u64 },
    /// Somebody else was faster.
    Found,
}

/// A directory on its way to being the same on both sides.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) source: Arc<Place>,
    pub(super) dest: Arc<Place>,
    /// The source directory, as the scan saw it.
    pub(super) source_entry: Entry,
    /// The destination directory; nothing where it has to be made.
    pub(super) dest_entry: Option<Entry>,
    pub(super) above: Option<Arc<Pair>>,
    /// Whether it could be made, once somebody needed it.
    pub(super) made: OnceLock<Result<Made, Failure>>,
    unfinished: AtomicUsize,
    changed: AtomicBool,
}

impl Pair {
    /// The two roots. Like every new pair it counts one unfinished piece of work: its scan.
    pub(super) fn root(
        source: Arc<Place>,
        dest: Arc<Place>,
        source_entry: Entry,
        dest_entry: Entry,
    ) -> Arc<Self> {
        Arc::new(Self::new(source, dest, source_entry, Some(dest_entry), None))
    }

    /// The pair of that name in this one. Whoever asks has counted it as unfinished work here ([`Pair::begin`]).
    pub(super) fn child(
        self: &Arc<Self>,
        name: &[u8],
        source_entry: Entry,
        dest_entry: Option<Entry>,
    ) -> Arc<Self> {
        let (source, dest) = (self.source.child(name), self.dest.child(name));
        Arc::new(Self::new(source, dest, source_entry, dest_entry, Some(Arc::clone(self))))
    }

    fn new(
        source: Arc<Place>,
        dest: Arc<Place>,
        source_entry: Entry,
        dest_entry: Option<Entry>,
        above: Option<Arc<Self>>,
    ) -> Self {
        let (unfinished, changed) = (AtomicUsize::new(1), AtomicBool::new(false));
        Self { source, dest, source_entry, dest_entry, above, made: OnceLock::new(), unfinished, changed }
    }

    /// The path from the roots.
    pub(super) fn path(&self) -> RelPath {
        self.source.path()
    }

    /// Counts one more piece of work.
    pub(super) fn begin(&self) {
        self.unfinished.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one piece of work as done; `true` tells that it was the last.
    ///
    /// Acquire and release: who finishes the directory sees everything that was done in it.
    pub(super) fn end(&self) -> bool {
        self.unfinished.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Notes that the destination directory is about to be changed, so that its mtime has to be set in the end.
    pub(super) fn touch(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Whether the destination directory was changed.
    pub(super) fn is_touched(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }
}

impl Drop for Pair {
    /// Takes a long chain apart step by step: a tree may be deeper than the stack.
    fn drop(&mut self) {
        let mut above = self.above.take();
        while let Some(pair) = above {
            above = Arc::into_inner(pair).and_then(|mut pair| pair.above.take());
        }
    }
}
