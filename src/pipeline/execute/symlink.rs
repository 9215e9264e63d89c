//! Carrying a symlink: made under a temporary name with its owner and mtime, then published.

use super::Done;
use super::copy::made;
use super::step::{Doing, Halt, Step};
use super::work::Work;
use crate::model::{Change, Effect, Entry, Subject};
use crate::tree::{Freshness, Temporary};

impl Work<'_, '_> {
    /// Carries the symlink as a symlink.
    pub(super) fn copy_symlink(&mut self, target: &[u8]) -> Step<Done> {
        let source_dir = self.open_source_dir()?;
        let now =
            source_dir.look(&self.carry.name, Freshness::Server).at_source("looking at the source again")?;
        if !now.is_some_and(|now| now.is_same_version_as(&self.carry.source)) {
            return Err(Halt::Overtaken);
        }
        let dest_dir = self.open_dest_dir()?;
        self.pair.touch();
        self.stage.may_change()?;
        let temporary = made(
            Temporary::create_symlink(&dest_dir, &self.stage.temporaries, target),
            "creating a temporary symlink",
        )?;
        if let Err(halt) = self.dress_symlink(&temporary) {
            return self.stage.give_up(temporary, halt);
        }
        self.publish(&dest_dir, temporary)?;
        Ok(Done::Changed(Effect {
            size_before: self.carry.dest.as_ref().and_then(Entry::file_len),
            ..Effect::new(Change::of(self.carry.dest.as_ref()), Subject::Symlink)
        }))
    }

    fn dress_symlink(&self, temporary: &Temporary<'_>) -> Step<()> {
        let source = &self.carry.source;
        let link = temporary.open_symlink().at_dest("opening the temporary symlink")?;
        self.stage.may_change()?;
        self.stage.own_symlink(link.owner(), source, |uid, gid| link.set_owner(uid, gid))?;
        self.stage.may_change()?;
        link.set_mtime(source.mtime).at_dest("setting the symlink's mtime")
    }
}
