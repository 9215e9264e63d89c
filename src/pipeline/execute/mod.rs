//! Execute: the workers. Each takes operations off the queue and carries them out one by one; when all
//! copies have ended, they delete (see `delete`).
//!
//! In comes an [`Operation`] with the entries that its decision rests on; out goes an
//! [`Outcome`]. An operation that finds something else than what was scanned looks again,
//! classifies again and goes on from there, in place: a worker never sends anything upstream.
//! Every step is safe if another process is changing both trees at the same time, and also if
//! that process is this very tool.

mod attributes;
mod behind;
mod compare;
mod continued;
mod copy;
mod data;
mod delete;
mod digester;
mod directory;
mod dress;
mod last_look;
mod mtimes;
mod step;
mod symlink;
mod work;

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::SystemTime;

use self::data::Mover;
pub(super) use self::delete::delete;
pub(super) use self::dress::{Inherits, Notices};
pub(super) use self::mtimes::Mtimes;
use self::step::{Doing, Step};
pub(super) use self::step::{Halt, may_change};
use self::work::Work;
use super::Error;
use super::classify::Rules;
use super::dispatch::Waiting;
use super::operation::{Carry, Operation, Task};
use super::stage::Stage;
use crate::model::{Action, Change, Effect, Entry, Failure, Outcome, RelPath, Subject, Summary, Verdict};

/// How an operation ended well.
enum Done {
    /// The destination was changed.
    Changed(Effect),
    /// The destination was changed, and whoever did it has recorded that.
    Recorded,
    /// Both sides turned out to hold the same.
    InSync { close: bool },
    /// The destination turned out to hold the newer version.
    NewerAtDest,
    /// Dry run: what is equal but for its content, which was not looked at.
    ToCompare { close: bool },
    /// A fifo, socket or device turned up.
    Special,
    /// What turned up is too young to be touched.
    TooYoung,
    /// A mount point turned up.
    NotEntered,
    /// The source is gone.
    NothingLeft,
    /// A leftover temporary was removed.
    Swept,
}

/// One worker's life: until the queues are closed and empty.
///
/// Once the run is to stop, operations are only counted as ended, so that the scan never waits for room in the queue.
pub(super) fn work(stage: &Stage<'_>, worker: usize, waiting: &Waiting) {
    let moved = |bytes| stage.monitor.copied(worker, bytes);
    let mut mover = Mover::new(stage, &moved);
    for operation in std::iter::from_fn(|| waiting.next(worker)).flatten() {
        stage.outlive(|| stage.handle(worker, operation, &mut mover));
    }
}

impl<'a> Stage<'a> {
    fn handle(&self, worker: usize, operation: Operation, mover: &mut Mover<'a>) {
        if !self.stop.is_requested() {
            let path = operation.path();
            self.monitor.started(worker, &path, operation.len());
            self.carry_out(&operation, path, mover);
            self.monitor.ended(worker);
        }
        self.end_work(operation.pair);
    }

    fn carry_out(&self, operation: &Operation, path: RelPath, mover: &mut Mover<'a>) {
        let started = SystemTime::now();
        let attempt = AssertUnwindSafe(|| match self.options.dry_run {
            true => Ok(plan(operation, &self.options.rules)),
            false => self.execute(operation, mover),
        });
        let result = catch_unwind(attempt).unwrap_or_else(|panic| {
            self.end_run(Error::Panicked);
            Err(Halt::Failed(Failure::error(format!("internal error: {}", message(&*panic)))))
        });
        match result {
            Ok(done) => self.conclude(done, operation, path, started),
            Err(halt) => self.fail(halt, operation, path, started),
        }
    }

