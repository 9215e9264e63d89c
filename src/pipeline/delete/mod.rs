//! Delete: what only the destination has goes, the deepest first.
//!
//! The input is the candidates, after all copies have ended and the guard has agreed. The output is
//! an outcome for each candidate that was deleted or failed. Right before each deletion the name
//! must be absent at the source, and what stands under it at the destination must be what was
//! scanned. A candidate that turns out otherwise is spared, and the next run looks at it again.
//! Files and symlinks go by `unlink`, directories by `rmdir`, which takes only empty ones.

pub(in crate::pipeline) mod candidates;
pub(in crate::pipeline) mod evidence;
pub(in crate::pipeline) mod guard;
mod recheck;
pub(in crate::pipeline) mod withheld;

use std::collections::HashSet;
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};

use self::candidates::{BATCH, Batch, Collected, Item};
use self::recheck::{Directories, Refusal, Resolvers, Tried, open, unless_elsewhere};
use self::withheld::Withheld;
use super::channel::Channel;
use super::completion::Completion;
use super::context::Context;
use super::error::Error;
use super::node::Candidate;
use super::options::{Deletion, DeletionMethod};
use super::threads::named;
use super::trees::Trees;
use crate::locked::locked;
use crate::model::{Change, Effect, Outcome, RelPath, Side, Subject, Summary, Timestamp, Verdict};
use crate::tree::{MAX_HANDLE_AGE, PathResolver, Tree};

/// How long a run that is to end goes on restoring the mtimes of directories in which it has
/// deleted something.
const GRACE: Duration = Duration::from_secs(1);

/// Directories that one worker's resolver keeps open in one tree, at most.
const REMEMBERED: usize = 64;

/// The second phase of a run, while it lasts.
struct Phase<'d, 'a> {
    context: &'d Context<'a>,
    completion: &'d Completion<'a>,
    trees: &'d Trees,
    method: DeletionMethod,
    workers: usize,
    /// Candidates that had their turn.
    tried: AtomicU64,
    /// When it was first noticed that the run is to end.
    stopped: OnceLock<Instant>,
    /// In a dry run, directories that stay because something in them does. Each is removed from the
    /// set when its own turn comes.
    kept: Mutex<HashSet<RelPath>>,
}

/// What a worker takes up. The sign is dropped when that is done; when every sign of a depth is
/// dropped, the depth is done.
pub(in crate::pipeline) struct Portion {
    item: Item,
    _sign: Sender<Infallible>,
}

/// Deletes what only the destination has, if the guard agrees. Every copy has its result.
pub(in crate::pipeline) fn delete_missing(
    context: &Context<'_>,
    completion: &Completion<'_>,
    trees: &Trees,
    deletion: &Deletion,
    portions: Channel<Portion>,
) -> Result<(), Error> {
    let collected = context.candidates.take();
    let candidates = collected.count;
    // A write that is still in the kernel may fail, so a copy's result is not known before that.
    let written = if candidates == 0 { Ok(()) } else { completion.write_to_disk(trees) };
    if written.is_err() || context.stop.is_requested() {
        context.count(&Summary { not_reached: candidates, ..Summary::default() });
        return written;
    }
    if candidates == 0 {
        return Ok(());
    }
    if let Some(reason) = guard::doubt(context, trees, deletion, &collected) {
        context.count(&Summary { withheld: candidates, ..Summary::default() });
        context.withhold(Withheld { candidates, reason, examples: collected.examples });
        return Ok(());
    }
    let (tried, stopped) = (AtomicU64::new(0), OnceLock::new());
    let workers =
        usize::try_from(candidates).unwrap_or(usize::MAX).clamp(1, context.options.io.workers);
    let (method, kept) = (deletion.method, Mutex::default());
    let phase = Phase { context, completion, trees, method, workers, tried, stopped, kept };
    phase.delete(collected, portions)
}

/// How many candidates one worker takes at a time: few enough that all workers get some.
fn portion(count: u64, workers: usize) -> usize {
    usize::try_from(count / (2 * workers as u64)).unwrap_or(BATCH).clamp(1, BATCH)
}

