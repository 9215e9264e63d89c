//! The only code that makes system calls on the two trees: directory handles, listings, files,
//! temporaries, metadata.
//!
//! It knows what the operating system can do and decides nothing. Every call is relative to an open
//! directory handle, takes one name and never follows a symlink. A tree knows nothing of the other
//! one.

mod close;
mod dir;
mod dir_ref;
mod errno;
mod file;
mod link;
mod listing;
mod listing_part;
mod metadata;
mod network;
mod path_resolver;
mod process;
mod reserved;
mod stat;
mod temporary;
mod xattrs;

pub use dir::{Access, Dir, Publish};
pub use dir_ref::{DirRef, OpenDir, Tree};
pub use errno::{concerns_whole_tree, is_elsewhere};
pub use file::{Extent, File, Layout};
pub use link::Link;
pub use listing::Listing;
pub use listing_part::{LOOK_AT_ONCE, ListingPart, UnstattedNames};
pub use metadata::{set_mode, set_mtime, set_mtime_to_now, set_owner, try_times};
pub use path_resolver::{MAX_HANDLE_AGE, PathResolver};
pub use process::{owner_of_new_files, raise_open_files, take_umask};
pub use reserved::LOG_DIR_TAG;
pub use stat::Freshness;
pub use temporary::{Temporary, TemporaryNames, is_temporary_for};
pub use xattrs::{XattrKind, Xattrs, hands_down_acl, remove_xattr, set_xattr};
