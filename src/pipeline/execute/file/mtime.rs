//! Asking the destination whether it keeps a file's mtime, before anything is read or changed for
//! that file.

use std::time::SystemTime;

use crate::model::{Failure, Timestamp};
use crate::pipeline::execute::attempt::Attempt;
use crate::pipeline::execute::temporaries::made;
use crate::pipeline::halt::{Doing, Halt, OpResult};
use crate::time::to_rfc3339;
use crate::tree::{Access, Freshness, Temporary, set_mtime};

impl Attempt<'_, '_> {
    /// Fails for a file whose mtime the destination cannot keep. The mtime of a symlink is not
    /// checked, because it decides nothing once the symlink is carried.
    pub(in crate::pipeline::execute) fn expect_mtime_is_kept(&self) -> OpResult<()> {
        let source = self.source();
        if source.file_len().is_none() || self.tools.mtimes.keep(source.mtime) {
            return Ok(());
        }
        let kept = self.try_mtime(source.mtime)?;
        if self.context.rules.are_close(source.mtime, kept) {
            self.tools.mtimes.learn(source.mtime);
            return Ok(());
        }
        let [wanted, kept] = [source.mtime, kept].map(|time| to_rfc3339(SystemTime::from(time)));
        Err(Halt::Failed(Failure::error(format!(
            "the destination cannot keep its mtime, {wanted}, and would make {kept} of it, which would make it another \
             version. Give it a time that both sides can keep, with touch"
        ))))
    }

    /// The mtime that a file at the destination has after it was given this one.
    fn try_mtime(&self, mtime: Timestamp) -> OpResult<Timestamp> {
        let dir = self.open_dest_dir()?;
        self.node.mark_changed();
        self.context.may_change()?;
        let created = Temporary::create_file(&dir, &self.context.temporaries, 0o600, Access::Write);
        let (temporary, file) = made(created, "creating a temporary")?;
        let kept = self.context.may_change().and_then(|()| {
            set_mtime(&file, mtime).at_dest("setting the mtime")?;
            file.look(Freshness::Server).at_dest("looking at the temporary")
        });
        self.tools.sweep_away(temporary);
        Ok(kept?.mtime)
    }
}
