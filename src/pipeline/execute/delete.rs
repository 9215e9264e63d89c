//! Deleting what only the destination has, deepest first.
//!
//! In come the candidates, after all copies have ended and the guard has agreed; out goes an
//! outcome for each that was deleted or failed. Right before each deletion the name must be absent
//! at the source, and what stands under it at the destination must be what was scanned; whatever
//! turns out otherwise is spared, and the next run looks at it again. Files and symlinks go by
//! `unlink`, directories by `rmdir`, which takes only empty ones.

use std::collections::HashSet;
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::last_look::{Directories, Refusal, Trails, Tried, open, unless_elsewhere};
use super::step::Doing;
use crate::model::{Change, Effect, Outcome, RelPath, Side, Subject, Summary, Timestamp, Verdict};
use crate::pipeline::candidates::{BATCH, Batch, Candidate, Collected, Item};
use crate::pipeline::stage::Stage;
use crate::pipeline::{Error, Trees, named};
use crate::tree::{Freshness, TRUSTED, Trail, Tree, set_mtime};

/// How long a run that is to end goes on setting mtimes of directories in which it has deleted something.
const GRACE: Duration = Duration::from_secs(1);

/// Directories that one worker's way through one tree keeps open at most.
const REMEMBERED: usize = 64;

/// Portions that wait for a worker at most, for each.
const WAITING: usize = 2;

/// The second phase of a run, while it lasts.
struct Deletion<'d, 'a> {
    stage: &'d Stage<'a>,
    trees: &'d Trees,
    workers: usize,
    /// Candidates that had their turn.
    tried: AtomicU64,
    /// When it was first seen that the run is to end.
    stopped: OnceLock<Instant>,
    /// In a dry run, directories that stay because something in them does. Each goes when its turn comes.
    kept: Mutex<HashSet<RelPath>>,
}

/// What a worker takes up, and a sign that is gone when that is done: with the last one the depth is.
type Portion = (Item, Sender<Infallible>);

/// Deletes all candidates or, in a dry run, says of all that they would be deleted. One depth after the other:
/// what lies deeper is gone before its directory's turn comes.
pub(in crate::pipeline) fn delete(
    stage: &Stage<'_>,
    trees: &Trees,
    collected: Collected,
) -> Result<(), Error> {
    stage.monitor.planned(collected.count, 0);
    let count = collected.count;
    let workers = usize::try_from(count).unwrap_or(usize::MAX).clamp(1, stage.options.workers);
    let (tried, stopped) = (AtomicU64::new(0), OnceLock::new());
    let deletion = Deletion { stage, trees, workers, tried, stopped, kept: Mutex::default() };
    let result = thread::scope(|threads| {
        let (portions, waiting) = bounded::<Portion>(WAITING * workers);
        for worker in 0..workers {
            let (deletion, waiting) = (&deletion, waiting.clone());
            named(&format!("delete-{worker}"))
                .spawn_scoped(threads, move || deletion.work(worker, &waiting))?;
        }
        drop(waiting); // Only the workers receive: without them, nobody sends in vain.
        deletion.hand_out(collected, &portions)
    });
    let not_reached = count - deletion.tried.into_inner();
    stage.count(&Summary { not_reached, ..Summary::default() });
    result
}

/// How many candidates one worker takes at a time: few enough that all workers get some.
fn portion(count: u64, workers: usize) -> usize {
    usize::try_from(count / (2 * workers as u64)).unwrap_or(BATCH).clamp(1, BATCH)
}

fn portions(item: io::Result<Item>, portion: usize) -> Vec<io::Result<Item>> {
    match item {
        Ok(Item::Delete(Batch { directory, shared, candidates })) if candidates.len() > portion => candidates
            .chunks(portion)
            .map(|candidates| {
                let (directory, candidates) = (directory.clone(), candidates.to_vec());
                Ok(Item::Delete(Batch { directory, shared, candidates }))
            })
            .collect(),
        whole => vec![whole],
    }
}

