//! Carrying a symlink: made under a temporary name with its owner and mtime, then published.

use super::copy::give_up;
use super::dress::Wear;
use super::step::{Doing, Halt, Step};
use super::{Done, Work};
use crate::model::{Change, Entry, Subject};
use crate::tree::{Freshness, Temporary};

impl Work<'_, '_> {
    /// Carries the symlink as a symlink.
    pub(super) fn copy_symlink(&mut self, target: &[u8]) -> Step<Done> {
        let source_dir = self.open_source_dir()?;
        let now = source_dir
            .look(&self.carry.name, Freshness::Server)
            .doing("looking at the source again")?;
        if !now.is_some_and(|now| now.is_same_version_as(&self.carry.source)) {
            return Err(Halt::Overtaken);
        }
        let dest_dir = self.open_dest_dir()?;
        self.pair.touch();
        let temporary = Temporary::create_symlink(&dest_dir, &self.stage.temporaries, target)
            .doing("creating a temporary symlink")?;
        if let Err(halt) = self.dress_symlink(&temporary) {
            return give_up(temporary, halt);
        }
        self.publish(&dest_dir, temporary)?;
        Ok(Done::Changed {
            change: if self.carry.dest.is_some() {
                Change::Update
            } else {
                Change::Create
            },
            subject: Subject::Symlink,
            size_before: self.carry.dest.as_ref().and_then(Entry::file_len),
            size_after: None,
            md5_before: None,
            md5_after: None,
            bytes: 0,
        })
    }

    fn dress_symlink(&self, temporary: &Temporary<'_>) -> Step<()> {
        // A new symlink is ours; where the directory passes its group on, the group is set once too often.
        let (uid, gid) = self.stage.options.process_owner;
        let source = &self.carry.source;
        self.stage.set_owner_with(
            Wear {
                uid,
                gid,
                mode: source.mode,
            },
            Wear::of(source),
            |uid, gid| temporary.set_symlink_owner(uid, gid),
        )?;
        temporary
            .set_symlink_mtime(source.mtime)
            .doing("setting the symlink's mtime")
    }
}
