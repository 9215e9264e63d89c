//! The listing of one directory: every name with its entry, sorted by name.
//!
//! Names come from `getdents64` with a large buffer, and each is looked at (`statx`) through the
//! same open handle right away. That is the pattern in which Linux's NFS client fetches names
//! and attributes together (READDIRPLUS, `fs/nfs/dir.c`): fractions of a round trip for each file
//! instead of more than one.
//!
//! A directory that is larger than [`LOOK_AT_ONCE`] hands its further names out in [`Unseen`]
//! batches while it is being read, so that other threads can look at them.

use std::io;

use rustix::fs::RawDir;
use rustix::io::Errno;

use super::dir::{Dir, Freshness};
use super::reserved::{LOG_DIR_TAG, Reserved, reserved};
use crate::model::{Entry, EntryKind, Name};

/// Up to this many names are looked at by the thread that reads them.
pub const LOOK_AT_ONCE: usize = 4096;

/// Names in one batch beyond that: enough work to be worth a task.
const BATCH: usize = 1024;

/// Names between two questions whether to go on: 64 round trips of 20 ms are the longest wait.
const ASK_EVERY: usize = 64;

/// Bytes for `getdents64`; the NFS client asks the server for as much as this holds.
const BUFFER: usize = 64 * 1024;

/// The entries of one directory, in name order once sorted.
#[derive(Debug, Default)]
pub struct Listing {
    /// All names, end to end.
    names: Vec<u8>,
    entries: Vec<Listed>,
    is_log_dir: bool,
    has_open_files: bool,
    temporaries: Vec<Name>,
}

#[derive(Debug)]
struct Listed {
    start: u32,
    len: u16,
    entry: Entry,
}

/// Names that were read and not looked at yet.
#[derive(Debug, Default)]
pub struct Unseen(Vec<Name>);

impl Listing {
    /// Reads a directory. `hand_out` gets the names beyond [`LOOK_AT_ONCE`], batch by batch.
    ///
    /// An error means that the listing is incomplete and that nothing can be concluded from it. A name that can't be
    /// looked at is no such error but an entry of its own kind. A handle can be read once: it stays at the end.
    /// `go_on` is asked now and then; when it says no, the listing ends with [`io::ErrorKind::Interrupted`].
    pub fn read(
        dir: &Dir,
        at_root: bool,
        go_on: impl Fn() -> bool,
        mut hand_out: impl FnMut(Unseen),
    ) -> io::Result<Self> {
        let mut listing = Self::default();
        let mut unseen = Unseen::default();
        let mut buffer = Vec::with_capacity(BUFFER);
        let mut names = RawDir::new(dir, buffer.spare_capacity_mut());
        while let Some(name) = names.next() {
            let name = name?;
            if listing.entries.len() % ASK_EVERY == 0 && !go_on() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let name = name.file_name();
            let bytes = name.to_bytes();
            match reserved(bytes, at_root) {
                Some(Reserved::System) => {}
                Some(Reserved::SillyRename) => listing.has_open_files = true,
                Some(Reserved::LogDirTag) => listing.is_log_dir = true,
                Some(Reserved::Temporary) => listing.look_at_temporary(dir, bytes)?,
                None if listing.entries.len() < LOOK_AT_ONCE => listing.look_at(dir, bytes, name)?,
                None => {
                    unseen.0.push(Name::new(bytes));
                    if unseen.0.len() == BATCH {
                        hand_out(std::mem::take(&mut unseen));
                    }
                }
            }
        }
        if !unseen.0.is_empty() {
            hand_out(unseen);
        }
        Ok(listing)
    }

    fn look_at<P: rustix::path::Arg + Copy>(&mut self, dir: &Dir, name: &[u8], arg: P) -> io::Result<()> {
        match dir.entry(arg, Freshness::Cached) {
            Ok(entry) => self.push(name, entry),
            // Removed since it was listed: it is not there.
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => self.push(name, Entry::unreadable(errno.raw_os_error())),
        }
    }

