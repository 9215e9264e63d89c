//! An open regular file: its bytes and its holes.

use std::io;
use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Advice, FlockOperation, SeekFrom, StatxAttributes};
use rustix::io::Errno;

use super::close::close;
use super::stat::{Freshness, entry_of_stat, look_at_handle};
use super::xattrs::{CHECKPOINT, remove_xattr, set_xattr, value};
use crate::model::Entry;

/// A stretch of a file, in bytes from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

/// Whether a file may have holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As many blocks as its size needs.
    Dense,
    /// Fewer blocks than its size needs: it has holes, or the file system compresses it or the
    /// like.
    Sparse,
}

/// An open file. Every call gives its offset: the handle's own position is never used for data.
#[derive(Debug)]
pub struct File {
    fd: OwnedFd,
}

impl File {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// The entry of what the handle refers to now.
    pub fn look(&self, freshness: Freshness) -> io::Result<Entry> {
        Ok(entry_of_stat(&look_at_handle(&self.fd, freshness)?))
    }

    /// The entry of what the handle refers to now, and whether the file may have holes.
    pub fn look_for_holes(&self) -> io::Result<(Entry, Layout)> {
        let stat = look_at_handle(&self.fd, Freshness::Cached)?;
        let lacks_blocks = stat.stx_blocks < stat.stx_size.div_ceil(512);
        Ok((entry_of_stat(&stat), if lacks_blocks { Layout::Sparse } else { Layout::Dense }))
    }

    /// Whether nobody may change the file, not even root (`chattr +i` or `+a`). `false` if the file
    /// system does not tell.
    pub fn is_immutable(&self) -> io::Result<bool> {
        let flags = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
        Ok(look_at_handle(&self.fd, Freshness::Cached)?.stx_attributes.intersects(flags))
    }

    /// Reads once at `offset`. Returns the number of bytes that the kernel put into `buffer`; 0 is
    /// the end of the file.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::pread(&self.fd, &mut *buffer, offset))?)
    }

    /// Writes once at `offset`. Returns the number of `bytes` that the kernel took, at least one.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        match rustix::io::retry_on_intr(|| rustix::io::pwrite(&self.fd, bytes, offset))? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            written => Ok(written),
        }
    }

    /// Has the kernel copy up to `len` bytes at `offset` to the same offset of `dest`. The kernel
    /// shares blocks if the file system can.
    ///
    /// Returns the number of bytes that were copied, 0 if a signal came first. `None` if the kernel
    /// cannot do it here: then the bytes have to be read and written.
    pub fn copy_range_to(&self, dest: &Self, offset: u64, len: u64) -> io::Result<Option<u64>> {
        let (mut from, mut to) = (offset, offset);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(&self.fd, Some(&mut from), &dest.fd, Some(&mut to), len) {
            // Old kernels return 0 where they cannot copy (procfs, some FUSE), so 0 does not tell
            // that the file ends here.
            Ok(0)
            | Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) => {
                Ok(None)
            }
            Ok(copied) => Ok(Some(copied as u64)),
            Err(Errno::INTR) => Ok(Some(0)),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The next stretch of data at or after `offset` in a file of `len` bytes. `None` if only a
    /// hole is left.
    pub fn next_data(&self, offset: u64, len: u64) -> io::Result<Option<Extent>> {
        match rustix::fs::seek(&self.fd, SeekFrom::Data(offset)) {
            Ok(start) => {
                let end = match rustix::fs::seek(&self.fd, SeekFrom::Hole(start)) {
                    Err(Errno::NXIO) => return Ok(None), // Truncated in between; a later look shows it.
                    end => end?.min(len),
                };
                Ok(Some(Extent { start, end }).filter(|extent| extent.start < len))
            }
            Err(Errno::NXIO) => Ok(None),
            // The file system does not tell holes: everything counts as data.
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                Ok(Some(Extent { start: offset, end: len })
                    .filter(|extent| extent.start < extent.end))
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Locks the file for as long as it is open. `false` if another process holds the lock.
    pub fn lock(&self) -> io::Result<bool> {
        match rustix::fs::flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(false),
            result => result.map(|()| true).map_err(Into::into),
        }
    }

    /// The checkpoint that was set on a temporary. `None` if there is none.
    pub fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        value(&self.fd, CHECKPOINT)
    }

    /// Sets a checkpoint on a temporary. Fails if the file system has no extended attributes.
    pub fn set_checkpoint(&self, checkpoint: &[u8]) -> io::Result<()> {
        set_xattr(&self.fd, CHECKPOINT, checkpoint)
    }

    /// Removes the checkpoint, if there is one.
    pub fn remove_checkpoint(&self) -> io::Result<()> {
        remove_xattr(&self.fd, CHECKPOINT)
    }

    /// Sets the size. A file that grows gets a hole at its end.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        Ok(rustix::fs::ftruncate(&self.fd, len)?)
    }

    /// Makes an empty file share all blocks of this one. `false` if the file system cannot do that.
    pub fn reflink_to(&self, dest: &Self) -> io::Result<bool> {
        match rustix::fs::ioctl_ficlone(&dest.fd, &self.fd) {
            Ok(()) => Ok(true),
            Err(
                Errno::XDEV
                | Errno::INVAL
                | Errno::OPNOTSUPP
                | Errno::NOTTY
                | Errno::NOSYS
                | Errno::PERM
                | Errno::TXTBSY
                | Errno::BADF, // From a file system without reflinks, says `ioctl_ficlone(2)`.
            ) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Writes the data to disk, and so much of the metadata as is needed to read it back. On NFS,
    /// that is the server's disk.
    pub fn sync_data(&self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&self.fd)?)
    }

    /// Tells the kernel that nobody will read this extent soon.
    pub fn forget(&self, extent: Extent) {
        let len = NonZero::new(extent.end - extent.start);
        // Advice that the kernel does not take costs memory and nothing else.
        let _not_taken = rustix::fs::fadvise(&self.fd, extent.start, len, Advice::DontNeed);
    }

    /// Writes data and metadata to disk. On NFS, that is the server's disk.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    /// Closes the file. The error tells of a write that failed late.
    pub fn close(self) -> io::Result<()> {
        close(self.fd)
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
