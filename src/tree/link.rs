//! A symlink itself, held by a handle: whatever is put under its name meanwhile is not touched.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};

use super::dir::{Dir, Freshness, look_at_handle};
use super::metadata::mtime_only;
use crate::model::Timestamp;

/// A handle on a symlink.
#[derive(Debug)]
pub struct Link {
    fd: OwnedFd,
    owner: (u32, u32),
}

impl Link {
    /// Gets hold of a symlink that was just made; anything else under that name is refused.
    pub(super) fn open(dir: &Dir, name: &[u8]) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(dir, name, flags, Mode::empty())?;
        let stat = look_at_handle(&fd, Freshness::Cached)?;
        if FileType::from_raw_mode(stat.stx_mode.into()) != FileType::Symlink {
            return Err(io::Error::other("the temporary was replaced by something else"));
        }
        Ok(Self { fd, owner: (stat.stx_uid, stat.stx_gid) })
    }

    /// User and group that it was made with.
    pub fn owner(&self) -> (u32, u32) {
        self.owner
    }

    /// Sets owner and group; what is not given stays.
    pub fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        Ok(rustix::fs::chownat(&self.fd, c"", uid, gid, AtFlags::EMPTY_PATH)?)
    }

    /// Sets the time of last change.
    pub fn set_mtime(&self, mtime: Timestamp) -> io::Result<()> {
        Ok(rustix::fs::utimensat(&self.fd, c"", &mtime_only(mtime), AtFlags::EMPTY_PATH)?)
    }
}
