//! Owner, mode and mtime of the file or directory that a handle refers to.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{
    AtFlags, Gid, Mode, StatxFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid,
};

use crate::model::Timestamp;

/// A time that is not set.
const UNCHANGED: Timespec = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };

/// Sets owner and group. `None` leaves one as it is. The kernel may clear the set-id bits.
pub fn set_owner(fd: impl AsFd, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    Ok(rustix::fs::fchown(fd, uid.map(Uid::from_raw), gid.map(Gid::from_raw))?)
}

/// Sets the permission bits, set-id and sticky bits included.
pub fn set_mode(fd: impl AsFd, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::fchmod(fd, Mode::from_raw_mode(mode))?)
}

/// Sets the mtime, to the nanosecond if the file system stores it.
pub fn set_mtime(fd: impl AsFd, mtime: Timestamp) -> io::Result<()> {
    Ok(rustix::fs::futimens(fd, &mtime_only(mtime))?)
}

/// Sets the mtime to now, as a write does.
pub fn set_mtime_to_now(fd: impl AsFd) -> io::Result<()> {
    let last_modification = Timespec { tv_nsec: UTIME_NOW, ..UNCHANGED };
    Ok(rustix::fs::futimens(fd, &Timestamps { last_access: UNCHANGED, last_modification })?)
}

/// Fails as setting a time would. It sets the atime to the value that the atime has. It does not
/// touch the mtime: a writer may change that at any moment, and it must not be set back.
pub fn try_times(fd: impl AsFd) -> io::Result<()> {
    let stat = rustix::fs::statx(&fd, c"", AtFlags::EMPTY_PATH, StatxFlags::ATIME)?;
    let last_access =
        Timespec { tv_sec: stat.stx_atime.tv_sec, tv_nsec: stat.stx_atime.tv_nsec.into() };
    Ok(rustix::fs::futimens(fd, &Timestamps { last_access, last_modification: UNCHANGED })?)
}

/// Times that set the mtime and leave the atime alone.
pub(super) fn mtime_only(mtime: Timestamp) -> Timestamps {
    Timestamps {
        last_access: UNCHANGED,
        last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanoseconds.into() },
    }
}
