//! Completion: when a directory is done, and what happens to it then.
//!
//! A directory is done when its last piece of work has ended. Then it gets its final mode and
//! mtime. At that point it is also known whether anything in it stays. If nothing does, the
//! directory itself is a candidate for deletion, and so on upwards. Files and symlinks are
//! candidates as soon as their directory has been compared.

use std::sync::Arc;

use super::context::Context;
use super::delete::candidates::{BATCH, Batch, Item};
use super::error::Error;
use super::execute::tools::Tools;
use super::halt::{Doing, OpResult};
use super::node::{Candidate, DirNode};
use super::options::Fsync;
use super::trees::Trees;
use crate::model::{Leave, Name, Summary, Timestamp};
use crate::tree::{Dir, Freshness};

/// Finishes directories on behalf of all stages.
pub(super) struct Completion<'a> {
    context: &'a Context<'a>,
    tools: &'a Tools<'a>,
}

impl<'a> Completion<'a> {
    pub(super) fn new(context: &'a Context<'a>, tools: &'a Tools<'a>) -> Self {
        Self { context, tools }
    }

    /// Counts one piece of the node's work as done. If it was the last, finishes the node's
    /// directory, and so on upwards.
    pub(super) fn end_work(&self, node: Arc<DirNode>) {
        let mut done = Some(node);
        while let Some(node) = done.take_if(|node| node.end()) {
            self.tools.finish_directory(&node);
            self.settle(&node);
            done = node.above.clone();
        }
    }

    /// Counts a name that stays as it is on both sides, by the reason.
    pub(super) fn leave(&self, node: &DirNode, name: &[u8], left: Leave, counts: &mut Summary) {
        counts.add_left(left);
        if let Leave::InSync { .. } = left {
            self.equal(node, name);
        }
    }

    /// Reports a name under which both sides hold the same, or have come to. Every such name is
    /// reported here exactly once, so this is the place to learn on what the two sides agree.
    pub(super) fn equal(&self, node: &DirNode, name: &[u8]) {
        self.context.monitor.equal(&|| node.path().join(name));
    }

    /// Keeps candidates of the node's directory for the second phase.
    pub(super) fn collect(&self, node: &DirNode, candidates: Vec<Candidate>) {
        if candidates.is_empty() {
            return;
        }
        node.mark_candidates();
        let directory = node.path();
        let shared = directory.names().count() - missing_at_source(node);
        let mut rest = candidates.into_iter().peekable();
        while rest.peek().is_some() {
            let candidates = rest.by_ref().take(BATCH).collect();
            let batch = Batch { directory: directory.clone(), shared, candidates };
            self.context.candidates.push(&Item::Delete(batch));
        }
    }

    /// Restores the mtime of a directory that stays, after something was deleted in it.
    pub(super) fn restore_mtime(&self, dir: &Dir, mtime: Timestamp) -> OpResult<()> {
        let has = dir.look_at_self(Freshness::Cached).at_dest("looking at the directory")?;
        self.context.may_change()?;
        if has.mtime == mtime { Ok(()) } else { self.tools.set_directory_mtime(dir, mtime) }
    }

    /// Makes the destination's file system write the changes to disk, unless that happens file by
    /// file.
    pub(super) fn write_to_disk(&self, trees: &Trees) -> Result<(), Error> {
        let Context { options, stop, .. } = self.context;
        if options.io.fsync != Fsync::AtEnd || stop.is_requested() || !self.context.take_changed() {
            return Ok(());
        }
        trees.dest.root().sync_file_system().map_err(Error::Sync)
    }

    /// Decides whether the directory itself goes, once everything in it and below has been looked
    /// at.
    fn settle(&self, node: &DirNode) {
        self.collect(node, node.take_empty_subdirs());
        let (Some(above), Some((_, name)), Some(entry)) =
            (&node.above, node.dest.above(), node.dest_entry())
        else {
            return self.keep(node);
        };
        if !node.is_at_dest_only() {
            return self.keep(node);
        }
        if node.is_kept() {
            above.mark_kept();
            return self.keep(node);
        }
        let empty = Candidate { name: Name::clone(name), entry: entry.clone() };
        self.collect(above, above.add_empty_subdir(empty, BATCH));
    }

    /// Notes that the directory stays. Its mtime is restored after the deletions in it.
    fn keep(&self, node: &DirNode) {
        if node.has_candidates() {
            let (directory, mtime) = (node.path(), node.mtime());
            self.context.candidates.push(&Item::Restore { directory, mtime });
        }
    }
}

/// How many names at the end of the node's path the source lacks.
fn missing_at_source(node: &DirNode) -> usize {
    let mut missing = 0;
    let mut next = Some(node);
    while let Some(node) = next.filter(|node| node.is_at_dest_only()) {
        missing += 1;
        next = node.above.as_deref();
    }
    missing
}
