//! Roots: whether one tree lies inside the other.
//!
//! A bind mount hides that from every comparison of paths, and two mounts of one server hide it
//! from the comparison of devices, too. So the scan itself looks out for it.

use std::sync::Arc;

use crate::model::{Entry, EntryKind, Joined};
use crate::pipeline::error::Error;
use crate::pipeline::node::DirNode;
use crate::pipeline::trees::Trees;
use crate::tree::{DirRef, Freshness, Tree};

/// What identifies the two roots.
pub(super) struct Roots {
    /// The inode number of the source's root.
    source: u64,
    dest: u64,
    /// Whether both are on one file system, as far as that can be seen.
    on_one: bool,
}

impl Roots {
    /// Fails if a root cannot be told from other directories.
    pub(super) fn of(trees: &Trees) -> Result<Self, Error> {
        let identity = |tree: &Arc<Tree>| {
            tree.root()
                .identity()
                .map_err(|error| Error::Root { path: tree.path().to_owned(), error })
        };
        let (source, dest) = (identity(&trees.source)?, identity(&trees.dest)?);
        let on_one = (source.0, source.1) == (dest.0, dest.1);
        Ok(Self { source: source.2, dest: dest.2, on_one })
    }

    /// Whether an entry of one tree is the root of the other one. If only the inode number matches
    /// and the file systems seem to differ, the root's times are compared, too.
    pub(super) fn is_other_root(&self, node: &DirNode, joined: Joined<&Entry>) -> bool {
        let is_root = |entry: Option<&Entry>, inode: u64, place: &DirRef| {
            let Some(entry) = entry.filter(|entry| entry.inode == inode) else { return false };
            let is_alike = || {
                let root = place.tree().root().look_at_self(Freshness::Server);
                // A root that does not answer may be the one.
                root.map_or(true, |root| (root.mtime, root.ctime) == (entry.mtime, entry.ctime))
            };
            entry.kind == EntryKind::Directory && (self.on_one || is_alike())
        };
        is_root(joined.source(), self.dest, &node.dest)
            || is_root(joined.dest(), self.source, &node.source)
    }
}
