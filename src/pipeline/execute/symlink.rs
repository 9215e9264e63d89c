//! Carrying a symlink: it is made under a temporary name, gets its owner and mtime, and is
//! published.

use super::attempt::Attempt;
use super::done::Done;
use super::temporaries::made;
use crate::model::{Change, Effect, Entry, Subject};
use crate::pipeline::halt::{Doing, Halt, OpResult};
use crate::tree::{Freshness, Temporary};

impl Attempt<'_, '_> {
    /// Carries the symlink as a symlink.
    pub(super) fn copy_symlink(&mut self, target: &[u8]) -> OpResult<Done> {
        let source_dir = self.open_source_dir()?;
        let now = source_dir
            .look(self.name, Freshness::Server)
            .at_source("looking at the source again")?;
        if !now.is_some_and(|now| now.is_same_version_as(self.source())) {
            return Err(Halt::Overtaken);
        }
        let dest_dir = self.open_dest_dir()?;
        self.node.mark_changed();
        self.context.may_change()?;
        let temporary = made(
            Temporary::create_symlink(&dest_dir, &self.context.temporaries, target),
            "creating a temporary symlink",
        )?;
        if let Err(halt) = self.apply_owner_and_mtime(&temporary) {
            return self.tools.give_up(temporary, halt);
        }
        self.publish(&dest_dir, temporary)?;
        Ok(Done::Changed(Effect {
            size_before: self.dest().and_then(Entry::file_len),
            ..Effect::new(Change::of(self.dest()), Subject::Symlink)
        }))
    }

    fn apply_owner_and_mtime(&self, temporary: &Temporary<'_>) -> OpResult<()> {
        let source = self.source();
        let link = temporary.open_symlink().at_dest("opening the temporary symlink")?;
        self.context.may_change()?;
        self.tools.own_symlink(link.owner(), source, |uid, gid| link.set_owner(uid, gid))?;
        self.context.may_change()?;
        link.set_mtime(source.mtime).at_dest("setting the symlink's mtime")
    }
}