    fn execute(&self, operation: &Operation, mover: &mut Mover<'a>) -> Step<Done> {
        match &operation.task {
            Task::MakeDirectory => self.make_directory(&operation.pair),
            Task::Carry(carry) => {
                Work { stage: self, pair: &operation.pair, carry: carry.clone(), mover }.carry()
            }
            Task::Sweep(name) => {
                operation.pair.touch();
                let dir = operation.pair.dest.open().at_dest("opening the directory")?;
                self.may_change()?;
                match dir.unlink(name) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Done::NothingLeft),
                    removed => removed
                        .at_dest("removing a temporary that an interrupted run left")
                        .map(|()| Done::Swept),
                }
            }
        }
    }

    /// Counts, and logs what changed.
    fn conclude(&self, done: Done, operation: &Operation, path: RelPath, started: SystemTime) {
        let none = Summary::default();
        if !matches!(done, Done::Changed(_) | Done::InSync { .. } | Done::ToCompare { .. }) {
            self.did_not_arrive(operation);
        }
        self.count(&match done {
            Done::InSync { close } => Summary { in_sync: 1, close_mtimes: close.into(), ..none },
            Done::ToCompare { close } => {
                Summary { in_sync: 1, to_compare: 1, close_mtimes: close.into(), ..none }
            }
            Done::NewerAtDest => Summary { newer_at_dest: 1, ..none },
            Done::Special => Summary { special: 1, ..none },
            Done::TooYoung => Summary { too_young: 1, ..none },
            Done::NotEntered => Summary { not_entered: 1, ..none },
            Done::Swept => Summary { swept: 1, ..none },
            Done::NothingLeft | Done::Recorded => none,
            Done::Changed(effect) => {
                let verdict = match self.options.dry_run {
                    true => Verdict::Planned { compares: operation.compares() },
                    false => Verdict::Done,
                };
                return self.record(Outcome { path, effect, started, ended: SystemTime::now(), verdict });
            }
        });
    }

    /// Deletions must know which source files the destination does not have now.
    fn did_not_arrive(&self, operation: &Operation) {
        if let Task::Carry(carry) = &operation.task
            && self.options.delete_missing.is_some()
        {
            self.evidence.did_not_arrive(&carry.source);
        }
    }

    fn fail(&self, halt: Halt, operation: &Operation, path: RelPath, started: SystemTime) {
        let failure = match halt {
            Halt::Stopped => return, // Nothing was done, and the next run does it.
            Halt::Failed(failure) => failure,
            Halt::Overtaken | Halt::SourceChanged => Failure::deferred("changed while being copied"),
        };
        self.did_not_arrive(operation);
        self.record(Outcome::failed(path, operation.intent(), started, failure));
    }
}

/// A dry run's answer: what would be done, as far as can be told without reading contents.
fn plan(operation: &Operation, rules: &Rules) -> Done {
    let effect = Effect { bytes: operation.len(), ..operation.intent() };
    match &operation.task {
        Task::Carry(Carry { source, dest, action: Action::CompareThenBreakTie { .. }, .. }) => {
            Done::ToCompare {
                close: dest.as_ref().is_some_and(|dest| !rules.are_alike(dest.mtime, source.mtime)),
            }
        }
        Task::Carry(Carry { source, dest, .. }) => {
            let size_before = dest.as_ref().and_then(Entry::file_len);
            Done::Changed(Effect { size_before, size_after: source.file_len(), ..effect })
        }
        Task::MakeDirectory | Task::Sweep(_) => Done::Changed(effect),
    }
}

impl Operation {
    /// What the operation is meant to do, for logging it where it does not come to it.
    fn intent(&self) -> Effect {
        match &self.task {
            Task::MakeDirectory => Effect::new(Change::Create, Subject::Directory),
            Task::Sweep(_) => Effect::new(Change::Update, Subject::File),
            Task::Carry(Carry { source, dest, .. }) => {
                Effect::new(Change::of(dest.as_ref()), Subject::of(source))
            }
        }
    }

    /// Whether contents have to be compared before it is known what to carry.
    fn compares(&self) -> bool {
        matches!(
            self.task,
            Task::Carry(Carry {
                action: Action::CompareThenCarry { .. } | Action::CompareThenBreakTie { .. },
                ..
            })
        )
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message")
}
