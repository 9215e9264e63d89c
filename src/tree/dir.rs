//! An open directory, and what can be done to the names in it.
//!
//! Every call takes one name, never a path, and never follows a symlink. The reason: users can
//! write to the trees while this tool may run as root, and a path that is resolved twice can be
//! swapped in between. This file decides nothing.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Statx, StatxAttributes};
use rustix::io::Errno;
use rustix::path::Arg;

use super::file::File;
use super::stat::{Freshness, WANTED, entry_of_kind, entry_of_stat, look_at_handle};
use crate::model::{Entry, EntryKind};

/// What a new file is opened for.
///
/// An NFS server may grant a delegation to a client that opens a file for reading. The client then
/// has to return the delegation and to ask for the attributes again before it changes the file:
/// two wasted round trips for each file. So a file is opened for reading only if it will be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Writing only.
    Write,
    /// Writing, and reading what was written.
    ReadBack,
}

/// An open directory of one of the trees.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    /// The root's file system. Directories on another one are mount points.
    device: Device,
}

/// A file system's device number, major and minor.
type Device = (u32, u32);

/// How a finished temporary gets its final name, and what happens if that name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publish {
    /// A rename that replaces what has the name.
    Replace,
    /// A rename that fails with `EEXIST`.
    Create,
    /// A hard link, which never replaces: it fails with `EEXIST`, too. The temporary also keeps its
    /// own name.
    Link,
}

impl Publish {
    /// The way to try next if this one failed because the file system does not support it. `None`
    /// if the error has another reason or no way is left.
    ///
    /// NFS has no rename that never replaces, and some FUSE file systems have no hard links either.
    /// There the caller has to look at the name right before it replaces.
    pub fn instead(self, error: &io::Error) -> Option<Self> {
        match (self, Errno::from_io_error(error)?) {
            (Self::Create, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Some(Self::Link),
            (Self::Link, Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => Some(Self::Replace),
            _ => None,
        }
    }
}

impl Dir {
    /// Opens the root of a tree. Symlinks in the path to the root are followed: the user named
    /// them.
    pub fn open_root(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        let device = device(&look_at_handle(&fd, Freshness::Cached)?);
        Ok(Self { fd, device })
    }

    /// Opens a directory in this one. Fails with `EXDEV` if another file system is mounted there.
    pub fn open_dir(&self, name: &[u8]) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty())?;
        if device(&look_at_handle(&fd, Freshness::Cached)?) != self.device {
            return Err(Errno::XDEV.into());
        }
        Ok(Self { fd, device: self.device })
    }

