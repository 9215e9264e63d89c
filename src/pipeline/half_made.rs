//! The mark of a directory that a run has made and not finished.
//!
//! A difference in owner or mode alone is not work for a run. So if a run is killed after it has
//! made a directory and before it has given it to its owner, the directory would stay ours for
//! ever. Therefore a directory bears a mark while it is made: its mode. The next run recognises it
//! by that mode and finishes it.

use super::node::DirNode;
use super::options::Options;
use crate::model::Joined;

/// The owner's rights to a directory while it is being filled: we must be able to enter it,
/// whatever mode it gets in the end.
pub(super) const OURS: u32 = 0o700;

/// The permission bits of a directory that has been made and still lacks its owner, xattrs or
/// set-id bits: accessible to us alone, and sticky. The sticky bit has no effect in such a
/// directory, and nobody makes one like that by hand.
pub(super) const HALF_MADE: u32 = 0o1700;

/// Whether the mode is that of a half-made directory. The directory above may hand down a setgid
/// bit, and its default ACL may remove some of the owner's rights; both are ignored.
pub(super) fn is_marked(mode: u32) -> bool {
    mode & !0o2700 == HALF_MADE & !0o700
}

/// Whether an empty directory is one that a killed run had just made: it is marked, and it still
/// belongs to us or was just given to its owner.
pub(super) fn looks_half_made(node: &DirNode, options: &Options) -> bool {
    let (Joined::Both(source, dest), Some(_)) = (&node.joined, &node.above) else { return false };
    let is_ours = dest.uid == options.process.owner.uid;
    is_marked(dest.mode)
        && !is_marked(options.mode_of_new(source) | OURS)
        && (is_ours || options.metadata.owner && dest.uid == source.uid)
}
