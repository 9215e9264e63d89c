//! An open regular file: its bytes and its holes.

use std::io;
use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Advice, FlockOperation, SeekFrom, StatxAttributes};
use rustix::io::Errno;

use super::attributes::{BOOKMARK, remove_attribute, set_attribute, value};
use super::close::close;
use super::dir::{Freshness, entry_of_stat, look_at_handle};
use crate::model::Entry;

/// A stretch of a file: where it begins and where it ends, in bytes.
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
    /// Fewer: there are holes, or the file system stores it in some clever way.
    Sparse,
}

/// An open file. Offsets are always given: the handle's own position is never used for data.
#[derive(Debug)]
pub struct File {
    fd: OwnedFd,
}

impl File {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// What the handle refers to now.
    pub fn look(&self, freshness: Freshness) -> io::Result<Entry> {
        Ok(entry_of_stat(&look_at_handle(&self.fd, freshness)?))
    }

    /// What the handle refers to now, and whether it may have holes.
    pub fn look_for_holes(&self) -> io::Result<(Entry, Layout)> {
        let stat = look_at_handle(&self.fd, Freshness::Cached)?;
        let lacks_blocks = stat.stx_blocks < stat.stx_size.div_ceil(512);
        Ok((entry_of_stat(&stat), if lacks_blocks { Layout::Sparse } else { Layout::Dense }))
    }

    /// Whether nobody may change it, not even root (`chattr +i` or `+a`). Not every file system tells.
    pub fn is_immutable(&self) -> io::Result<bool> {
        let flags = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
        Ok(look_at_handle(&self.fd, Freshness::Cached)?.stx_attributes.intersects(flags))
    }

    /// Reads once at `offset`, into as much of `buffer` as the kernel fills; 0 is the end of the file.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::pread(&self.fd, &mut *buffer, offset))?)
    }

    /// Writes at `offset` as many of `bytes` as the kernel takes at once, one at least.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        match rustix::io::retry_on_intr(|| rustix::io::pwrite(&self.fd, bytes, offset))? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            written => Ok(written),
        }
    }

    /// Has the kernel copy up to `len` bytes at `offset` to the same offset of `dest`, sharing
    /// blocks where the file system can. Nothing: it cannot here, and the bytes must be read and written.
    pub fn copy_range_to(&self, dest: &Self, offset: u64, len: u64) -> io::Result<Option<u64>> {
        let (mut from, mut to) = (offset, offset);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(&self.fd, Some(&mut from), &dest.fd, Some(&mut to), len) {
            // Old kernels answer 0 where they can't (procfs, some FUSE), so 0 is no end of file.
            Ok(0) | Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) => {
                Ok(None)
            }
            Ok(copied) => Ok(Some(copied as u64)),
            Err(Errno::INTR) => Ok(Some(0)),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The next stretch of data at or after `offset`; nothing when only a hole is left.
    pub fn next_data(&self, offset: u64, len: u64) -> io::Result<Option<Extent>> {
        match rustix::fs::seek(&self.fd, SeekFrom::Data(offset)) {
            Ok(start) => {
                let end = match rustix::fs::seek(&self.fd, SeekFrom::Hole(start)) {
                    Err(Errno::NXIO) => return Ok(None), // Cut in between; the look afterwards tells.
                    end => end?.min(len),
                };
                Ok(Some(Extent { start, end }).filter(|extent| extent.start < len))
            }
            Err(Errno::NXIO) => Ok(None),
            // Holes can't be asked for here: all of it counts as data.
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                Ok(Some(Extent { start: offset, end: len }).filter(|extent| extent.start < extent.end))
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Locks it for as long as it is open. `false`: somebody else holds it.
    pub fn lock(&self) -> io::Result<bool> {
        match rustix::fs::flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(false),
            result => result.map(|()| true).map_err(Into::into),
        }
    }

    /// What was noted on a temporary; nothing: nothing was.
    pub fn bookmark(&self) -> io::Result<Option<Vec<u8>>> {
        value(&self.fd, BOOKMARK)
    }

    /// Notes something on a temporary, where attributes can be had.
    pub fn set_bookmark(&self, bookmark: &[u8]) -> io::Result<()> {
        set_attribute(&self.fd, BOOKMARK, bookmark)
    }

    /// Takes the note away.
    pub fn remove_bookmark(&self) -> io::Result<()> {
        remove_attribute(&self.fd, BOOKMARK)
    }

    /// Sets the size, which makes a hole at the end where the file grows.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        Ok(rustix::fs::ftruncate(&self.fd, len)?)
    }

    /// Makes an empty file share all blocks of this one. `false`: that cannot be done here.
    pub fn share_with(&self, dest: &Self) -> io::Result<bool> {
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
                | Errno::BADF, // As `ioctl_ficlone(2)` has it, where a file system shares nothing.
            ) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Writes the data to disk (on NFS: to the server's), and of the metadata what is needed to find it there.
    pub fn sync_data(&self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&self.fd)?)
    }

    /// Tells the kernel that nobody will read this soon.
    pub fn forget(&self, extent: Extent) {
        let len = NonZero::new(extent.end - extent.start);
        // Advice that is not taken costs memory and nothing else.
        let _not_taken = rustix::fs::fadvise(&self.fd, extent.start, len, Advice::DontNeed);
    }

    /// Writes data and metadata to disk (on NFS: to the server's).
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    /// Closes, and hears of writes that failed late.
    pub fn close(self) -> io::Result<()> {
        close(self.fd)
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
