//! Resuming the copy of a very large file where an interrupted run left it.
//!
//! A run is correct without this: then the copy begins anew. So the question is never whether it
//! may begin anew. The question is whether what is there is certainly the beginning of this very
//! version of the source, and anything unexpected means no. The certainty rests on this:
//!
//! - The name of the temporary contains the target's name, so that the scan finds it again. The
//!   temporary bears a checkpoint, an extended attribute. The checkpoint says which version of the
//!   source (inode, size, mtime, ctime) this is the beginning of, and how many bytes of it are on
//!   disk. It is written after these bytes are on disk, never before. If the destination has no
//!   extended attributes, nothing is resumed.
//! - A run that writes to the temporary holds a lock on it, from the beginning until the file is
//!   complete, and removes the checkpoint before it releases the lock. So a run that has the lock
//!   and sees the checkpoint is alone with the file, even if two runs each believe that they hold
//!   the pair's lock. A slow writer must never write into a file that the other run has published.
//! - Nobody else can have written to it: it belongs to this process's user, nobody but its owner
//!   has any access to it, and it has no second name.
//! - What lies behind the checkpoint is cut off. If a digest is wanted, everything before it is
//!   read on both sides and compared on the way (see [`super::copier`]). A difference makes the
//!   copy begin anew. If no digest is wanted, the checkpoint is believed as `rsync --append`
//!   believes a size. But unlike a size, the checkpoint says what is on disk and of which version
//!   it is.
//! - In the end the copy is checked like any other: the source must not have changed since, and the
//!   destination must be what the decision rested on.

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

/// The format of a checkpoint. A checkpoint of another format is ignored.
const VERSION: u8 = 1;

/// How far a copy is, and of which version of which file it is.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::pipeline::execute) struct Checkpoint {
    version: u8,
    /// The name of the target.
    name: Name,
    /// The version of the source that the temporary is the beginning of.
    source: Entry,
    /// Bytes that are known to be on disk.
    durable: Cell<u64>,
}

/// A temporary that is to be filled.
pub(in crate::pipeline::execute) struct Partial<'d> {
    pub(in crate::pipeline::execute) temporary: Temporary<'d>,
    pub(in crate::pipeline::execute) file: File,
    /// `None` if a later run cannot resume this copy.
    pub(in crate::pipeline::execute) checkpoint: Option<Checkpoint>,
}

impl Attempt<'_, '_> {
    /// Makes a temporary for the target, or resumes one that an interrupted run left.
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
        if let Some(partial) =
            self.leftover.take().cloned().and_then(|name| self.take_up(dir, name, source))
        {
            return Ok(partial);
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

    /// Opens the temporary of an interrupted run. `None` if the copy cannot be resumed. Then the
    /// temporary is removed, unless another run is writing to it.
    fn take_up<'d>(&self, dir: &'d Dir, name: Name, source: &Source) -> Option<Partial<'d>> {
        let (temporary, file) = Temporary::open_file(dir, name).ok()??;
        match file.lock() {
            // Another run is writing to it.
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

    /// The checkpoint, if what lies before it is certainly the beginning of this version of the
    /// source. The rest of the file is cut off.
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
    /// Bytes that are known to be on disk.
    pub(in crate::pipeline::execute) fn durable(&self) -> u64 {
        self.durable.get()
    }

    /// Writes down how many bytes are on disk. Returns `false` if that failed. A later run would
    /// then copy the bytes again.
    pub(in crate::pipeline::execute) fn move_to(&self, file: &File, durable: u64) -> bool {
        let before = self.durable.replace(durable);
        let is_noted = self.put(file);
        if !is_noted {
            self.durable.set(before);
        }
        is_noted
    }

    /// `None` if the file has no checkpoint that can be read.
    fn get(file: &File) -> Option<Self> {
        let bytes = file.checkpoint().ok()??;
        postcard::from_bytes(&bytes).ok()
    }

    /// Returns `false` if the checkpoint could not be written.
    fn put(&self, file: &File) -> bool {
        postcard::to_stdvec(self).is_ok_and(|bytes| file.set_checkpoint(&bytes).is_ok())
    }
}
