//! One part of a directory's listing: names with their entries, in the order of the directory.
//!
//! Names come from `getdents64` with a large buffer, and each is looked at (`statx`) right away
//! through the same open handle. This pattern makes Linux's NFS client fetch names and attributes
//! together (READDIRPLUS, `fs/nfs/dir.c`). A file then costs a fraction of a round trip instead of
//! more than one.
//!
//! In a directory with more than [`LOOK_AT_ONCE`] names, the names beyond are handed out in batches
//! ([`UnstattedNames`]) while the directory is being read, so that other threads can look at them.
//! Each batch becomes a [`ListingPart`] of its own. Parts are never copied: a directory of millions
//! is in memory once ([`super::listing`]).

use std::io;

use rustix::fs::RawDir;
use rustix::io::Errno;

use super::dir::Dir;
use super::reserved::{LOG_DIR_TAG, Reserved, reserved};
use super::stat::Freshness;
use crate::model::{Entry, EntryKind, Name};

/// The thread that reads a directory looks at so many of its names itself.
pub const LOOK_AT_ONCE: usize = 4096;

/// Names in one batch of the others: enough work to be worth a task.
const BATCH: usize = 1024;

/// Names between two calls of `go_on`. A stop then waits for at most 64 round trips, which take
/// 1.3 s if each takes 20 ms.
const ASK_EVERY: usize = 64;

/// Bytes of the buffer for `getdents64`. The NFS client asks the server for so much at a time.
const BUFFER: usize = 64 * 1024;

/// Some of the entries of one directory, and what else was found in it.
#[derive(Debug, Default)]
pub struct ListingPart {
    names: Names,
    entries: Vec<Entry>,
    pub(super) is_log_dir: bool,
    pub(super) has_open_files: bool,
    pub(super) temporaries: Vec<Name>,
}

/// Names end to end: one allocation for many.
#[derive(Debug, Default)]
struct Names {
    bytes: Vec<u8>,
    /// The end of each name in `bytes`. A part has no more than [`LOOK_AT_ONCE`] names, which is a
    /// megabyte of them.
    ends: Vec<u32>,
}

/// Names of one directory that were read and not yet looked at.
#[derive(Debug, Default)]
pub struct UnstattedNames(Names);

impl Names {
    fn push(&mut self, name: &[u8]) {
        self.bytes.extend_from_slice(name);
        self.ends.push(self.bytes.len() as u32);
    }

    fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start as usize..self.ends[index] as usize]
    }

    fn len(&self) -> usize {
        self.ends.len()
    }
}

impl ListingPart {
    /// Reads a directory. `hand_out` gets the names beyond [`LOOK_AT_ONCE`], batch by batch.
    ///
    /// A handle can be read only once: afterwards its position is at the end. `go_on` is called
    /// from time to time, and reading ends with [`io::ErrorKind::Interrupted`] if it returns
    /// `false`.
    ///
    /// An error means that the part is incomplete and that nothing can be concluded from the
    /// listing. A name that cannot be looked at is not such an error: it becomes an entry of a kind
    /// of its own.
    pub fn read(
        dir: &Dir,
        at_root: bool,
        go_on: impl Fn() -> bool,
        mut hand_out: impl FnMut(UnstattedNames),
    ) -> io::Result<Self> {
        let mut part = Self::default();
        let mut unstatted = UnstattedNames::default();
        let mut buffer = Vec::with_capacity(BUFFER);
        let mut names = RawDir::new(dir, buffer.spare_capacity_mut());
        while let Some(name) = names.next() {
            let name = name?;
            if part.len() % ASK_EVERY == 0 && !go_on() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let name = name.file_name();
            let bytes = name.to_bytes();
            match reserved(bytes, at_root) {
                Some(Reserved::System) => {}
                Some(Reserved::SillyRename) => part.has_open_files = true,
                Some(Reserved::LogDirTag) => part.is_log_dir = true,
                Some(Reserved::Temporary) => part.look_at_temporary(dir, bytes),
                None if part.len() < LOOK_AT_ONCE => part.look_at(dir, bytes, name),
                None => {
                    unstatted.0.push(bytes);
                    if unstatted.0.len() == BATCH {
                        hand_out(std::mem::take(&mut unstatted));
                    }
                }
            }
        }
        if unstatted.0.len() > 0 {
            hand_out(unstatted);
        }
        Ok(part)
    }

    fn look_at<P: rustix::path::Arg + Copy>(&mut self, dir: &Dir, name: &[u8], arg: P) {
        match dir.entry(arg, Freshness::Cached) {
            Ok(entry) => self.push(name, entry),
            // Removed since it was listed, so it does not belong to the listing.
            Err(Errno::NOENT) => {}
            Err(errno) => self.push(name, Entry::unreadable(errno.raw_os_error())),
        }
    }

    /// Only files and symlinks are temporaries. Anything else with such a name is the user's.
    fn look_at_temporary(&mut self, dir: &Dir, name: &[u8]) {
        match dir.entry(name, Freshness::Cached) {
            Ok(Entry { kind: EntryKind::File { .. } | EntryKind::Symlink { .. }, .. }) => {
                self.temporaries.push(Name::new(name));
            }
            Ok(entry) => self.push(name, entry),
            Err(Errno::NOENT) => {}
            Err(errno) => self.push(name, Entry::unreadable(errno.raw_os_error())),
        }
    }

    fn push(&mut self, name: &[u8], entry: Entry) {
        self.names.push(name);
        self.entries.push(entry);
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn name(&self, index: usize) -> &[u8] {
        self.names.get(index)
    }

    pub(super) fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }
}

impl UnstattedNames {
    /// Looks at the names through their directory's handle. `go_on` and errors: as in
    /// [`ListingPart::read`].
    pub fn look(self, dir: &Dir, go_on: impl Fn() -> bool) -> io::Result<ListingPart> {
        let Self(names) = self;
        let mut part =
            ListingPart { entries: Vec::with_capacity(names.len()), ..ListingPart::default() };
        part.names.bytes.reserve_exact(names.bytes.len());
        part.names.ends.reserve_exact(names.len());
        for index in 0..names.len() {
            if index % ASK_EVERY == 0 && !go_on() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let name = names.get(index);
            part.look_at(dir, name, name);
        }
        Ok(part)
    }
}

/// Whether a root holds a file, symlink or directory that is `wanted`. Reserved names, log
/// directories and kinds that are never carried do not count.
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
        let takes_part =
            entry.is_leaf() || (entry.kind == EntryKind::Directory && !is_log_dir(root, name));
        if takes_part && wanted(name, &entry) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a directory is a log directory. One that this process may not open is not.
fn is_log_dir(root: &Dir, name: &[u8]) -> bool {
    let tag =
        root.open_dir(name).and_then(|dir| dir.look(LOG_DIR_TAG.as_bytes(), Freshness::Cached));
    tag.is_ok_and(|tag| tag.is_some())
}
