//! An open directory, and what can be done to the names in it.
//!
//! Every call takes one name, never a path, and never follows a symlink: the trees are writable
//! by users while this tool may run as root, and a path that is resolved twice can be swapped in
//! between. Nothing here decides anything.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Statx, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::path::Arg;

use super::file::File;
use crate::model::{Entry, EntryKind, Timestamp};

/// What the comparison needs to know of an entry, and no more: asking for more could cost an NFS round trip.
const WANTED: StatxFlags = StatxFlags::TYPE
    .union(StatxFlags::MODE)
    .union(StatxFlags::NLINK)
    .union(StatxFlags::UID)
    .union(StatxFlags::GID)
    .union(StatxFlags::MTIME)
    .union(StatxFlags::CTIME)
    .union(StatxFlags::INO)
    .union(StatxFlags::SIZE)
    .union(StatxFlags::BLOCKS);

/// How true a look has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// What the kernel was told last, without asking anybody (`AT_STATX_DONT_SYNC`): after a change, with its answer.
    Told,
    /// What the kernel knows; an NFS client may answer from its attribute cache.
    Cached,
    /// What the server knows now (`AT_STATX_FORCE_SYNC`).
    Server,
}

impl Freshness {
    fn flags(self) -> AtFlags {
        match self {
            Self::Told => AtFlags::STATX_DONT_SYNC,
            Self::Cached => AtFlags::empty(),
            Self::Server => AtFlags::STATX_FORCE_SYNC,
        }
    }
}

/// What a new file is opened for.
///
/// An NFS server lends a file that may be read to whoever opens it (a delegation), and its client has to give that back and
/// to ask for the attributes again before it changes the file: two round trips for each, and for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only to be written.
    Write,
    /// To be written, and to be read again.
    ReadBack,
}

/// An open directory of one of the trees.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    /// The root's file system: directories on another one are mount points.
    device: Device,
}

/// A file system's number, major and minor.
type Device = (u32, u32);

/// How a finished temporary gets its final name, and what that does to one that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publish {
    /// Takes its place.
    Replace,
    /// Fails with `EEXIST`.
    Create,
    /// The same by a hard link, which never replaces: the temporary keeps its own name, too.
    Link,
}

impl Publish {
    /// What is left where this way failed because the file system does not know it. NFS has no rename without replacing,
    /// and some FUSE file systems have no hard links either: there whoever replaces has to look right before.
    pub fn instead(self, error: &io::Error) -> Option<Self> {
        match (self, Errno::from_io_error(error)?) {
            (Self::Create, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Some(Self::Link),
            (Self::Link, Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => Some(Self::Replace),
            _ => None,
        }
    }
}

impl Dir {
    /// Opens the root of a tree. Symlinks in the path to the root are the user's own words and are followed.
    pub fn open_root(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        let device = device(&look_at_handle(&fd, Freshness::Cached)?);
        Ok(Self { fd, device })
    }

    /// Opens a directory in this one. `EXDEV`: another file system is mounted there.
    pub fn open_dir(&self, name: &[u8]) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty())?;
        if device(&look_at_handle(&fd, Freshness::Cached)?) != self.device {
            return Err(Errno::XDEV.into());
        }
        Ok(Self { fd, device: self.device })
    }