    /// Whatever else bears the name of a temporary is the user's.
    fn look_at_temporary(&mut self, dir: &Dir, name: &[u8]) -> io::Result<()> {
        match dir.entry(name, Freshness::Cached) {
            Ok(Entry { kind: EntryKind::File { .. } | EntryKind::Symlink { .. }, .. }) => {
                self.temporaries.push(Name::new(name));
                Ok(())
            }
            Ok(entry) => self.push(name, entry),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => self.push(name, Entry::unreadable(errno.raw_os_error())),
        }
    }

    fn push(&mut self, name: &[u8], entry: Entry) -> io::Result<()> {
        let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, "the directory's names exceed 4 GiB");
        let start = u32::try_from(self.names.len()).map_err(|_| too_large())?;
        let len = u16::try_from(name.len()).map_err(|_| too_large())?;
        self.names.extend_from_slice(name);
        self.entries.push(Listed { start, len, entry });
        Ok(())
    }

    /// Puts the parts of one directory together.
    pub fn merge(parts: Vec<Self>) -> io::Result<Self> {
        let entries: usize = parts.iter().map(Self::len).sum();
        let mut parts = parts.into_iter();
        let mut whole = parts.next().unwrap_or_default();
        // Growing step by step would hold a directory of millions twice.
        whole.entries.reserve_exact(entries - whole.entries.len());
        for part in parts {
            whole.is_log_dir |= part.is_log_dir;
            whole.has_open_files |= part.has_open_files;
            whole.temporaries.extend(part.temporaries);
            for listed in part.entries {
                whole.push(name_of(&part.names, listed.start, listed.len), listed.entry)?;
            }
        }
        Ok(whole)
    }

    /// Sorts by name, which a join needs. A name that was listed twice, as happens where a directory
    /// changes while it is read, stays once.
    pub fn sort(&mut self) {
        let names = &self.names;
        let name = |listed: &Listed| name_of(names, listed.start, listed.len);
        self.entries.sort_unstable_by(|left, right| name(left).cmp(name(right)));
        self.entries.dedup_by(|left, right| name(left) == name(right));
    }

    /// Whether this directory holds this tool's logs and must be left alone.
    pub fn is_log_dir(&self) -> bool {
        self.is_log_dir
    }

    /// Whether a file that was removed here is still open on an NFS client: it stands here under another name.
    pub fn has_open_files(&self) -> bool {
        self.has_open_files
    }

    /// Temporaries that stand here, of whatever run.
    pub fn temporaries(&self) -> &[Name] {
        &self.temporaries
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The name and entry at `index`, in name order after [`Listing::sort`].
    pub fn get(&self, index: usize) -> (&[u8], &Entry) {
        let listed = &self.entries[index];
        (name_of(&self.names, listed.start, listed.len), &listed.entry)
    }

    /// Every name and entry.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Entry)> {
        (0..self.len()).map(|index| self.get(index))
    }
}

impl Unseen {
    /// Looks at the names through their directory's handle.
    pub fn look(self, dir: &Dir, go_on: impl Fn() -> bool) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for name in self.0 {
            if listing.entries.len() % ASK_EVERY == 0 && !go_on() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            listing.look_at(dir, &name, &*name)?;
        }
        Ok(listing)
    }
}

/// Whether a root holds a file, symlink or directory that is `wanted`: nothing reserved, no log directory,
/// nothing that is never carried.
pub(super) fn holds(root: &Dir, mut wanted: impl FnMut(&[u8], &Entry) -> bool) -> io::Result<bool> {
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut names = RawDir::new(root, buffer.spare_capacity_mut());
    while let Some(name) = names.next() {
        let name = name?;
        let name = name.file_name().to_bytes();
        if reserved(name, true).is_some() {
            continue;
        }
        let Ok(entry) = root.entry(name, Freshness::Cached) else { continue };
        let takes_part = entry.is_leaf() || (entry.kind == EntryKind::Directory && !is_log_dir(root, name));
        if takes_part && wanted(name, &entry) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// One that is closed to us holds no logs of ours.
fn is_log_dir(root: &Dir, name: &[u8]) -> bool {
    let tag = root.open_dir(name).and_then(|dir| dir.look(LOG_DIR_TAG.as_bytes(), Freshness::Cached));
    tag.is_ok_and(|tag| tag.is_some())
}

fn name_of(names: &[u8], start: u32, len: u16) -> &[u8] {
    &names[start as usize..][..len.into()]
}
