//! Operations: what travels from the scan to the workers.

use std::sync::Arc;

use super::node::DirNode;
use crate::model::{Carry, Change, Effect, Entry, Name, RelPath, Subject};

/// Operations of one directory that one worker carries out one after the other.
pub(super) type Bundle = Vec<Operation>;

/// One piece of work in one directory.
#[derive(Debug)]
pub(super) struct Operation {
    /// The directory.
    pub(super) node: Arc<DirNode>,
    /// What to do there.
    pub(super) task: Task,
}

/// What there is to do.
#[derive(Debug)]
pub(super) enum Task {
    /// Make the directory itself at the destination, or finish making it.
    MakeDirectory,
    /// Carry one entry over.
    Carry(CarryEntry),
    /// Remove a temporary that an interrupted run left.
    Sweep(Name),
}

/// One entry to carry over, with the entries on which the decision rests.
#[derive(Debug)]
pub(super) struct CarryEntry {
    /// Its name in the directory.
    pub(super) name: Name,
    /// The decision, and the entries that it is about.
    pub(super) carry: Carry<Entry>,
    /// A temporary at the destination that may hold the beginning of the copy.
    pub(super) leftover: Option<Name>,
}

impl Operation {
    /// The path that the operation is about.
    pub(super) fn path(&self) -> RelPath {
        match &self.task {
            Task::MakeDirectory => self.node.path(),
            Task::Carry(CarryEntry { name, .. }) | Task::Sweep(name) => self.node.path().join(name),
        }
    }

    /// Bytes that are copied at most. A comparison may end in a copy, and what it reads is of the
    /// same order.
    pub(super) fn len(&self) -> u64 {
        match &self.task {
            Task::Carry(CarryEntry { carry, .. }) => carry.source().file_len().unwrap_or(0),
            Task::MakeDirectory | Task::Sweep(_) => 0,
        }
    }

    /// What the operation is meant to do, for the opslog if it does not succeed.
    pub(super) fn intent(&self) -> Effect {
        match &self.task {
            Task::MakeDirectory => Effect::new(Change::Create, Subject::Directory),
            Task::Sweep(_) => Effect::new(Change::Update, Subject::File),
            Task::Carry(CarryEntry { carry, .. }) => {
                Effect::new(Change::of(carry.dest()), Subject::of(carry.source()))
            }
        }
    }

    /// Whether contents have to be compared before it is known what to carry.
    pub(super) fn compares(&self) -> bool {
        matches!(&self.task, Task::Carry(CarryEntry { carry, .. }) if carry.compares())
    }
}
