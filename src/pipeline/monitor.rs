//! Monitor: all that the engine knows of whoever watches it.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::locked::{locked, unlocked};
use crate::model::{Outcome, RelPath, Summary};

/// All that the engine knows of whoever watches it. Calls come from many threads and must return
/// quickly.
pub trait Monitor: Sync {
    /// `part` is added to the counts.
    fn counted(&self, part: &Summary);
    /// That many more operations are to be done. Together they move `bytes` at most.
    fn planned(&self, operations: u64, bytes: u64);
    /// A worker has taken up an operation, which moves `bytes` at most.
    fn started(&self, worker: usize, path: &RelPath, bytes: u64);
    /// A worker has read or copied that many more bytes.
    fn copied(&self, worker: usize, bytes: u64);
    /// A worker is free again.
    fn ended(&self, worker: usize);
    /// Both sides hold the same under a name, or have come to. This is called for each such file
    /// and symlink, so `path` builds the path only if it is called.
    fn equal(&self, path: &dyn Fn() -> RelPath);
    /// A candidate for deletion was left alone, for that reason.
    fn spared(&self, path: &RelPath, reason: &str);
    /// An operation has its outcome.
    fn recorded(&self, outcome: &Outcome);
    /// Everything has been listed.
    fn scanned(&self);
    /// Something that the user should know and that does not concern one path.
    fn warn(&self, message: &str);
}

/// A monitor that ignores everything. As a [`Recorder`](super::Recorder) it keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Monitor for Silent {
    fn counted(&self, _: &Summary) {}
    fn planned(&self, _: u64, _: u64) {}
    fn started(&self, _: usize, _: &RelPath, _: u64) {}
    fn copied(&self, _: usize, _: u64) {}
    fn ended(&self, _: usize) {}
    fn equal(&self, _: &dyn Fn() -> RelPath) {}
    fn spared(&self, _: &RelPath, _: &str) {}
    fn recorded(&self, _: &Outcome) {}
    fn scanned(&self) {}
    fn warn(&self, _: &str) {}
}

/// A monitor that keeps everything it is told, for tests of the engine on small trees.
#[derive(Debug, Default)]
pub struct Recording(Mutex<Heard>);

/// What a [`Recording`] has heard.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// The sum of all counts.
    pub counts: Summary,
    /// Paths under which both sides hold the same, or have come to.
    pub equal: BTreeSet<RelPath>,
    /// Candidates that were left alone, with the reasons.
    pub spared: Vec<(RelPath, String)>,
    /// Every outcome, in the order of recording.
    pub outcomes: Vec<Outcome>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// Operations that were announced.
    pub planned: u64,
    /// Operations that were taken up.
    pub started: u64,
    /// Operations that have ended.
    pub ended: u64,
    /// Bytes that were read or copied.
    pub copied_bytes: u64,
    /// How often the end of the scan was told.
    pub scanned: u64,
}

impl Recording {
    /// Everything that was heard.
    pub fn into_heard(self) -> Heard {
        unlocked(self.0)
    }
}

impl Monitor for Recording {
    fn counted(&self, part: &Summary) {
        locked(&self.0).counts += part;
    }

    fn planned(&self, operations: u64, _: u64) {
        locked(&self.0).planned += operations;
    }

    fn started(&self, _: usize, _: &RelPath, _: u64) {
        locked(&self.0).started += 1;
    }

    fn copied(&self, _: usize, bytes: u64) {
        locked(&self.0).copied_bytes += bytes;
    }

    fn ended(&self, _: usize) {
        locked(&self.0).ended += 1;
    }

    fn equal(&self, path: &dyn Fn() -> RelPath) {
        locked(&self.0).equal.insert(path());
    }

    fn spared(&self, path: &RelPath, reason: &str) {
        locked(&self.0).spared.push((path.clone(), reason.to_owned()));
    }

    fn recorded(&self, outcome: &Outcome) {
        locked(&self.0).outcomes.push(outcome.clone());
    }

    fn scanned(&self) {
        locked(&self.0).scanned += 1;
    }

    fn warn(&self, message: &str) {
        locked(&self.0).warnings.push(message.to_owned());
    }
}
