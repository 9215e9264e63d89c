//! Entry: what a directory holds under one name, as one look at it showed.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One directory entry without its name: its kind and the metadata that decisions rest on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is, with what only this kind has.
    pub kind: EntryKind,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last change of the inode, set by the file system alone. It shows a change that kept size and
    /// mtime.
    pub ctime: Timestamp,
    /// The inode's number on its file system.
    pub inode: u64,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// Owning user.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// Number of hard links.
    pub links: u32,
}

/// The kinds of entry that make a difference to the sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Its size in bytes.
        len: u64,
    },
    /// A directory on the root's own file system.
    Directory,
    /// A symbolic link, which is carried and never followed.
    Symlink {
        /// Where it points, byte for byte.
        target: Box<[u8]>,
    },
    /// A fifo, socket or device: never opened, copied or deleted.
    Special,
    /// The root of another file system: never entered.
    MountPoint,
    /// The name is there, but looking at it failed. What it is and what lies below it is unknown.
    Unreadable {
        /// The operating system's error number.
        errno: i32,
    },
}

impl Entry {
    /// An entry whose name was listed, but which could not be looked at. `errno` says why.
    pub fn unreadable(errno: i32) -> Self {
        let never = Timestamp::default();
        Self {
            kind: EntryKind::Unreadable { errno },
            mtime: never,
            ctime: never,
            inode: 0,
            mode: 0,
            uid: 0,
            gid: 0,
            links: 1,
        }
    }

    /// Whether this is still what the earlier look showed: the same object with its content
    /// untouched.
    ///
    /// A change of owner, mode or link count shows in the ctime.
    pub fn is_same_version_as(&self, earlier: &Self) -> bool {
        self.kind == earlier.kind
            && self.inode == earlier.inode
            && self.mtime == earlier.mtime
            && self.ctime == earlier.ctime
    }

    /// Whether it is a regular file or a symlink. These are carried and deleted one by one.
    pub fn is_leaf(&self) -> bool {
        matches!(self.kind, EntryKind::File { .. } | EntryKind::Symlink { .. })
    }

    /// The size of a regular file in bytes; `None` for anything else.
    pub fn file_len(&self) -> Option<u64> {
        match self.kind {
            EntryKind::File { len } => Some(len),
            _ => None,
        }
    }
}

impl EntryKind {
    /// The kind in one word, with its article, for messages.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::File { .. } => "a file",
            Self::Directory => "a directory",
            Self::Symlink { .. } => "a symlink",
            Self::Special => "a fifo, socket or device",
            Self::MountPoint => "a mount point",
            Self::Unreadable { .. } => "unreadable",
        }
    }
}