    /// What stands under a name: nothing where there is no such name.
    pub fn look(&self, name: &[u8], freshness: Freshness) -> io::Result<Option<Entry>> {
        match self.entry(name, freshness) {
            Ok(entry) => Ok(Some(entry)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The entry of a name that was just listed.
    pub(super) fn entry<P: Arg + Copy>(&self, name: P, freshness: Freshness) -> Result<Entry, Errno> {
        match self.entry_once(name, freshness) {
            // A symlink that was replaced between the look at it and reading it.
            Err(Errno::INVAL) => self.entry_once(name, freshness),
            result => result,
        }
    }

    fn entry_once<P: Arg + Copy>(&self, name: P, freshness: Freshness) -> Result<Entry, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | freshness.flags();
        let stat = rustix::fs::statx(&self.fd, name, flags, WANTED)?;
        let kind = self.kind(&stat, || {
            rustix::fs::readlinkat(&self.fd, name, Vec::new()).map(|target| target.into_bytes().into())
        })?;
        Ok(entry(&stat, kind))
    }

    /// This directory's own entry.
    pub fn look_at_self(&self, freshness: Freshness) -> io::Result<Entry> {
        Ok(entry_of_stat(&look_at_handle(&self.fd, freshness)?))
    }

    /// Whether a file system is mounted here.
    pub fn is_mount_point(&self) -> io::Result<bool> {
        let stat = look_at_handle(&self.fd, Freshness::Cached)?;
        Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
    }

    /// `target` is asked only for a symlink.
    fn kind(
        &self,
        stat: &Statx,
        target: impl FnOnce() -> Result<Box<[u8]>, Errno>,
    ) -> Result<EntryKind, Errno> {
        let mounted = stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
        Ok(match FileType::from_raw_mode(stat.stx_mode.into()) {
            _ if mounted => EntryKind::MountPoint,
            // Only for directories: an overlay shows its files under the lower layer's number.
            FileType::Directory if device(stat) != self.device => EntryKind::MountPoint,
            FileType::Directory => EntryKind::Directory,
            FileType::RegularFile => EntryKind::File { len: stat.stx_size },
            FileType::Symlink => EntryKind::Symlink { target: target()? },
            _ => EntryKind::Special,
        })
    }

    /// Opens a file to read it; nothing where there can be no regular file of that name any more.
    ///
    /// A fifo that was put there meanwhile does not block, a symlink is not followed.
    pub fn open_file(&self, name: &[u8]) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(File::new(fd))),
            // Gone, a symlink, a socket, a device without a driver.
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::NODEV) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Opens a regular file to read and write it; nothing where there is none of that name.
    pub(super) fn open_to_write(&self, name: &[u8]) -> io::Result<Option<File>> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(File::new(fd))),
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::NODEV) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes a file that must not be there yet, and opens it.
    pub(super) fn create_file(&self, name: &[u8], mode: u32, access: Access) -> io::Result<File> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let access = match access {
            Access::Write => OFlags::WRONLY,
            Access::ReadBack => OFlags::RDWR,
        };
        Ok(File::new(rustix::fs::openat(&self.fd, name, flags | access, Mode::from_raw_mode(mode))?))
    }

    /// Makes a symlink that must not be there yet.
    pub(super) fn create_symlink(&self, name: &[u8], target: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(target, &self.fd, name)?)
    }

    /// Makes a directory that must not be there yet.
    pub fn create_dir(&self, name: &[u8], mode: u32) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode))?)
    }

    /// Removes a name that is no directory.
    pub fn unlink(&self, name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self, name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }

    /// Gives a finished temporary its final name, by one system call that a crash cannot cut in two.
    pub(super) fn publish(&self, temporary: &[u8], name: &[u8], how: Publish) -> io::Result<()> {
        let (dir, no_replace) = (&self.fd, RenameFlags::NOREPLACE);
        Ok(match how {
            Publish::Replace => rustix::fs::renameat(dir, temporary, dir, name),
            Publish::Create => rustix::fs::renameat_with(dir, temporary, dir, name, no_replace),
            Publish::Link => rustix::fs::linkat(dir, temporary, dir, name, AtFlags::empty()),
        }?)
    }

    /// Whether this process may make and remove names here.
    pub fn is_writable(&self) -> io::Result<()> {
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        Ok(rustix::fs::accessat(&self.fd, c".", access, AtFlags::EACCESS)?)
    }

    /// The parent directory, whatever its file system, for asking who lies in whom.
    pub fn open_parent(&self) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, c"..", flags, Mode::empty())?;
        let device = device(&look_at_handle(&fd, Freshness::Cached)?);
        Ok(Self { fd, device })
    }

    /// What identifies this directory among all that are mounted: its file system and inode number.
    pub fn identity(&self) -> io::Result<(u32, u32, u64)> {
        let stat = look_at_handle(&self.fd, Freshness::Cached)?;
        Ok((self.device.0, self.device.1, stat.stx_ino))
    }

    /// Writes everything that this file system has in memory to its disk.
    pub fn sync_file_system(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.fd)?)
    }

    /// The file system's magic number, as `statfs` tells it.
    pub(super) fn file_system_magic(&self) -> io::Result<u32> {
        // The kernel's field is wider than the numbers it holds.
        Ok(u32::try_from(rustix::fs::fstatfs(&self.fd)?.f_type & 0xffff_ffff).unwrap_or(0))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// `statx` of what a handle refers to.
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
    entry(stat, kind)
}

fn entry(stat: &Statx, kind: EntryKind) -> Entry {
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

fn device(stat: &Statx) -> Device {
    (stat.stx_dev_major, stat.stx_dev_minor)
}
