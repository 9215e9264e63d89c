//! Rules: what the user wishes for, and what decides once a run knows its trees and its clock.

use std::time::Duration;

use crate::model::{Entry, Timestamp};

/// What the user wishes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Two mtimes no further apart than this are equal.
    pub mtime_threshold: Duration,
    /// When contents are compared.
    pub checksum: Checksum,
    /// How long ago the last change of a file must be; `None` if any age will do.
    pub min_age: Option<Duration>,
}

impl Policy {
    /// The rules of a run that began at `now`. `granularity` is the step in which the coarser of
    /// its trees keeps mtimes.
    pub fn rules(self, granularity: Duration, now: Timestamp) -> Rules {
        let Self { mtime_threshold, checksum, min_age } = self;
        let min_age = min_age.map(|age| MinAge { age, now });
        Rules { mtime_threshold, granularity, checksum, min_age }
    }
}

/// What decides: the user's policy, and what a run has found out about its trees and its clock.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Two mtimes no further apart than this are equal.
    pub mtime_threshold: Duration,
    /// The step in which the coarser side keeps mtimes. Times that look alike on that side are
    /// equal, too.
    pub granularity: Duration,
    /// When contents are compared.
    pub checksum: Checksum,
    /// How old a file has to be; `None` if any age will do.
    pub min_age: Option<MinAge>,
}

impl Rules {
    /// Whether two mtimes are the same as far as both sides can tell.
    pub(in crate::pipeline) fn are_alike(&self, one: Timestamp, other: Timestamp) -> bool {
        one.truncated(self.granularity) == other.truncated(self.granularity)
    }

    /// Whether two mtimes count as equal.
    pub(in crate::pipeline) fn are_close(&self, one: Timestamp, other: Timestamp) -> bool {
        self.are_alike(one, other) || one.distance(other) <= self.mtime_threshold
    }
}

/// The age from which files are touched, and directories that would be deleted. What is younger may
/// still be on its way here.
#[derive(Clone, Copy, Debug)]
pub struct MinAge {
    /// How long ago its last change must be.
    pub age: Duration,
    /// When the run began.
    pub now: Timestamp,
}

/// A file dated further ahead than this is not a fresh one seen by a wrong clock: its date says
/// nothing.
const AHEAD: Duration = Duration::from_secs(24 * 3600);

impl MinAge {
    pub(in crate::pipeline) fn is_young(self, entry: &Entry) -> bool {
        let distance = entry.mtime.distance(self.now);
        distance < if entry.mtime > self.now { self.age.max(AHEAD) } else { self.age }
    }
}

/// When the contents of two files of one size are compared by MD5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Where the mtimes differ.
    Mismatch,
    /// Also where they are equal.
    Always,
    /// Never: a newer mtime means a copy.
    Never,
}
