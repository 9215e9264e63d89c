//! Going on with the copy of a very large file where an interrupted run left it.
//!
//! No run needs this to be right: without it the copy begins anew. So the question is never "may it be
//! begun anew", but "is it certain that what is there is the beginning of this very version", and whatever is
//! unexpected means no. It rests on this:
//!
//! - The temporary bears the target's name in its own, so that the scan finds it again, and a bookmark, an extended attribute
//!   that says of which version of the source (inode, size, mtime, ctime) it is the beginning, and how many bytes
//!   of it are on disk. The bookmark is written after these bytes are, never before. Where the destination holds no
//!   attributes, nothing is continued.
//! - Who writes to it holds a lock on it, from the beginning until it is complete, and takes the bookmark away
//!   before it lets go. So who has the lock and sees the bookmark is alone, also if two runs take themselves for the
//!   holder of the pair's lock: a slow writer must never write into a file that the other one has published.
//! - Nobody else can have written to it: it belongs to this process's user, nobody but its owner may do anything
//!   with it, and it has no second name.
//! - What lies behind the bookmark is cut off. Where a digest is wanted, all before it is read on both sides and
//!   compared on the way (see [`super::data`]): a difference begins anew. Without one, the bookmark is believed as `rsync --append` believes a size,
//!   but that this one knows what is on disk and of which version.
//! - In the end the copy is looked at like any other: the source unchanged since, the destination as decided on.

use std::cell::Cell;
use std::io;

use serde::{Deserialize, Serialize};

use super::copier::is_read_back;
use super::source::Source;
use crate::model::{Entry, EntryKind, Name};
use crate::pipeline::execute::attempt::Attempt;
use crate::pipeline::execute::temporaries::made;
use crate::pipeline::halt::{Doing, OpResult};
use crate::tree::{Access, Dir, File, Freshness, Temporary};

/// A bookmark of another version is none.
const VERSION: u8 = 1;

/// A bookmark.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::pipeline::execute) struct Checkpoint {
    version: u8,
    /// The target.
    name: Name,
    /// The version that this is the beginning of.
    source: Entry,
    /// Bytes that are on disk, as far as it was noted.
    durable: Cell<u64>,
}

/// A temporary that is to be filled.
pub(in crate::pipeline::execute) struct Partial<'d> {
    pub(in crate::pipeline::execute) temporary: Temporary<'d>,
    pub(in crate::pipeline::execute) file: File,
    /// Where the copy is, if a later run may go on with it.
    pub(in crate::pipeline::execute) checkpoint: Option<Checkpoint>,
}

impl Attempt<'_, '_> {
    /// Makes a temporary for the target, or takes one up that an interrupted run left.
    pub(in crate::pipeline::execute) fn begin<'d>(
        &mut self,
        dir: &'d Dir,
        source: &Source,
        mode: u32,
    ) -> OpResult<Partial<'d>> {
        let names = &self.context.temporaries;
        let len = source.seen.file_len();
        if !self.context.options.resumes(len) {
            let access =
                if len.is_some_and(is_read_back) { Access::ReadBack } else { Access::Write };
            let (temporary, file) =
                made(Temporary::create_file(dir, names, mode, access), "creating a temporary")?;
            return Ok(Partial { temporary, file, checkpoint: None });
        }
        if let Some(begun) =
            self.leftover.take().cloned().and_then(|name| self.take_up(dir, name, source))
        {
            return Ok(begun);
        }
        let mode = mode & 0o700;
        let (temporary, file) = match Temporary::create_file_for(dir, names, self.name, mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.context.may_change()?;
                made(
                    Temporary::create_file(dir, names, mode, Access::ReadBack),
                    "creating a temporary",
                )?
            }
            created => created.at_dest("creating a temporary")?,
        };
        let (name, source) = (self.name.clone(), source.seen.clone());
        let checkpoint = Checkpoint { version: VERSION, name, source, durable: Cell::new(0) };
        let is_marked = matches!(file.lock(), Ok(true))
            && !self.context.stop.forbids_changes()
            && checkpoint.put(&file);
        Ok(Partial { temporary, file, checkpoint: is_marked.then_some(checkpoint) })
    }

    /// Nothing: it can't be gone on with. Then it is removed, unless somebody is at it.
    fn take_up<'d>(&self, dir: &'d Dir, name: Name, source: &Source) -> Option<Partial<'d>> {
        let (temporary, file) = Temporary::open_file(dir, name).ok()??;
        match file.lock() {
            // Somebody is at it.
            Ok(false) => return None,
            Ok(true) => {
                if let Some(checkpoint) = self.trusted(dir, &temporary, &file, source) {
                    return Some(Partial { temporary, file, checkpoint: Some(checkpoint) });
                }
            }
            Err(_no_locks_here) => {}
        }
        self.tools.sweep_away(temporary);
        None
    }

    /// The bookmark, if what is before it is certainly the source's version; the rest is cut off.
    fn trusted(
        &self,
        dir: &Dir,
        temporary: &Temporary<'_>,
        file: &File,
        source: &Source,
    ) -> Option<Checkpoint> {
        let checkpoint = Checkpoint::get(file)?;
        let is_of_this_version = checkpoint.version == VERSION
            && checkpoint.name == *self.name
            && checkpoint.source.is_same_version_as(&source.seen);
        let held = file.look(Freshness::Server).ok()?;
        let named = dir.look(temporary.name(), Freshness::Server).ok()??;
        let EntryKind::File { len } = held.kind else { return None };
        let is_ours_alone = held.inode == named.inode
            && held.links == 1
            && held.uid == self.context.options.process.owner.uid
            && held.mode & 0o7077 == 0;
        let durable = checkpoint.durable();
        let is_there = (1..=len).contains(&durable) && Some(durable) <= source.seen.file_len();
        if !(is_of_this_version && is_ours_alone && is_there) || self.context.stop.forbids_changes()
        {
            return None;
        }
        file.set_len(durable).ok().map(|()| checkpoint)
    }
}

impl Checkpoint {
    /// How many bytes are on disk, as far as it was noted.
    pub(in crate::pipeline::execute) fn durable(&self) -> u64 {
        self.durable.get()
    }

    /// Writes down how far the copy is. `false`: that could not be noted, and will be copied again.
    pub(in crate::pipeline::execute) fn move_to(&self, file: &File, durable: u64) -> bool {
        let before = self.durable.replace(durable);
        let is_noted = self.put(file);
        if !is_noted {
            self.durable.set(before);
        }
        is_noted
    }

    /// Nothing: there is none that can be read.
    fn get(file: &File) -> Option<Self> {
        let bytes = file.checkpoint().ok()??;
        postcard::from_bytes(&bytes).ok()
    }

    /// `false`: it could not be put there.
    fn put(&self, file: &File) -> bool {
        postcard::to_stdvec(self).is_ok_and(|bytes| file.set_checkpoint(&bytes).is_ok())
    }
}
