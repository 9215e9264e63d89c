//! The only code that makes system calls on the two trees: directory handles, listings, files,
//! temporaries, metadata.
//!
//! It answers what the operating system can do and decides nothing. Everything happens relative
//! to open directory handles, one name at a time, never following a symlink. A tree knows nothing
//! of the other one.

mod attributes;
mod close;
mod dir;
mod errno;
mod file;
mod link;
mod listing;
mod metadata;
mod network;
mod part;
mod place;
mod process;
mod reserved;
mod temporary;
mod trail;

pub use attributes::{AttributeKind, Attributes, hands_down_acl, remove_attribute, set_attribute};
pub use dir::{Access, Dir, Freshness, Publish};
pub use errno::{concerns_whole_tree, is_elsewhere};
pub use file::{Extent, File, Layout};
pub use link::Link;
pub use listing::Listing;
pub use metadata::{set_mode, set_mtime, set_mtime_to_now, set_owner, try_times};
pub use part::{LOOK_AT_ONCE, Part, Unseen};
pub use place::{Opened, Place, Tree};
pub use process::{owner_of_new_files, raise_open_files, take_umask};
pub use reserved::LOG_DIR_TAG;
pub use temporary::{Temporary, TemporaryNames, is_temporary_for};
pub use trail::{TRUSTED, Trail};