fn portions(item: io::Result<Item>, portion: usize) -> Vec<io::Result<Item>> {
    match item {
        Ok(Item::Delete(Batch { directory, shared, candidates })) if candidates.len() > portion => {
            candidates
                .chunks(portion)
                .map(|candidates| {
                    let (directory, candidates) = (directory.clone(), candidates.to_vec());
                    Ok(Item::Delete(Batch { directory, shared, candidates }))
                })
                .collect()
        }
        whole => vec![whole],
    }
}

impl Phase<'_, '_> {
    /// Deletes all candidates or, in a dry run, reports that they would be deleted. One depth
    /// follows the other: what lies deeper is gone before its directory's turn comes.
    fn delete(self, collected: Collected, portions: Channel<Portion>) -> Result<(), Error> {
        self.context.monitor.planned(collected.count, 0);
        let (count, context) = (collected.count, self.context);
        let result = thread::scope(|threads| {
            for worker in 0..self.workers {
                let (phase, waiting) = (&self, portions.receiver.clone());
                named(&format!("delete-{worker}"))
                    .spawn_scoped(threads, move || phase.work(worker, &waiting))?;
            }
            // Only the workers hold receivers now: when they are gone, sending fails at once.
            drop(portions.receiver);
            self.hand_out(collected, portions.sender)
        });
        let not_reached = count - self.tried.into_inner();
        context.count(&Summary { not_reached, ..Summary::default() });
        result
    }

    /// Sends one depth after the other, each when the one below it is done.
    #[allow(clippy::needless_pass_by_value, reason = "dropping the sender closes the queue")]
    fn hand_out(&self, mut collected: Collected, workers: Sender<Portion>) -> Result<(), Error> {
        let portion = portion(collected.count, self.workers);
        for depth in collected.depths() {
            // A run that is to end still sends this bucket: it holds the directories in which
            // something was deleted last.
            let is_last = self.context.stop.is_requested();
            let (sign, done) = bounded(0);
            for item in collected.bucket(depth).flat_map(|item| portions(item, portion)) {
                // Refused only if no worker is left, and then the run is ending.
                let _ending = workers
                    .send(Portion { item: item.map_err(Error::Candidates)?, _sign: sign.clone() });
            }
            drop(sign);
            let Err(_all_signs_are_gone) = done.recv();
            if is_last {
                break;
            }
        }
        Ok(())
    }

    /// One worker's life: until nothing more is handed out.
    fn work(&self, worker: usize, waiting: &Receiver<Portion>) {
        let remembered = |tree: &Tree| (tree.spare_handles() / self.workers).clamp(1, REMEMBERED);
        let resolver = |tree: &Arc<Tree>| PathResolver::new(tree, remembered(tree));
        let mut resolvers =
            Resolvers { source: resolver(&self.trees.source), dest: resolver(&self.trees.dest) };
        for Portion { item, _sign } in waiting {
            self.context.outlive(|| self.take_up(worker, &mut resolvers, item));
        }
    }

    fn take_up(&self, worker: usize, resolvers: &mut Resolvers, item: Item) {
        match item {
            Item::Delete(batch) => self.delete_batch(worker, resolvers, &batch),
            Item::Restore { directory, mtime } => {
                self.restore_directory(&mut resolvers.dest, directory, mtime);
            }
        }
    }

    /// Whether the run is to end and the time of grace is over.
    fn is_late(&self) -> bool {
        self.context.stop.is_requested() && self.stopped.get_or_init(Instant::now).elapsed() > GRACE
    }

