//! Closing a file and hearing what the kernel says about it: the one home of `unsafe`.
//!
//! On NFS a write may be reported as failed (disk full, quota) only by `close`. Dropping an
//! `OwnedFd` closes too, but throws that answer away.

use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};

/// Closes the descriptor. It is gone afterwards, also where an error is returned: Linux has
/// released it by then, and a second `close` could hit another thread's new file.
#[allow(unsafe_code)]
pub(super) fn close(fd: OwnedFd) -> io::Result<()> {
    // SAFETY: `into_raw_fd` gave up the only owner, so nobody else uses or closes this number.
    unsafe { rustix::io::try_close(fd.into_raw_fd()) }.map_err(Into::into)
}
