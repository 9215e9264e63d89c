//! Execute: the workers. Each takes operations off the queue and carries them out one by one.
//!
//! In comes an [`Operation`] with the entries that its decision rests on; out goes an
//! [`Outcome`]. An operation that finds something else than what was scanned looks again,
//! classifies again and goes on from there, in place: a worker never sends anything upstream.
//! Every step is safe if another process is changing both trees at the same time, and also if
//! that process is this very tool.

mod compare;
mod copy;
mod data;
mod directory;
mod dress;
mod step;
mod symlink;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::SystemTime;

use crossbeam_channel::Receiver;

use self::data::Mover;
pub(super) use self::dress::Notices;
use self::step::{Doing, Halt, Step};
use super::classify::classify;
use super::operation::{Carry, Operation, Task};
use super::pair::Pair;
use super::stage::Stage;
use crate::model::{
    Action, Cause, Change, Decision, Entry, EntryKind, Failure, Joined, Md5, Outcome, RelPath, Subject,
    Summary, Verdict,
};
use crate::tree::{Freshness, Opened};

/// How often an operation starts over because something changed under it.
const ATTEMPTS: usize = 3;

/// A source this large that changed while it was read is not read again at once: it is probably still being written.
const LARGE: u64 = 64 * 1024 * 1024;

/// Operations that a worker takes at once, at most, and up to which size in bytes they are small:
/// a file that takes its time must not keep others waiting behind it.
const BUNDLE: usize = 16;
const SMALL: u64 = 256 * 1024;

/// How an operation ended well.
enum Done {
    /// The destination was changed.
    Changed {
        change: Change,
        subject: Subject,
        size_before: Option<u64>,
        size_after: Option<u64>,
        md5_before: Option<Md5>,
        md5_after: Option<Md5>,
        bytes: u64,
    },
    /// Both sides turned out to hold the same.
    InSync { close: bool },
    /// The destination turned out to hold the newer version.
    NewerAtDest,
    /// The source is gone, or has become something that is none of a worker's business.
    NothingLeft,
    /// A leftover temporary was removed.
    Swept,
}

/// One worker's life: until the queue is closed and empty.
///
/// Once the run is to stop, operations are only counted as ended, so that the scan never waits for room in the queue.
pub(super) fn work(stage: &Stage<'_>, worker: usize, operations: &Receiver<Operation>) {
    let moved = |bytes| stage.monitor.copied(worker, bytes);
    let mut mover = Mover::new(stage.stop, &moved);
    while let Ok(first) = operations.recv() {
        for operation in bundle(first, operations, stage.options.workers) {
            if !stage.stop.is_requested() {
                let path = operation.path();
                stage.monitor.started(worker, &path, operation.len());
                stage.carry_out(&operation, path, &mut mover);
                stage.monitor.ended(worker);
            }
            stage.end_work(operation.pair);
        }
    }
}

/// Takes some small operations along with the first, where there are plenty for everybody.
///
/// Neighbours in the queue are mostly neighbours in a directory: workers that each have some of
/// their own contend less for its lock in the kernel. Where operations are few, as over a slow
/// network, everyone takes one: there the files of one directory are best carried in parallel.
fn bundle(first: Operation, operations: &Receiver<Operation>, workers: usize) -> Vec<Operation> {
    let share = (operations.len() / (2 * workers)).clamp(1, BUNDLE);
    let mut bundle = vec![first];
    // A large one ends the bundle: nothing has to wait behind it.
    while bundle.len() < share && bundle.last().is_some_and(|last| last.len() <= SMALL) {
        match operations.try_recv() {
            Ok(operation) => bundle.push(operation),
            Err(_) => break, // Empty for now, or for good.
        }
    }
    bundle
}

impl<'a> Stage<'a> {
    fn carry_out(&self, operation: &Operation, path: RelPath, mover: &mut Mover<'a>) {
        let started = SystemTime::now();
        let attempt = AssertUnwindSafe(|| match self.options.dry_run {
            true => Ok(plan(operation)),
            false => self.execute(operation, mover),
        });
        let result = catch_unwind(attempt).unwrap_or_else(|panic| {
            self.panicked();
            Err(Halt::Failed(Failure::error(format!(
                "internal error: {}",
                message(&*panic)
            ))))
        });
        self.conclude(operation, path, started, result);
    }

    fn execute(&self, operation: &Operation, mover: &mut Mover<'a>) -> Step<Done> {
        match &operation.task {
            Task::MakeDirectory => self.make_directory(&operation.pair),
            Task::Carry(carry) => Work {
                stage: self,
                pair: &operation.pair,
                carry: carry.clone(),
                mover,
            }
            .carry(),
            Task::Sweep(name) => {
                operation.pair.touch();
                let dir = operation.pair.dest.open().doing("opening the directory")?;
                dir.unlink(name)
                    .doing("removing a temporary that an interrupted run left")?;
                Ok(Done::Swept)
            }
        }
    }

