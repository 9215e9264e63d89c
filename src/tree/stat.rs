//! What `statx` tells of an entry, and how fresh that has to be.
//!
//! In comes a name or an open handle, out goes an [`Entry`]. Directories, files and symlinks all
//! look at themselves through this file.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags};

use crate::model::{Entry, EntryKind, Timestamp};

/// What the comparison needs to know of an entry, and no more: asking for more could cost an NFS
/// round trip.
pub(super) const WANTED: StatxFlags = StatxFlags::TYPE
    .union(StatxFlags::MODE)
    .union(StatxFlags::NLINK)
    .union(StatxFlags::UID)
    .union(StatxFlags::GID)
    .union(StatxFlags::MTIME)
    .union(StatxFlags::CTIME)
    .union(StatxFlags::INO)
    .union(StatxFlags::SIZE)
    .union(StatxFlags::BLOCKS);

/// How fresh the answer of a look has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// What the kernel was told last, without asking the server (`AT_STATX_DONT_SYNC`). After a
    /// change, that is what the server answered to the change.
    Told,
    /// What the kernel knows. An NFS client may answer from its attribute cache.
    Cached,
    /// What the server knows now (`AT_STATX_FORCE_SYNC`).
    Server,
}

impl Freshness {
    /// The flags of `statx` that ask for it.
    pub(super) fn flags(self) -> AtFlags {
        match self {
            Self::Told => AtFlags::STATX_DONT_SYNC,
            Self::Cached => AtFlags::empty(),
            Self::Server => AtFlags::STATX_FORCE_SYNC,
        }
    }
}

/// Calls `statx` on what a handle refers to.
pub(super) fn look_at_handle(fd: impl AsFd, freshness: Freshness) -> io::Result<Statx> {
    Ok(rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH | freshness.flags(), WANTED)?)
}

/// The entry of an open handle, which is never a symlink.
pub(super) fn entry_of_stat(stat: &Statx) -> Entry {
    let kind = match FileType::from_raw_mode(stat.stx_mode.into()) {
        FileType::RegularFile => EntryKind::File { len: stat.stx_size },
        FileType::Directory => EntryKind::Directory,
        _ => EntryKind::Special,
    };
    entry_of_kind(stat, kind)
}

/// The entry of a name whose kind is known.
pub(super) fn entry_of_kind(stat: &Statx, kind: EntryKind) -> Entry {
    Entry {
        kind,
        mtime: Timestamp { seconds: stat.stx_mtime.tv_sec, nanoseconds: stat.stx_mtime.tv_nsec },
        ctime: Timestamp { seconds: stat.stx_ctime.tv_sec, nanoseconds: stat.stx_ctime.tv_nsec },
        inode: stat.stx_ino,
        mode: u32::from(stat.stx_mode) & 0o7777,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        links: stat.stx_nlink,
    }
}
