//! Whether the destination can keep a file's mtime at all.
//!
//! A file system's time begins and ends somewhere, and it makes the nearest that it has of any other time, without a word
//! (Linux, `timestamp_truncate`). A file that got its name so would be carried again by every run, and the opposite
//! run would take it for another version and date the original after it. So an empty temporary is
//! given an unusual mtime and asked what became of it, before anything is read or changed for that file.

use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard};

use crate::locked::locked;
use crate::model::Timestamp;

/// Seconds since 1970 that every file system keeps. FAT begins with 1980, in some time zone, and several end in
/// January 2038: ext3, ext4 with inodes of 128 bytes, XFS without `bigtime`.
const EVERYWHERE: RangeInclusive<i64> = 315_705_600..=2_147_300_000;

/// Seconds since 1970 that the destination is known to keep: it keeps all between two that it keeps.
#[derive(Debug)]
pub(in crate::pipeline::execute) struct Mtimes(Mutex<RangeInclusive<i64>>);

impl Default for Mtimes {
    fn default() -> Self {
        Self(Mutex::new(EVERYWHERE))
    }
}

impl Mtimes {
    pub(in crate::pipeline::execute) fn keep(&self, time: Timestamp) -> bool {
        self.known().contains(&time.seconds)
    }

    pub(in crate::pipeline::execute) fn learn(&self, time: Timestamp) {
        let mut known = self.known();
        *known = time.seconds.min(*known.start())..=time.seconds.max(*known.end());
    }

    fn known(&self) -> MutexGuard<'_, RangeInclusive<i64>> {
        locked(&self.0)
    }
}
