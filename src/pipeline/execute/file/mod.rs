//! Carrying a regular file: temporary, data, owner, mode, mtime, checked close, publish.
//!
//! The order is the promise. A name shows the old file or the complete new one. It never shows a
//! file whose mtime is "now", because that file would win over the original. The source is looked
//! at before and after the copy, and must not have changed in between. Right before the name
//! changes hands, the destination must still be what the decision rested on.

mod compare;
pub(in crate::pipeline::execute) mod copier;
mod digester;
mod mtime;
mod resume;
mod source;
mod writeback;

use std::io;
use std::time::SystemTime;

use self::copier::{Beginning, Copied};
use self::resume::{Checkpoint, Partial};
use self::source::Source;
use super::attempt::Attempt;
use super::done::Done;
use super::metadata::{Metadata, Origin};
use crate::model::{Change, Effect, Entry, Failure, Md5, Side, Subject, Summary};
use crate::pipeline::halt::{Doing, Halt, OpResult};
use crate::pipeline::node::Inherits;
use crate::pipeline::options::Fsync;
use crate::tree::{Dir, File, Freshness, Publish, Temporary, Xattrs, set_mtime};

/// A temporary that is being made the complete new version.
struct Target<'t> {
    file: &'t File,
    checkpoint: Option<&'t Checkpoint>,
    wanted: &'t Metadata,
    inherits: Inherits,
}

impl Attempt<'_, '_> {
    /// Carries the whole file. `md5_before` is the destination's digest, if a comparison has
    /// computed it.
    pub(in crate::pipeline::execute) fn copy_file(
        &mut self,
        md5_before: Option<Md5>,
    ) -> OpResult<Done> {
        let source = self.open_source()?;
        let dest_dir = self.open_dest_dir()?;
        let inherits = self.tools.inherits(self.node, &dest_dir)?;
        let wanted = Metadata::wanted(self.context.options, &source.seen, self.dest())
            .with(source.xattrs.clone());
        self.node.mark_changed();
        let before = SystemTime::now();
        let first_mode = wanted.mode_at_first(self.context.options, inherits);
        self.context.may_change()?;
        let Partial { temporary, file, checkpoint } = self.begin(&dest_dir, &source, first_mode)?;
        let target =
            Target { file: &file, checkpoint: checkpoint.as_ref(), wanted: &wanted, inherits };
        let copied = match self.fill(&source, &target, before) {
            Ok(copied) => copied,
            Err(Halt::Stopped) if checkpoint.is_some_and(|checkpoint| checkpoint.durable() > 0) => {
                temporary.abandon();
                return Err(Halt::Stopped);
            }
            Err(halt) => {
                self.tools.abandon(file);
                return self.tools.give_up(temporary, halt);
            }
        };
        if let Err(halt) = file.close().at_dest("closing the file") {
            return self.tools.give_up(temporary, halt);
        }
        self.publish(&dest_dir, temporary)?;
        self.context
            .count(&Summary { continued: u64::from(copied.kept > 0), ..Summary::default() });
        Ok(Done::Changed(Effect {
            size_before: self.dest().and_then(Entry::file_len),
            size_after: source.seen.file_len(),
            md5_before,
            md5_after: copied.md5,
            bytes: copied.bytes,
            ..Effect::new(Change::of(self.dest()), Subject::File)
        }))
    }

    /// Makes the temporary the complete new version.
    fn fill(
        &mut self,
        source: &Source,
        target: &Target<'_>,
        before: SystemTime,
    ) -> OpResult<Copied> {
        let Source { file: source, seen, layout, .. } = source;
        let Target { file, checkpoint, wanted, inherits } = *target;
        let born = file.look(Freshness::Cached).at_dest("looking at the temporary")?;
        let durable = checkpoint.map_or(0, Checkpoint::durable);
        if durable == 0 {
            self.tools.compare_clocks(before, born.ctime);
        }
        let len = seen.file_len().ok_or(Halt::Overtaken)?;
        let note = checkpoint.map(|checkpoint| |durable| checkpoint.move_to(file, durable));
        let copied =
            self.copier.copy(source, file, len, *layout, Beginning::new(durable, &note))?;
        let after = source.look(Freshness::Server).at_source("looking at the source again")?;
        if !after.is_same_version_as(seen) {
            return Err(Halt::SourceChanged);
        }
        self.context.may_change()?;
        if checkpoint.is_some() {
            file.remove_checkpoint().at_dest("removing the bookmark")?;
        }
        let may_have_some = inherits.acl || durable > 0;
        let has = if may_have_some { self.tools.xattrs_at_dest(file)? } else { Xattrs::default() };
        self.tools.apply_metadata(file, Origin::Created, Metadata::of(&born).with(has), wanted)?;
        if self.context.options.io.dest_on_network {
            // A server may accept data and then fail to keep it, because its disk is full. The
            // kernel sends such data again as soon as it learns of that, and this write would set
            // the mtime to now. So all data is written to disk before the mtime is set.
            file.sync_data().at_dest("writing to disk")?;
        }
        self.context.may_change()?;
        set_mtime(file, seen.mtime).at_dest("setting the mtime")?;
        if self.context.options.io.fsync == Fsync::EachFile {
            file.sync().at_dest("writing to disk")?;
        }
        Ok(copied)
    }

    /// Gives the finished temporary its name, if the destination is still what the decision rested
    /// on.
    pub(in crate::pipeline::execute) fn publish(
        &self,
        dest_dir: &Dir,
        temporary: Temporary<'_>,
    ) -> OpResult<()> {
        let how = if self.dest().is_some() { Publish::Replace } else { Publish::Create };
        self.publish_as(how, dest_dir, temporary)
    }

    fn publish_as(&self, how: Publish, dest_dir: &Dir, temporary: Temporary<'_>) -> OpResult<()> {
        // The other ways need no look at the destination: they cannot replace anything.
        let looks = how == Publish::Replace;
        let expected = if looks { self.expect_dest_unchanged(dest_dir) } else { Ok(()) };
        if let Err(halt) = expected.and_then(|()| self.context.may_change()) {
            return self.tools.give_up(temporary, halt);
        }
        match temporary.publish(self.name, how) {
            Ok(None) => Ok(()),
            Ok(Some(second_name)) => {
                self.tools.sweep_away(second_name);
                Ok(())
            }
            Err((temporary, error)) => match how.instead(&error) {
                Some(other) => self.publish_as(other, dest_dir, temporary),
                None => self.tools.give_up(temporary, unpublished(&error)),
            },
        }
    }

    fn expect_dest_unchanged(&self, dest_dir: &Dir) -> OpResult<()> {
        let now = dest_dir
            .look(self.name, Freshness::Server)
            .at_dest("looking at the destination again")?;
        match (self.dest(), now) {
            (Some(expected), Some(now)) if now.is_same_version_as(expected) => Ok(()),
            (None, None) => Ok(()),
            _ => Err(Halt::Overtaken),
        }
    }
}

fn unpublished(error: &io::Error) -> Halt {
    match error.kind() {
        // Somebody was faster. What exists there is theirs until it has been looked at.
        io::ErrorKind::AlreadyExists
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::NotADirectory => Halt::Overtaken,
        _ => Halt::Failed(Failure::fault(Side::Dest, "giving the file its name", error)),
    }
}
