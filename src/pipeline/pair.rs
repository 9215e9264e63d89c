//! One directory of the two trees: the node that its work hangs on.
//!
//! A pair counts what is unfinished in it and below: its own scan, every operation, every
//! directory below. Whoever brings the count to nothing finishes the directory, which is how a
//! directory's mtime is set after its children, and how it is known that nothing in it stays,
//! without a list of the tree.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::candidates::Candidate;
use super::execute::Inherits;
use crate::model::{Entry, Failure, RelPath, Timestamp};
use crate::tree::Place;

/// A directory that had to be made is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// This run has made or finished it, with that inode number; in the end it shall have that mode.
    ByUs { inode: u64, mode: u32 },
    /// Somebody else was faster.
    Found,
}

/// On which sides a directory stands, as the scan saw it.
#[derive(Debug)]
pub(super) enum Stands {
    /// On both.
    OnBoth { source: Entry, dest: Entry },
    /// Only at the source: it has to be made.
    AtSource(Entry),
    /// Only at the destination: it goes, with everything in it, if nothing in it has to stay.
    AtDest(Entry),
}

/// A directory on its way to being the same on both sides.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) source: Arc<Place>,
    pub(super) dest: Arc<Place>,
    pub(super) stands: Stands,
    pub(super) above: Option<Arc<Pair>>,
    /// Whether it could be made, or finished where a killed run had only begun to, once somebody needed it.
    pub(super) made: OnceLock<Result<Made, Failure>>,
    /// What is made in it at the destination gets by itself, once somebody asked.
    pub(super) inherits: OnceLock<Inherits>,
    unfinished: AtomicUsize,
    half_made: AtomicBool,
    changed: AtomicBool,
    /// Something in it stays.
    kept: AtomicBool,
    /// Something in it is a candidate for deletion.
    thinned: AtomicBool,
    /// Directories in it that are candidates themselves, since nothing in them stays.
    emptied: Mutex<Vec<Candidate>>,
}

impl Stands {
    /// Puts together what two lookups of one name found, at least one of which found a directory.
    pub(super) fn new(source: Option<Entry>, dest: Option<Entry>) -> Option<Self> {
        match (source, dest) {
            (Some(source), Some(dest)) => Some(Self::OnBoth { source, dest }),
            (Some(source), None) => Some(Self::AtSource(source)),
            (None, Some(dest)) => Some(Self::AtDest(dest)),
            (None, None) => None,
        }
    }
}

impl Pair {
    /// The two roots. Like every new pair it counts one unfinished piece of work: its scan.
    pub(super) fn root(source: Arc<Place>, dest: Arc<Place>, stands: Stands) -> Arc<Self> {
        Arc::new(Self::new(source, dest, stands, None))
    }

    /// The pair of that name in this one. Whoever asks has counted it as unfinished work here ([`Pair::begin`]).
    pub(super) fn child(self: &Arc<Self>, name: &[u8], stands: Stands) -> Arc<Self> {
        Arc::new(Self::new(self.source.child(name), self.dest.child(name), stands, Some(Arc::clone(self))))
    }

    fn new(source: Arc<Place>, dest: Arc<Place>, stands: Stands, above: Option<Arc<Self>>) -> Self {
        Self {
            source,
            dest,
            stands,
            above,
            made: OnceLock::new(),
            inherits: OnceLock::new(),
            unfinished: AtomicUsize::new(1),
            half_made: AtomicBool::new(false),
            changed: AtomicBool::new(false),
            kept: AtomicBool::new(false),
            thinned: AtomicBool::new(false),
            emptied: Mutex::default(),
        }
    }

    /// The path from the roots.
    pub(super) fn path(&self) -> RelPath {
        self.dest.path()
    }

    /// The source directory.
    pub(super) fn source_entry(&self) -> Option<&Entry> {
        match &self.stands {
            Stands::OnBoth { source, .. } | Stands::AtSource(source) => Some(source),
            Stands::AtDest(_) => None,
        }
    }

    /// The destination directory; nothing where it has to be made.
    pub(super) fn dest_entry(&self) -> Option<&Entry> {
        match &self.stands {
            Stands::OnBoth { dest, .. } | Stands::AtDest(dest) => Some(dest),
            Stands::AtSource(_) => None,
        }
    }

    /// Whether something has to be done before anything is put into it: it has to be made, or finished.
    pub(super) fn is_to_be_made(&self) -> bool {
        self.dest_entry().is_none() || self.is_half_made()
    }

    /// Notes that a run which was killed has made it and no more. Only before any of its work is sent on.
    pub(super) fn mark_half_made(&self) {
        self.half_made.store(true, Ordering::Relaxed);
    }

    /// Whether the destination directory is one that a killed run has made and no more.
    pub(super) fn is_half_made(&self) -> bool {
        self.half_made.load(Ordering::Relaxed)
    }

    /// Whether only the destination has it.
    pub(super) fn is_at_dest_only(&self) -> bool {
        matches!(self.stands, Stands::AtDest(_))
    }

    /// The mtime that the destination directory shall have after a change in it.
    ///
    /// Newest wins here too: what was changed there before us may be younger than the source's last change.
    pub(super) fn mtime(&self) -> Timestamp {
        match &self.stands {
            Stands::OnBoth { source, dest } => source.mtime.max(dest.mtime),
            Stands::AtSource(only) | Stands::AtDest(only) => only.mtime,
        }
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

    /// Notes that something in the directory stays, and so the directory does.
    pub(super) fn mark_kept(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// Whether something in it stays. Only known when its work has ended.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed)
    }

    /// Notes that something in the directory is a candidate for deletion.
    pub(super) fn thin(&self) {
        self.thinned.store(true, Ordering::Relaxed);
    }

    /// Whether something in it is a candidate.
    pub(super) fn is_thinned(&self) -> bool {
        self.thinned.load(Ordering::Relaxed)
    }

    /// Adds a directory in it in which nothing stays. Returns those there are, once they are `many`.
    pub(super) fn add_emptied(&self, directory: Candidate, many: usize) -> Vec<Candidate> {
        let mut emptied = self.emptied.lock().unwrap_or_else(PoisonError::into_inner);
        emptied.push(directory);
        if emptied.len() >= many { std::mem::take(&mut emptied) } else { Vec::new() }
    }

    /// Takes the directories in it in which nothing stays.
    pub(super) fn take_emptied(&self) -> Vec<Candidate> {
        std::mem::take(&mut self.emptied.lock().unwrap_or_else(PoisonError::into_inner))
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