    /// Deletes the candidates of a batch. Opens its directories, and opens them anew after they
    /// have been open for a while.
    fn delete_batch(&self, worker: usize, resolvers: &mut Resolvers, batch: &Batch) {
        let mut candidates = batch.candidates.iter().peekable();
        while candidates.peek().is_some() && !self.context.stop.is_requested() {
            let walked = Instant::now();
            let mut kept = Vec::new();
            let directories = match self.context.options.dry_run {
                true => Ok(None),
                false => open(resolvers, batch).map(Some),
            };
            for candidate in candidates.by_ref() {
                if self.context.stop.is_requested() {
                    break;
                }
                let directories = directories.as_ref().map(Option::as_ref).map_err(Clone::clone);
                if matches!(
                    self.try_one(worker, batch, candidate, directories),
                    Err(Refusal::NotEmpty)
                ) {
                    kept.push(candidate);
                }
                if walked.elapsed() > MAX_HANDLE_AGE {
                    break;
                }
            }
            for Candidate { name, entry } in kept {
                self.restore_directory(
                    &mut resolvers.dest,
                    batch.directory.join(name),
                    entry.mtime,
                );
            }
        }
    }

    fn try_one(
        &self,
        worker: usize,
        batch: &Batch,
        candidate: &Candidate,
        directories: Tried<Option<&Directories<'_>>>,
    ) -> Tried<()> {
        let (path, started) = (batch.directory.join(&candidate.name), SystemTime::now());
        self.context.monitor.started(worker, &path, 0);
        let threshold = self.context.options.policy.mtime_threshold;
        let deleted = match self.context.evidence.protects(&candidate.entry, threshold) {
            Some(reason) => Err(Refusal::Spared(reason)),
            None => directories.and_then(|directories| match directories {
                Some(open) => open.delete(candidate, self.method, self.context),
                None => self.plan(&path),
            }),
        };
        if deleted.is_err() && self.context.options.dry_run {
            self.kept().insert(batch.directory.clone());
        }
        if !matches!(deleted, Err(Refusal::Stopped)) {
            self.tell(path, candidate, started, deleted.clone());
            self.tried.fetch_add(1, Ordering::Relaxed);
        }
        self.context.monitor.ended(worker);
        deleted
    }

    /// A dry run's answer for a candidate. What is in it, if it is a directory, had its turn
    /// before.
    fn plan(&self, path: &RelPath) -> Tried<()> {
        if self.kept().remove(path) { Err(Refusal::NotEmpty) } else { Ok(()) }
    }

    fn kept(&self) -> MutexGuard<'_, HashSet<RelPath>> {
        locked(&self.kept)
    }

    fn tell(&self, path: RelPath, candidate: &Candidate, started: SystemTime, deleted: Tried<()>) {
        let size_before = candidate.entry.file_len();
        let effect =
            Effect { size_before, ..Effect::new(Change::Delete, Subject::of(&candidate.entry)) };
        let verdict = match deleted {
            Ok(()) if self.context.options.dry_run => Verdict::Planned { compares: false },
            Ok(()) => Verdict::Done,
            Err(Refusal::Failed(failure)) => Verdict::Failed(failure),
            Err(Refusal::Stopped) => return,
            Err(Refusal::Spared(reason)) => return self.spare(&path, reason),
            Err(Refusal::NotEmpty) => return self.spare(&path, "there is something in it"),
        };
        self.context.record(Outcome { path, effect, started, ended: SystemTime::now(), verdict });
    }

    fn spare(&self, path: &RelPath, reason: &str) {
        self.context.monitor.spared(path, reason);
        self.context.count(&Summary { spared: 1, ..Summary::default() });
    }

    /// Sets the mtime of a directory in which something was deleted.
    fn restore_directory(&self, dest: &mut PathResolver, directory: RelPath, mtime: Timestamp) {
        if self.context.options.dry_run || self.is_late() {
            return;
        }
        let started = SystemTime::now();
        let opened = dest.open(&directory, usize::MAX);
        let restored = unless_elsewhere(opened, Side::Dest, "opening the directory")
            .and_then(|dir| Ok(self.completion.restore_mtime(dir, mtime)?));
        if let Err(Refusal::Failed(failure)) = restored {
            let effect = Effect::new(Change::Update, Subject::Directory);
            self.context.record(Outcome::failed(directory, effect, started, failure));
        }
    }
}
