//! The mark of a directory that a run has made and not finished.
//!
//! A run that is killed between making a directory and giving it to its owner would leave it ours for ever,
//! since a difference in owner or mode alone is no work. So such a directory bears a mark while it is made:
//! its mode. The next run knows it by that and finishes it.

use super::node::DirNode;
use super::options::Options;
use crate::model::Joined;

/// While a directory is being filled we must be able to get in, whatever mode it will have.
pub(super) const OURS: u32 = 0o700;

/// The permission bits of a directory that has been made and still lacks its owner, xattrs or set-id bits:
/// ours alone, and sticky, which says nothing in such a directory. Nobody makes one like that by hand.
pub(super) const HALF_MADE: u32 = 0o1700;

/// Whether a directory has the mode of one that is half made. The directory above may hand down a setgid
/// bit, and its default ACL may take some of the owner's rights.
pub(super) fn is_marked(mode: u32) -> bool {
    mode & !0o2700 == HALF_MADE & !0o700
}

/// Whether an empty directory is what a run leaves that was killed right after it had made it: marked, and
/// still ours or just given to its owner.
pub(super) fn looks_half_made(node: &DirNode, options: &Options) -> bool {
    let (Joined::Both(source, dest), Some(_)) = (&node.joined, &node.above) else { return false };
    let is_ours = dest.uid == options.process.owner.uid;
    is_marked(dest.mode)
        && !is_marked(options.mode_of_new(source) | OURS)
        && (is_ours || options.metadata.owner && dest.uid == source.uid)
}
