//! Closing a file and reading what `close` returns: the one home of `unsafe`.
//!
//! On NFS, `close` may be the first call to report a failed write (disk full, quota). Dropping an
//! `OwnedFd` closes the file, too, but discards that error.

use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};

/// Closes the descriptor, which is gone afterwards even if an error is returned: Linux has
/// released it by then, and a second `close` could close another thread's new file.
#[allow(unsafe_code)]
pub(super) fn close(fd: OwnedFd) -> io::Result<()> {
    // SAFETY: `into_raw_fd` gave up the only owner, so nobody else uses or closes this number.
    unsafe { rustix::io::try_close(fd.into_raw_fd()) }.map_err(Into::into)
}