    /// Counts and logs what became of an operation.
    fn conclude(&self, operation: &Operation, path: RelPath, started: SystemTime, result: Step<Done>) {
        let counts = match result {
            Ok(Done::InSync { close }) => Summary {
                in_sync: 1,
                close_mtimes: close.into(),
                ..Summary::default()
            },
            Ok(Done::NewerAtDest) => Summary {
                newer_at_dest: 1,
                ..Summary::default()
            },
            Ok(Done::Swept) => Summary {
                swept: 1,
                ..Summary::default()
            },
            Ok(Done::NothingLeft) | Err(Halt::Stopped) => return,
            Ok(Done::Changed {
                change,
                subject,
                size_before,
                size_after,
                md5_before,
                md5_after,
                bytes,
            }) => {
                let verdict = match self.options.dry_run {
                    true => Verdict::Planned {
                        compares: operation.compares(),
                    },
                    false => Verdict::Done,
                };
                let ended = SystemTime::now();
                return self.record(Outcome {
                    path,
                    change,
                    subject,
                    size_before,
                    size_after,
                    md5_before,
                    md5_after,
                    bytes,
                    started,
                    ended,
                    verdict,
                });
            }
            Err(halt) => {
                let (change, subject) = operation.intent();
                let failure = match halt {
                    Halt::Failed(failure) => failure,
                    _ => Failure {
                        cause: Cause::Deferred,
                        reason: "changed while being copied".into(),
                    },
                };
                return self.record(Outcome::failed(path, change, subject, started, failure));
            }
        };
        self.count(&counts);
    }
}

/// One entry being carried: what is known of both sides may be replaced by a fresh look.
struct Work<'w, 'a> {
    stage: &'w Stage<'a>,
    pair: &'w Arc<Pair>,
    carry: Carry,
    mover: &'w mut Mover<'a>,
}

impl<'w> Work<'w, '_> {
    fn carry(&mut self) -> Step<Done> {
        let mut result = self.attempt();
        for _ in 1..ATTEMPTS {
            match result {
                Err(Halt::SourceChanged) if self.carry.source.file_len().is_some_and(|len| len > LARGE) => {
                    break;
                }
                Err(Halt::Overtaken | Halt::SourceChanged) => {}
                _ => break,
            }
            if let Some(decided) = self.decide_again()? {
                return Ok(decided);
            }
            result = self.attempt();
        }
        result
    }

    fn attempt(&mut self) -> Step<Done> {
        match self.carry.action.clone() {
            Action::CopyFile { .. } => self.copy_file(None),
            Action::CompareThenCarry { len } => self.compare_then_carry(len),
            Action::CompareThenBreakTie { len } => self.compare_then_break_tie(len),
            Action::CopySymlink { target } => self.copy_symlink(&target),
        }
    }

    /// Looks at both sides and classifies them. Nothing is returned where there is still something to carry.
    fn decide_again(&mut self) -> Step<Option<Done>> {
        let name = &self.carry.name;
        let source = self
            .open_source_dir()?
            .look(name, Freshness::Server)
            .doing("looking at the source again")?;
        let dest = self
            .open_dest_dir()?
            .look(name, Freshness::Server)
            .doing("looking at the destination again")?;
        let decision = Joined::new(source.as_ref(), dest.as_ref())
            .map(|joined| classify(joined, &self.stage.options.rules));
        Ok(match (decision, source) {
            (Some(Decision::Act(action)), Some(source)) => {
                self.carry = Carry {
                    name: self.carry.name.clone(),
                    source,
                    dest,
                    action,
                };
                None
            }
            (Some(Decision::InSync { close }), _) => Some(Done::InSync { close }),
            (Some(Decision::KeepDest), _) => Some(Done::NewerAtDest),
            (Some(Decision::Conflict { source, dest }), _) => {
                return Err(Halt::Failed(Failure::conflict(source, dest)));
            }
            // Gone, or become a directory, a fifo, a mount point: the next run meets it as what it is.
            _ => Some(Done::NothingLeft),
        })
    }

    fn open_source_dir(&self) -> Step<Opened<'w>> {
        self.pair.source.open().doing("opening the source directory")
    }

    fn open_dest_dir(&self) -> Step<Opened<'w>> {
        self.stage.open_dest(self.pair)
    }
}

/// A dry run's answer: what would be done, as far as can be told without reading contents.
fn plan(operation: &Operation) -> Done {
    let (change, subject) = operation.intent();
    let (size_before, size_after) = match &operation.task {
        Task::Carry(carry) => (
            carry.dest.as_ref().and_then(Entry::file_len),
            carry.source.file_len(),
        ),
        Task::MakeDirectory | Task::Sweep(_) => (None, None),
    };
    let (md5_before, md5_after, bytes) = (None, None, operation.len());
    Done::Changed {
        change,
        subject,
        size_before,
        size_after,
        md5_before,
        md5_after,
        bytes,
    }
}

impl Operation {
    /// What the operation is meant to do, for logging it where it does not come to it.
    fn intent(&self) -> (Change, Subject) {
        match &self.task {
            Task::MakeDirectory => (Change::Create, Subject::Directory),
            Task::Sweep(_) => (Change::Update, Subject::File),
            Task::Carry(Carry { source, dest, .. }) => {
                let change = if dest.is_some() {
                    Change::Update
                } else {
                    Change::Create
                };
                let is_symlink = matches!(source.kind, EntryKind::Symlink { .. });
                (
                    change,
                    if is_symlink {
                        Subject::Symlink
                    } else {
                        Subject::File
                    },
                )
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
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message")
}