impl Deletion<'_, '_> {
    /// Sends one depth after the other, each when the one below it is done.
    fn hand_out(&self, mut collected: Collected, workers: &Sender<Portion>) -> Result<(), Error> {
        let portion = portion(collected.count, self.workers);
        for depth in collected.depths() {
            // Where the run is to end: the directories in which something was deleted last are in this drawer.
            let is_last = self.stage.stop.is_requested();
            let (sign, done) = bounded(0);
            for item in collected.drawer(depth).flat_map(|item| portions(item, portion)) {
                // Refused only where no worker is left, and then the run is ending.
                let _ending = workers.send((item.map_err(Error::Candidates)?, sign.clone()));
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
        let trail = |tree: &Arc<Tree>| Trail::new(tree, remembered(tree));
        let mut trails = Trails { source: trail(&self.trees.source), dest: trail(&self.trees.dest) };
        for (item, _sign) in waiting {
            self.stage.outlive(|| self.take_up(worker, &mut trails, item));
        }
    }

    fn take_up(&self, worker: usize, trails: &mut Trails, item: Item) {
        match item {
            Item::Delete(batch) => self.delete_batch(worker, trails, &batch),
            Item::Restore { directory, mtime } => self.restore_directory(&mut trails.dest, directory, mtime),
        }
    }

    /// Whether the run was to end some time ago.
    fn is_late(&self) -> bool {
        self.stage.stop.is_requested() && self.stopped.get_or_init(Instant::now).elapsed() > GRACE
    }

    /// Opens the batch's directories, and opens them anew when they have been open for a while.
    fn delete_batch(&self, worker: usize, trails: &mut Trails, batch: &Batch) {
        let mut candidates = batch.candidates.iter().peekable();
        while candidates.peek().is_some() && !self.stage.stop.is_requested() {
            let walked = Instant::now();
            let mut kept = Vec::new();
            let directories = match self.stage.options.dry_run {
                true => Ok(None),
                false => open(trails, batch).map(Some),
            };
            for candidate in candidates.by_ref() {
                if self.stage.stop.is_requested() {
                    break;
                }
                let directories = directories.as_ref().map(Option::as_ref).map_err(Clone::clone);
                if matches!(self.try_one(worker, batch, candidate, directories), Err(Refusal::NotEmpty)) {
                    kept.push(candidate);
                }
                if walked.elapsed() > TRUSTED {
                    break;
                }
            }
            for Candidate { name, entry } in kept {
                self.restore_directory(&mut trails.dest, batch.directory.join(name), entry.mtime);
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
        self.stage.monitor.started(worker, &path, 0);
        let threshold = self.stage.options.rules.mtime_threshold;
        let deleted = match self.stage.evidence.protects(&candidate.entry, threshold) {
            Some(reason) => Err(Refusal::Spared(reason)),
            None => directories.and_then(|directories| match directories {
                Some(open) => open.delete(candidate, self.stage),
                None => self.plan(&path),
            }),
        };
        if deleted.is_err() && self.stage.options.dry_run {
            self.kept().insert(batch.directory.clone());
        }
        if !matches!(deleted, Err(Refusal::Stopped)) {
            self.tell(path, candidate, started, deleted.clone());
            self.tried.fetch_add(1, Ordering::Relaxed);
        }
        self.stage.monitor.ended(worker);
        deleted
    }

    /// A dry run's answer. What is in the directory had its turn before.
    fn plan(&self, path: &RelPath) -> Tried<()> {
        if self.kept().remove(path) { Err(Refusal::NotEmpty) } else { Ok(()) }
    }

    fn kept(&self) -> MutexGuard<'_, HashSet<RelPath>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, path: RelPath, candidate: &Candidate, started: SystemTime, deleted: Tried<()>) {
        let size_before = candidate.entry.file_len();
        let effect = Effect { size_before, ..Effect::new(Change::Delete, Subject::of(&candidate.entry)) };
        let verdict = match deleted {
            Ok(()) if self.stage.options.dry_run => Verdict::Planned { compares: false },
            Ok(()) => Verdict::Done,
            Err(Refusal::Failed(failure)) => Verdict::Failed(failure),
            Err(Refusal::Stopped) => return,
            Err(Refusal::Spared(reason)) => return self.spare(&path, reason),
            Err(Refusal::NotEmpty) => return self.spare(&path, "there is something in it"),
        };
        self.stage.record(Outcome { path, effect, started, ended: SystemTime::now(), verdict });
    }

    fn spare(&self, path: &RelPath, reason: &str) {
        self.stage.monitor.spared(path, reason);
        self.stage.count(&Summary { spared: 1, ..Summary::default() });
    }

    /// Sets the mtime of a directory in which something was deleted.
    fn restore_directory(&self, dest: &mut Trail, directory: RelPath, mtime: Timestamp) {
        if self.stage.options.dry_run || self.is_late() {
            return;
        }
        let started = SystemTime::now();
        let opened = dest.open(&directory, usize::MAX);
        let restored = unless_elsewhere(opened, Side::Dest, "opening the directory").and_then(|dir| {
            let has = dir.look_at_self(Freshness::Cached).at_dest("looking at the directory")?;
            self.stage.may_change()?;
            let set = if has.mtime == mtime { Ok(()) } else { set_mtime(dir, mtime) };
            Ok(self.stage.tolerate_directory_time(set).at_dest("setting the directory's mtime")?)
        });
        if let Err(Refusal::Failed(failure)) = restored {
            let effect = Effect::new(Change::Update, Subject::Directory);
            self.stage.record(Outcome::failed(directory, effect, started, failure));
        }
    }
}
