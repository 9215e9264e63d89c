//! Whether the destination can keep a file's mtime at all.
//!
//! A file system's time begins and ends somewhere, and it makes the nearest that it has of any other time, without a word
//! (Linux, `timestamp_truncate`). A file that got its name so would be carried again by every run, and the opposite
//! run would take it for another version and date the original after it. So an empty temporary is
//! given an unusual mtime and asked what became of it, before anything is read or changed for that file.

use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::copy::made;
use super::step::{Doing, Halt, Step};
use super::work::Work;
use crate::model::{Failure, Timestamp};
use crate::time::to_rfc3339;
use crate::tree::{Access, Freshness, Temporary, set_mtime};

/// Seconds since 1970 that every file system keeps. FAT begins with 1980, in some time zone, and several end in
/// January 2038: ext3, ext4 with inodes of 128 bytes, XFS without `bigtime`.
const EVERYWHERE: RangeInclusive<i64> = 315_705_600..=2_147_300_000;

/// Seconds since 1970 that the destination is known to keep: it keeps all between two that it keeps.
#[derive(Debug)]
pub(in crate::pipeline) struct Mtimes(Mutex<RangeInclusive<i64>>);

impl Default for Mtimes {
    fn default() -> Self {
        Self(Mutex::new(EVERYWHERE))
    }
}

impl Mtimes {
    fn keep(&self, time: Timestamp) -> bool {
        self.known().contains(&time.seconds)
    }

    fn learn(&self, time: Timestamp) {
        let mut known = self.known();
        *known = time.seconds.min(*known.start())..=time.seconds.max(*known.end());
    }

    fn known(&self) -> MutexGuard<'_, RangeInclusive<i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work<'_, '_> {
    /// Fails for a file that would not have its mtime at the destination. A symlink's decides nothing once it is carried.
    pub(super) fn expect_mtime_is_kept(&self) -> Step<()> {
        let source = &self.carry.source;
        if source.file_len().is_none() || self.stage.mtimes.keep(source.mtime) {
            return Ok(());
        }
        let kept = self.try_mtime(source.mtime)?;
        if self.stage.options.rules.are_close(source.mtime, kept) {
            self.stage.mtimes.learn(source.mtime);
            return Ok(());
        }
        let [wanted, kept] = [source.mtime, kept].map(|time| to_rfc3339(SystemTime::from(time)));
        Err(Halt::Failed(Failure::error(format!(
            "the destination cannot keep its mtime, {wanted}, and would make {kept} of it, which would make it another \
             version. Give it a time that both sides can keep, with touch"
        ))))
    }

    /// What the destination makes of that mtime.
    fn try_mtime(&self, mtime: Timestamp) -> Step<Timestamp> {
        let dir = self.open_dest_dir()?;
        self.pair.touch();
        self.stage.may_change()?;
        let created = Temporary::create_file(&dir, &self.stage.temporaries, 0o600, Access::Write);
        let (temporary, file) = made(created, "creating a temporary")?;
        let kept = self.stage.may_change().and_then(|()| {
            set_mtime(&file, mtime).at_dest("setting the mtime")?;
            file.look(Freshness::Server).at_dest("looking at the temporary")
        });
        self.stage.sweep_away(temporary);
        Ok(kept?.mtime)
    }
}
