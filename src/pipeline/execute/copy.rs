//! Carrying a regular file: temporary, data, owner, mode, mtime, checked close, publish.
//!
//! The order is the promise. The name shows its old self or the complete new file, never one with
//! "now" as its mtime, which would win over the original. Between the looks at the source before
//! and after nothing may have changed, and right before the name changes hands the destination
//! must be what the decision rested on.

use std::io;

use super::data::Moved;
use super::dress::Wear;
use super::step::{Doing, Halt, Step};
use super::{Done, Work};
use crate::model::{Change, Entry, Md5, Subject};
use crate::pipeline::Fsync;
use crate::tree::{Dir, File, Freshness, Publish, Temporary, set_mtime};

impl Work<'_, '_> {
    /// Carries the file whole. `md5_before`: the destination's digest, where a comparison computed it.
    pub(super) fn copy_file(&mut self, md5_before: Option<Md5>) -> Step<Done> {
        let source_dir = self.open_source_dir()?;
        let source = self.open_file(&source_dir)?;
        let (seen, holes) = source.look_for_holes().doing("looking at the source")?;
        if !seen.is_same_version_as(&self.carry.source) {
            return Err(Halt::Overtaken);
        }
        let dest_dir = self.open_dest_dir()?;
        let wanted = Wear::wanted(self.stage.options, &seen, self.carry.dest.as_ref());
        self.pair.touch();
        let names = &self.stage.temporaries;
        let first_mode = wanted.mode_at_first(self.stage.options);
        let (temporary, file) =
            Temporary::create_file(&dest_dir, names, first_mode).doing("creating a temporary")?;
        let moved = match self.fill(&source, &seen, holes, file, wanted) {
            Ok(moved) => moved,
            Err(halt) => return give_up(temporary, halt),
        };
        self.publish(&dest_dir, temporary)?;
        let len = seen.file_len();
        Ok(Done::Changed {
            change: if self.carry.dest.is_some() {
                Change::Update
            } else {
                Change::Create
            },
            subject: Subject::File,
            size_before: self.carry.dest.as_ref().and_then(Entry::file_len),
            size_after: len,
            md5_before,
            md5_after: moved.md5,
            bytes: moved.bytes,
        })
    }

    /// Makes the temporary the complete new version, closed.
    fn fill(&mut self, source: &File, seen: &Entry, holes: bool, file: File, wanted: Wear) -> Step<Moved> {
        let born = file.look(Freshness::Cached).doing("looking at the temporary")?;
        self.stage.compare_clocks(born.ctime);
        let len = seen.file_len().ok_or(Halt::Overtaken)?;
        let moved = self
            .mover
            .copy(source, &file, len, holes, self.stage.options.hash_copies)?;
        let after = source
            .look(Freshness::Server)
            .doing("looking at the source again")?;
        if !after.is_same_version_as(seen) {
            return Err(Halt::SourceChanged);
        }
        self.stage.dress(&file, Wear::of(&born), wanted)?;
        set_mtime(&file, seen.mtime).doing("setting the mtime")?;
        if self.stage.options.fsync == Fsync::EachFile {
            file.sync().doing("writing to disk")?;
        }
        file.close().doing("closing the file")?;
        Ok(moved)
    }

    /// Gives the finished temporary its name, if the destination is still what was decided on.
    pub(super) fn publish(&self, dest_dir: &Dir, temporary: Temporary<'_>) -> Step<()> {
        if let Err(halt) = self.expect_dest_unchanged(dest_dir) {
            return give_up(temporary, halt);
        }
        let how = if self.carry.dest.is_some() {
            Publish::Replace
        } else {
            Publish::Create
        };
        temporary
            .publish(&self.carry.name, how)
            .or_else(|error| match error.kind() {
                // Somebody was faster: what stands there is theirs until it has been looked at.
                io::ErrorKind::AlreadyExists | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
                    Err(Halt::Overtaken)
                }
                _ => Err(error).doing("giving the file its name"),
            })
    }

    /// A create needs no look: publishing it cannot replace anything.
    fn expect_dest_unchanged(&self, dest_dir: &Dir) -> Step<()> {
        let Some(expected) = &self.carry.dest else {
            return Ok(());
        };
        match dest_dir
            .look(&self.carry.name, Freshness::Server)
            .doing("looking at the destination again")?
        {
            Some(now) if now.is_same_version_as(expected) => Ok(()),
            _ => Err(Halt::Overtaken),
        }
    }

    /// Opens a name that held a regular file when it was looked at.
    pub(super) fn open_file(&self, dir: &Dir) -> Step<File> {
        dir.open_file(&self.carry.name)
            .doing("opening the file")?
            .ok_or(Halt::Overtaken)
    }
}

/// Removes a temporary that will not be needed. What can't be removed now is swept by the next run.
pub(super) fn give_up<T>(temporary: Temporary<'_>, halt: Halt) -> Step<T> {
    let _swept_later = temporary.discard();
    Err(halt)
}