    /// The entry that has this name, or `None` if there is no such name.
    pub fn look(&self, name: &[u8], freshness: Freshness) -> io::Result<Option<Entry>> {
        match self.entry(name, freshness) {
            Ok(entry) => Ok(Some(entry)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The entry of a name that was just listed. `ENOENT` if it is gone.
    pub(super) fn entry<P: Arg + Copy>(
        &self,
        name: P,
        freshness: Freshness,
    ) -> Result<Entry, Errno> {
        match self.entry_once(name, freshness) {
            // A symlink was replaced between `statx` and `readlink`.
            Err(Errno::INVAL) => self.entry_once(name, freshness),
            result => result,
        }
    }

    fn entry_once<P: Arg + Copy>(&self, name: P, freshness: Freshness) -> Result<Entry, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | freshness.flags();
        let stat = rustix::fs::statx(&self.fd, name, flags, WANTED)?;
        let kind = self.kind(&stat, || {
            rustix::fs::readlinkat(&self.fd, name, Vec::new())
                .map(|target| target.into_bytes().into())
        })?;
        Ok(entry_of_kind(&stat, kind))
    }

    /// This directory's own entry.
    pub fn look_at_self(&self, freshness: Freshness) -> io::Result<Entry> {
        Ok(entry_of_stat(&look_at_handle(&self.fd, freshness)?))
    }

    /// Whether a file system is mounted on this directory.
    pub fn is_mount_point(&self) -> io::Result<bool> {
        let stat = look_at_handle(&self.fd, Freshness::Cached)?;
        Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
    }

    /// The kind of an entry. `target` is called only for a symlink.
    fn kind(
        &self,
        stat: &Statx,
        target: impl FnOnce() -> Result<Box<[u8]>, Errno>,
    ) -> Result<EntryKind, Errno> {
        let mounted = stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
        Ok(match FileType::from_raw_mode(stat.stx_mode.into()) {
            _ if mounted => EntryKind::MountPoint,
            // Only for directories: an overlay shows its files with the lower layer's device
            // number.
            FileType::Directory if device(stat) != self.device => EntryKind::MountPoint,
            FileType::Directory => EntryKind::Directory,
            FileType::RegularFile => EntryKind::File { len: stat.stx_size },
            FileType::Symlink => EntryKind::Symlink { target: target()? },
            _ => EntryKind::Special,
        })
    }

    /// Opens a file for reading. `None` if the name cannot be a regular file's any more.
    ///
    /// A fifo that was put there in the meantime does not block, and a symlink is not followed.
    pub fn open_file(&self, name: &[u8]) -> io::Result<Option<File>> {
        let flags =
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(File::new(fd))),
            // In this order: gone, a symlink, a socket, a device without a driver.
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::NODEV) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Opens a regular file for reading and writing. `None` if the name is not a regular file's.
    pub(super) fn open_to_write(&self, name: &[u8]) -> io::Result<Option<File>> {
        let flags =
            OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(File::new(fd))),
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::NODEV) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes a file and opens it. Fails with `EEXIST` if the name is taken.
    pub(super) fn create_file(&self, name: &[u8], mode: u32, access: Access) -> io::Result<File> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let access = match access {
            Access::Write => OFlags::WRONLY,
            Access::ReadBack => OFlags::RDWR,
        };
        Ok(File::new(rustix::fs::openat(
            &self.fd,
            name,
            flags | access,
            Mode::from_raw_mode(mode),
        )?))
    }

    /// Makes a symlink. Fails with `EEXIST` if the name is taken.
    pub(super) fn create_symlink(&self, name: &[u8], target: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(target, &self.fd, name)?)
    }

    /// Makes a directory. Fails with `EEXIST` if the name is taken.
    pub fn create_dir(&self, name: &[u8], mode: u32) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode))?)
    }

    /// Removes a name that is not a directory.
    pub fn unlink(&self, name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self, name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }

    /// Gives a finished temporary its final name, by one system call that a crash cannot cut in
    /// two.
    pub(super) fn publish(&self, temporary: &[u8], name: &[u8], how: Publish) -> io::Result<()> {
        let (dir, no_replace) = (&self.fd, RenameFlags::NOREPLACE);
        Ok(match how {
            Publish::Replace => rustix::fs::renameat(dir, temporary, dir, name),
            Publish::Create => rustix::fs::renameat_with(dir, temporary, dir, name, no_replace),
            Publish::Link => rustix::fs::linkat(dir, temporary, dir, name, AtFlags::empty()),
        }?)
    }

    /// Fails if this process may not make and remove names here.
    pub fn is_writable(&self) -> io::Result<()> {
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        Ok(rustix::fs::accessat(&self.fd, c".", access, AtFlags::EACCESS)?)
    }

    /// Opens the parent directory, on whatever file system it is. This serves to find out which of
    /// two directories lies inside the other.
    pub fn open_parent(&self) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, c"..", flags, Mode::empty())?;
        let device = device(&look_at_handle(&fd, Freshness::Cached)?);
        Ok(Self { fd, device })
    }

    /// What identifies this directory among all that are mounted: the major and minor number of its
    /// file system, and its inode number.
    pub fn identity(&self) -> io::Result<(u32, u32, u64)> {
        let stat = look_at_handle(&self.fd, Freshness::Cached)?;
        Ok((self.device.0, self.device.1, stat.stx_ino))
    }

    /// Writes everything that this file system still has in memory to disk (`syncfs`).
    pub fn sync_file_system(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.fd)?)
    }

    /// The file system's magic number, from `statfs`.
    pub(super) fn file_system_magic(&self) -> io::Result<u32> {
        // The kernel's field is wider than the numbers in it.
        Ok(u32::try_from(rustix::fs::fstatfs(&self.fd)?.f_type & 0xffff_ffff).unwrap_or(0))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn device(stat: &Statx) -> Device {
    (stat.stx_dev_major, stat.stx_dev_minor)
}
