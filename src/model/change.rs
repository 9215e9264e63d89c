//! Change: what an operation does to a name at the destination, and what kind of thing has that
//! name.

use super::{Entry, EntryKind};

/// How an operation changes the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// The name was not there.
    Create,
    /// The name was there and gets new content or metadata.
    Update,
    /// The name was there and goes, because the source does not have it.
    Delete,
}

/// What kind of thing an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

impl Change {
    /// The change to a name under which the destination has `dest`.
    pub fn of(dest: Option<&Entry>) -> Self {
        if dest.is_some() { Self::Update } else { Self::Create }
    }
}

impl Subject {
    /// The subject of carrying an entry.
    pub fn of(entry: &Entry) -> Self {
        match entry.kind {
            EntryKind::Directory => Self::Directory,
            EntryKind::Symlink { .. } => Self::Symlink,
            _ => Self::File,
        }
    }
}
