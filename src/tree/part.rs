//! One part of a directory's listing: names with their entries, as they come.
//!
//! Names come from `getdents64` with a large buffer, and each is looked at (`statx`) through the
//! same open handle right away. That is the pattern in which Linux's NFS client fetches names
//! and attributes together (READDIRPLUS, `fs/nfs/dir.c`): fractions of a round trip for each file
//! instead of more than one.
//!
//! A directory that is larger than [`LOOK_AT_ONCE`] hands its further names out in [`Unseen`]
//! batches while it is being read, so that other threads can look at them. Each makes a part of its own, and the
//! parts stay what they are: a directory of millions is in memory once ([`super::listing`]).

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

/// Some of the entries of one directory, and what else was found there.
#[derive(Debug, Default)]
pub struct Part {
    names: Names,
    entries: Vec<Entry>,
    pub(super) is_log_dir: bool,
    pub(super) has_open_files: bool,
    pub(super) temporaries: Vec<Name>,
}

/// Names end to end: one piece of memory for many.
#[derive(Debug, Default)]
struct Names {
    bytes: Vec<u8>,
    /// Where each ends. A part has no more than [`LOOK_AT_ONCE`], a megabyte of them.
    ends: Vec<u32>,
}

/// Names that were read and not looked at yet.
#[derive(Debug, Default)]
pub struct Unseen(Names);

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

impl Part {
    /// Reads a directory. `hand_out` gets the names beyond [`LOOK_AT_ONCE`], batch by batch.
    ///
    /// An error means that the part is incomplete and that nothing can be concluded from the listing. A name that can't be
    /// looked at is no such error but an entry of its own kind. A handle can be read once: it stays at the end.
    /// `go_on` is asked now and then; when it says no, reading ends with [`io::ErrorKind::Interrupted`].
    pub fn read(
        dir: &Dir,
        at_root: bool,
        go_on: impl Fn() -> bool,
        mut hand_out: impl FnMut(Unseen),
    ) -> io::Result<Self> {
        let mut part = Self::default();
        let mut unseen = Unseen::default();
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
                    unseen.0.push(bytes);
                    if unseen.0.len() == BATCH {
                        hand_out(std::mem::take(&mut unseen));
                    }
                }
            }
        }
        if unseen.0.len() > 0 {
            hand_out(unseen);
        }
        Ok(part)
    }

    fn look_at<P: rustix::path::Arg + Copy>(&mut self, dir: &Dir, name: &[u8], arg: P) {
        match dir.entry(arg, Freshness::Cached) {
            Ok(entry) => self.push(name, entry),
            // Removed since it was listed: it is not there.
            Err(Errno::NOENT) => {}
            Err(errno) => self.push(name, Entry::unreadable(errno.raw_os_error())),
        }
    }

    /// Whatever else bears the name of a temporary is the user's.
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

impl Unseen {
    /// Looks at the names through their directory's handle.
    pub fn look(self, dir: &Dir, go_on: impl Fn() -> bool) -> io::Result<Part> {
        let Self(names) = self;
        let mut part = Part { entries: Vec::with_capacity(names.len()), ..Part::default() };
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
