//! Execute: the workers. Each takes operations off the queue and carries them out one by one.
//!
//! In comes an [`Operation`] with the entries that its decision rests on; out goes an [`Outcome`].
//! If an operation finds something else than what was scanned, it looks and classifies again and
//! goes on from there, in place: a worker never sends anything upstream. Every step is safe while
//! another process changes both trees, even if that process is another run of this tool.

mod attempt;
mod directory;
mod done;
mod file;
mod metadata;
mod notices;
mod pace;
mod symlink;
mod temporaries;
pub(super) mod tools;

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::SystemTime;

use self::attempt::Attempt;
use self::done::Done;
use self::file::copier::Copier;
use self::tools::Tools;
use super::classify::Rules;
use super::completion::Completion;
use super::context::Context;
use super::error::Error;
use super::halt::{Doing, Halt, OpResult};
use super::operation::{CarryEntry, Operation, Task};
use super::queue::Waiting;
use crate::model::{Carry, Effect, Entry, Failure, Leave, Outcome, RelPath, Summary, Verdict};

/// One worker.
struct Worker<'a> {
    number: usize,
    context: &'a Context<'a>,
    tools: &'a Tools<'a>,
    completion: &'a Completion<'a>,
    copier: Copier<'a>,
}

/// An operation that has begun and has no outcome yet.
struct Begun<'o> {
    operation: &'o Operation,
    path: RelPath,
    started: SystemTime,
}

/// The life of one worker: it ends when the queues are closed and empty.
///
/// Once the run is to stop, operations are only counted as ended, so that the scan never waits for
/// room in the queue.
pub(super) fn work<'a>(
    context: &'a Context<'a>,
    tools: &'a Tools<'a>,
    completion: &'a Completion<'a>,
    number: usize,
    waiting: &Waiting,
) {
    let copied = |bytes| context.monitor.copied(number, bytes);
    let mut worker =
        Worker { number, context, tools, completion, copier: Copier::new(tools, &copied) };
    for operation in std::iter::from_fn(|| waiting.next(number)).flatten() {
        context.outlive(|| worker.handle(operation));
    }
}

impl Worker<'_> {
    fn handle(&mut self, operation: Operation) {
        if !self.context.stop.is_requested() {
            let path = operation.path();
            self.context.monitor.started(self.number, &path, operation.len());
            self.carry_out(Begun { operation: &operation, path, started: SystemTime::now() });
            self.context.monitor.ended(self.number);
        }
        self.completion.end_work(operation.node);
    }

    fn carry_out(&mut self, begun: Begun<'_>) {
        let attempt = AssertUnwindSafe(|| match self.context.options.dry_run {
            true => Ok(plan(begun.operation, &self.context.rules)),
            false => self.execute(begun.operation),
        });
        let result = catch_unwind(attempt).unwrap_or_else(|panic| {
            self.context.end_run(Error::Panicked);
            Err(Halt::Failed(Failure::error(format!("internal error: {}", message(&*panic)))))
        });
        match result {
            Ok(done) => self.conclude(done, begun),
            Err(halt) => self.fail(halt, begun),
        }
    }

    fn execute(&mut self, operation: &Operation) -> OpResult<Done> {
        let (tools, node) = (self.tools, &operation.node);
        match &operation.task {
            Task::MakeDirectory => tools.make_directory(node),
            Task::Carry(entry) => Attempt::new(tools, node, entry, &mut self.copier).carry(),
            Task::Sweep(name) => {
                node.mark_changed();
                let dir = node.dest.open().at_dest("opening the directory")?;
                self.context.may_change()?;
                match dir.unlink(name) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Done::Gone),
                    removed => removed
                        .at_dest("removing a temporary that an interrupted run left")
                        .map(|()| Done::Swept),
                }
            }
        }
    }

    /// Turns what was done into what is counted, and records what was changed.
    fn conclude(&self, done: Done, begun: Begun<'_>) {
        let Begun { operation, path, started } = begun;
        let mut counts = Summary::default();
        match done {
            Done::Changed(effect) => {
                let verdict = match self.context.options.dry_run {
                    true => Verdict::Planned { compares: operation.compares() },
                    false => Verdict::Done,
                };
                let ended = SystemTime::now();
                self.context.record(Outcome { path, effect, started, ended, verdict });
                if let (false, Task::Carry(entry)) = (self.context.options.dry_run, &operation.task)
                {
                    self.completion.equal(&operation.node, &entry.name);
                }
                return;
            }
            Done::ToCompare { close } => {
                counts.add_left(Leave::InSync { close });
                counts.to_compare += 1;
            }
            Done::Left(left) => {
                if let Task::Carry(entry) = &operation.task {
                    self.completion.leave(&operation.node, &entry.name, left, &mut counts);
                }
                if !matches!(left, Leave::InSync { .. }) {
                    self.did_not_arrive(operation);
                }
            }
            Done::Gone => self.did_not_arrive(operation),
            Done::Swept => counts.swept += 1,
            Done::Recorded => {}
        }
        self.context.count(&counts);
    }

    /// Notes that a source file did not arrive. Deletions must know which source files the
    /// destination does not have now.
    fn did_not_arrive(&self, operation: &Operation) {
        if let Task::Carry(CarryEntry { carry, .. }) = &operation.task
            && self.context.options.deletion.is_some()
        {
            self.context.evidence.did_not_arrive(carry.source());
        }
    }

    fn fail(&self, halt: Halt, begun: Begun<'_>) {
        let Begun { operation, path, started } = begun;
        let failure = match halt {
            // Nothing was done. The next run does it.
            Halt::Stopped => return,
            Halt::Failed(failure) => failure,
            Halt::Overtaken | Halt::SourceChanged => {
                Failure::deferred("changed while being copied")
            }
        };
        self.did_not_arrive(operation);
        self.context.record(Outcome::failed(path, operation.intent(), started, failure));
    }
}

/// The result of an operation in a dry run: what would be done, as far as that can be told without
/// reading contents.
fn plan(operation: &Operation, rules: &Rules) -> Done {
    let effect = Effect { bytes: operation.len(), ..operation.intent() };
    match &operation.task {
        Task::Carry(CarryEntry { carry: Carry::Compare { source, dest, tie: true }, .. }) => {
            Done::ToCompare { close: !rules.are_alike(dest.mtime, source.mtime) }
        }
        Task::Carry(CarryEntry { carry, .. }) => {
            let size_before = carry.dest().and_then(Entry::file_len);
            Done::Changed(Effect { size_before, size_after: carry.source().file_len(), ..effect })
        }
        Task::MakeDirectory | Task::Sweep(_) => Done::Changed(effect),
    }
}

/// The message of a panic.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message")
}
