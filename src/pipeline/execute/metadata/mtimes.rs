//! Whether the destination can keep a file's mtime at all.
//!
//! A file system keeps times of a limited range. It replaces any other time by the nearest one in
//! that range, without an error (Linux, `timestamp_truncate`). If a file were published with such a
//! time, every run would carry it again. The opposite run would take it for another version and
//! give the original that mtime. So an empty temporary is given the unusual mtime and looked at
//! again, before anything is read or changed for that file.

use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard};

use crate::locked::locked;
use crate::model::Timestamp;

/// Seconds since 1970 that every file system keeps. FAT begins with 1980, in some time zone.
/// Several end in January 2038: ext3, ext4 with inodes of 128 bytes, XFS without `bigtime`.
const EVERYWHERE: RangeInclusive<i64> = 315_705_600..=2_147_300_000;

/// Seconds since 1970 that the destination is known to keep. It keeps every time between two times
/// that it keeps.
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
