//! Carrying a regular file: temporary, data, owner, mode, mtime, checked close, publish.
//!
//! The order is the promise. The name shows its old self or the complete new file, never one with
//! "now" as its mtime, which would win over the original. Between the looks at the source before
//! and after nothing may have changed, and right before the name changes hands the destination
//! must be what the decision rested on.

use std::io;
use std::time::SystemTime;

use super::Done;
use super::continued::{Begun, Bookmark};
use super::data::{Beginning, Moved};
use super::dress::{Since, Wear};
use super::step::{Doing, Halt, Step};
use super::work::Work;
use crate::model::{Change, Effect, Entry, Failure, Md5, Side, Subject, Summary};
use crate::pipeline::Fsync;
use crate::pipeline::stage::Stage;
use crate::tree::{Attributes, Dir, File, Freshness, Layout, Publish, Temporary, set_mtime};

/// A source that is open and still what was decided on.
pub(super) struct Source {
    file: File,
    pub(super) seen: Entry,
    layout: Layout,
    attributes: Attributes,
}

impl Work<'_, '_> {
    /// Carries the file whole. `md5_before`: the destination's digest, where a comparison computed it.
    pub(super) fn copy_file(&mut self, md5_before: Option<Md5>) -> Step<Done> {
        let source = self.open_source()?;
        let dest_dir = self.open_dest_dir()?;
        let inherits = self.stage.inherits(self.pair, &dest_dir)?;
        let wanted = Wear::wanted(self.stage.options, &source.seen, self.carry.dest.as_ref())
            .with(source.attributes.clone());
        self.pair.touch();
        let before = SystemTime::now();
        let first_mode = wanted.mode_at_first(self.stage.options, inherits);
        self.stage.may_change()?;
        let Begun { temporary, file, bookmark } = self.begin(&dest_dir, &source, first_mode)?;
        let moved = match self.fill(&source, &file, bookmark.as_ref(), (&wanted, inherits.acl), before) {
            Ok(moved) => moved,
            Err(Halt::Stopped) if bookmark.is_some_and(|bookmark| bookmark.durable() > 0) => {
                temporary.leave();
                return Err(Halt::Stopped);
            }
            Err(halt) => {
                self.stage.abandon(file);
                return self.stage.give_up(temporary, halt);
            }
        };
        if let Err(halt) = file.close().at_dest("closing the file") {
            return self.stage.give_up(temporary, halt);
        }
        self.publish(&dest_dir, temporary)?;
        self.stage.count(&Summary { continued: u64::from(moved.kept > 0), ..Summary::default() });
        Ok(Done::Changed(Effect {
            size_before: self.carry.dest.as_ref().and_then(Entry::file_len),
            size_after: source.seen.file_len(),
            md5_before,
            md5_after: moved.md5,
            bytes: moved.bytes,
            ..Effect::new(Change::of(self.carry.dest.as_ref()), Subject::File)
        }))
    }

    /// Opens the source, if it is still what was decided on.
    fn open_source(&self) -> Step<Source> {
        let file = self.open_file(&*self.open_source_dir()?, Side::Source)?;
        let (seen, layout) = file.look_for_holes().at_source("looking at the source")?;
        if !seen.is_same_version_as(&self.carry.source) {
            return Err(Halt::Overtaken);
        }
        let attributes = self.stage.attributes_at_source(&file)?;
        Ok(Source { file, seen, layout, attributes })
    }

    /// Makes the temporary the complete new version.
    fn fill(
        &mut self,
        source: &Source,
        file: &File,
        bookmark: Option<&Bookmark>,
        (wanted, inherits_acl): (&Wear, bool),
        before: SystemTime,
    ) -> Step<Moved> {
        let Source { file: source, seen, layout, .. } = source;
        let born = file.look(Freshness::Cached).at_dest("looking at the temporary")?;
        let durable = bookmark.map_or(0, Bookmark::durable);
        if durable == 0 {
            self.stage.compare_clocks(before, born.ctime);
        }
        let len = seen.file_len().ok_or(Halt::Overtaken)?;
        let note = bookmark.map(|bookmark| |durable| bookmark.move_to(file, durable));
        let moved = self.mover.copy(source, file, len, *layout, Beginning::new(durable, &note))?;
        let after = source.look(Freshness::Server).at_source("looking at the source again")?;
        if !after.is_same_version_as(seen) {
            return Err(Halt::SourceChanged);
        }
        self.stage.may_change()?;
        if bookmark.is_some() {
            file.remove_bookmark().at_dest("removing the bookmark")?;
        }
        let may_have_some = inherits_acl || durable > 0;
        let has = if may_have_some { self.stage.attributes_at_dest(file)? } else { Attributes::default() };
        self.stage.dress(file, Since::ThisRun, Wear::of(&born).with(has), wanted)?;
        if self.stage.options.dest_on_network {
            // What a server took and could not keep (its disk is full) the kernel sends again, whenever it hears
            // of it, and that is a change of now. So all of it is kept before the mtime is set.
            file.sync_data().at_dest("writing to disk")?;
        }
        self.stage.may_change()?;
        set_mtime(file, seen.mtime).at_dest("setting the mtime")?;
        if self.stage.options.fsync == Fsync::EachFile {
            file.sync().at_dest("writing to disk")?;
        }
        Ok(moved)
    }

