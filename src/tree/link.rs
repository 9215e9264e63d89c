//! A symlink itself, held by a handle. Whatever gets its name in the meantime is not touched.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};

use super::dir::Dir;
use super::metadata::mtime_only;
use super::stat::{Freshness, look_at_handle};
use crate::model::{Owner, Timestamp};

/// A handle on a symlink.
#[derive(Debug)]
pub struct Link {
    fd: OwnedFd,
    owner: Owner,
}

impl Link {
    /// Opens a symlink that was just made. Fails if the name is not a symlink's any more.
    pub(super) fn open(dir: &Dir, name: &[u8]) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(dir, name, flags, Mode::empty())?;
        let stat = look_at_handle(&fd, Freshness::Cached)?;
        if FileType::from_raw_mode(stat.stx_mode.into()) != FileType::Symlink {
            return Err(io::Error::other("the temporary was replaced by something else"));
        }
        Ok(Self { fd, owner: Owner { uid: stat.stx_uid, gid: stat.stx_gid } })
    }

    /// User and group that the symlink was made with.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Sets owner and group. `None` leaves one as it is.
    pub fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        Ok(rustix::fs::chownat(&self.fd, c"", uid, gid, AtFlags::EMPTY_PATH)?)
    }

    /// Sets the mtime.
    pub fn set_mtime(&self, mtime: Timestamp) -> io::Result<()> {
        Ok(rustix::fs::utimensat(&self.fd, c"", &mtime_only(mtime), AtFlags::EMPTY_PATH)?)
    }
}
