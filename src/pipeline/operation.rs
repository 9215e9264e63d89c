//! What travels from the scan to the workers.

use std::sync::Arc;

use super::pair::Pair;
use crate::model::{Action, Entry, Name, RelPath};

/// Operations of one directory that one worker carries out one after the other.
pub(super) type Bundle = Vec<Operation>;

/// One piece of work in one directory.
#[derive(Debug)]
pub(super) struct Operation {
    /// The directory.
    pub(super) pair: Arc<Pair>,
    /// What to do there.
    pub(super) task: Task,
}

/// What there is to do.
#[derive(Debug)]
pub(super) enum Task {
    /// Make the directory itself at the destination, or finish making it.
    MakeDirectory,
    /// Carry one entry over.
    Carry(Carry),
    /// Remove a temporary that an interrupted run left.
    Sweep(Name),
}

/// One entry to carry over, with what the decision rests on.
#[derive(Clone, Debug)]
pub(super) struct Carry {
    /// Its name in the directory.
    pub(super) name: Name,
    /// What stands at the source.
    pub(super) source: Entry,
    /// What stands at the destination.
    pub(super) dest: Option<Entry>,
    /// What was decided.
    pub(super) action: Action,
    /// A temporary at the destination that may be the beginning of it.
    pub(super) leftover: Option<Name>,
}

impl Operation {
    /// The path it is about.
    pub(super) fn path(&self) -> RelPath {
        match &self.task {
            Task::MakeDirectory => self.pair.path(),
            Task::Carry(Carry { name, .. }) | Task::Sweep(name) => self.pair.path().join(name),
        }
    }

    /// Bytes that are to be copied at most.
    pub(super) fn len(&self) -> u64 {
        match &self.task {
            // A comparison may end in a copy; what it reads is of the same order.
            Task::Carry(Carry {
                action:
                    Action::CopyFile { len }
                    | Action::CompareThenCarry { len }
                    | Action::CompareThenBreakTie { len },
                ..
            }) => *len,
            Task::Carry(Carry { action: Action::CopySymlink { .. }, .. })
            | Task::MakeDirectory
            | Task::Sweep(_) => 0,
        }
    }
}