    /// Gives the finished temporary its name, if the destination is still what was decided on.
    pub(super) fn publish(&self, dest_dir: &Dir, temporary: Temporary<'_>) -> Step<()> {
        let how = if self.carry.dest.is_some() { Publish::Replace } else { Publish::Create };
        self.publish_as(how, dest_dir, temporary)
    }

    fn publish_as(&self, how: Publish, dest_dir: &Dir, temporary: Temporary<'_>) -> Step<()> {
        // The others need no look: they cannot replace anything.
        let looks = how == Publish::Replace;
        let expected = if looks { self.expect_dest_unchanged(dest_dir) } else { Ok(()) };
        if let Err(halt) = expected.and_then(|()| self.stage.may_change()) {
            return self.stage.give_up(temporary, halt);
        }
        match temporary.publish(&self.carry.name, how) {
            Ok(None) => Ok(()),
            Ok(Some(second_name)) => {
                self.stage.sweep_away(second_name);
                Ok(())
            }
            Err((temporary, error)) => match how.instead(&error) {
                Some(other) => self.publish_as(other, dest_dir, temporary),
                None => self.stage.give_up(temporary, unpublished(&error)),
            },
        }
    }

    fn expect_dest_unchanged(&self, dest_dir: &Dir) -> Step<()> {
        let now =
            dest_dir.look(&self.carry.name, Freshness::Server).at_dest("looking at the destination again")?;
        match (&self.carry.dest, now) {
            (Some(expected), Some(now)) if now.is_same_version_as(expected) => Ok(()),
            (None, None) => Ok(()),
            _ => Err(Halt::Overtaken),
        }
    }

    /// Opens a name that held a regular file when it was looked at.
    pub(super) fn open_file(&self, dir: &Dir, side: Side) -> Step<File> {
        match dir.open_file(&self.carry.name) {
            // Somebody holds a lease on it (Samba does), and we do not wait.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(Halt::Failed(Failure::deferred("in use by another program")))
            }
            opened => {
                opened.on(side, &format!("opening the file at {}", side.name()))?.ok_or(Halt::Overtaken)
            }
        }
    }
}

/// A temporary that was made, unless its name was taken: the next attempt has another one.
pub(super) fn made<T>(created: io::Result<T>, doing: &str) -> Step<T> {
    match created {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Halt::Overtaken),
        created => created.at_dest(doing),
    }
}

fn unpublished(error: &io::Error) -> Halt {
    match error.kind() {
        // Somebody was faster: what stands there is theirs until it has been looked at.
        io::ErrorKind::AlreadyExists | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
            Halt::Overtaken
        }
        _ => Halt::Failed(Failure::fault(Side::Dest, "giving the file its name", error)),
    }
}

impl Stage<'_> {
    /// Ends an operation whose temporary will not be needed.
    pub(super) fn give_up<T>(&self, temporary: Temporary<'_>, halt: Halt) -> Step<T> {
        self.sweep_away(temporary);
        Err(halt)
    }

    /// Closes a file that will not be needed, emptied: what the kernel has not been able to send yet would keep an NFS
    /// client from removing it. It would stand there as `.nfs…` for half a minute, and for ever if this machine went down.
    fn abandon(&self, file: File) {
        if self.options.dest_on_network && !self.stop.forbids_changes() {
            let _removed_all_the_same = file.set_len(0);
        }
        let _not_needed = file.close();
    }

    /// Removes a temporary. What can't be removed now, or may not be any more, is swept by the next run.
    pub(super) fn sweep_away(&self, temporary: Temporary<'_>) {
        if self.stop.forbids_changes() {
            temporary.leave();
        } else {
            let _swept_later = temporary.discard();
        }
    }
}
