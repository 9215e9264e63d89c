//! Deleting what only the destination has, deepest first.
//!
//! In come the candidates, after all copies have ended and the guard has agreed; out goes an
//! outcome for each that was deleted or failed. Right before each deletion the name must be absent
//! at the source, and what stands under it at the destination must be what was scanned; whatever
//! turns out otherwise is spared, and the next run looks at it again. Files and symlinks go by
//! `unlink`, directories by `rmdir`, which takes only empty ones.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rayon::iter::{ParallelBridge as _, ParallelIterator as _};

use super::step::{Doing, Halt};
use crate::model::{
    Change, Effect, Entry, EntryKind, Failure, Outcome, RelPath, Side, Subject, Summary, Timestamp, Verdict,
};
use crate::pipeline::candidates::{BATCH, Batch, Candidate, Collected, Item};
use crate::pipeline::stage::Stage;
use crate::pipeline::{Error, Trees};
use crate::tree::{Dir, Freshness, TRUSTED, Trail, is_elsewhere, set_mtime};

/// How long a run that is to end goes on setting mtimes of directories in which it has deleted something.
const GRACE: Duration = Duration::from_secs(1);

/// Directories that one worker's way through one tree keeps open at most.
const REMEMBERED: usize = 64;

/// The second phase of a run, while it lasts.
struct Deletion<'d, 'a> {
    stage: &'d Stage<'a>,
    /// The ways of each worker through the two trees.
    trails: Vec<Mutex<Trails>>,
    /// Candidates that had their turn.
    tried: AtomicU64,
    /// When it was first seen that the run is to end.
    stopped: OnceLock<Instant>,
}

struct Trails {
    source: Trail,
    dest: Trail,
}

/// Why a candidate is still there.
#[derive(Clone, Debug)]
enum Refusal {
    /// It is not what it was taken for.
    Spared(&'static str),
    /// Nothing may be changed any more.
    Stopped,
    /// A system call failed.
    Failed(Failure),
}

type Tried<T> = Result<T, Refusal>;

/// Deletes all candidates or, in a dry run, says of all that they would be deleted. One depth after the other:
/// what lies deeper is gone before its directory's turn comes.
pub(in crate::pipeline) fn delete(
    stage: &Stage<'_>,
    trees: &Trees,
    mut collected: Collected,
) -> Result<(), Error> {
    let workers = stage.options.workers;
    stage.monitor.planned(collected.count, 0);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .thread_name(|index| format!("delete-{index}"))
        .build()
        .map_err(io::Error::other)?;
    let deletion = Deletion::new(stage, trees);
    let portion = portion(collected.count, workers);
    let mut result = Ok(());
    for depth in collected.depths() {
        // Where the run is to end: the directories in which something was deleted last are in this drawer.
        let is_last = stage.stop.is_requested();
        let drawer = collected.drawer(depth).flat_map(|item| portions(item, portion));
        result =
            pool.install(|| drawer.par_bridge().try_for_each(|item| item.map(|item| deletion.take_up(item))));
        if is_last || result.is_err() {
            break;
        }
    }
    let not_reached = collected.count - deletion.tried.into_inner();
    stage.count(&Summary { not_reached, ..Summary::default() });
    result.map_err(Error::Candidates)
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

impl<'d, 'a> Deletion<'d, 'a> {
    fn new(stage: &'d Stage<'a>, trees: &Trees) -> Self {
        let workers = stage.options.workers;
        let remembered = |spare: usize| (spare / workers).clamp(1, REMEMBERED);
        let trails = || Trails {
            source: Trail::new(&trees.source, remembered(trees.source.spare_handles())),
            dest: Trail::new(&trees.dest, remembered(trees.dest.spare_handles())),
        };
        let trails = (0..workers).map(|_| Mutex::new(trails())).collect();
        Self { stage, trails, tried: AtomicU64::new(0), stopped: OnceLock::new() }
    }

    fn take_up(&self, item: Item) {
        let worker = rayon::current_thread_index().unwrap_or(0);
        // Every thread has its own: nobody waits here.
        let mut trails = self.trails[worker].lock().unwrap_or_else(PoisonError::into_inner);
        match item {
            Item::Delete(batch) => self.delete_batch(worker, &mut trails, &batch),
            Item::Restore { .. } if self.stage.options.dry_run || self.is_late() => {}
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
        while candidates.peek().is_some() {
            let walked = Instant::now();
            let directories = match self.stage.options.dry_run {
                true => Ok(None),
                false => open(trails, batch).map(Some),
            };
            for candidate in candidates.by_ref() {
                if self.stage.stop.is_requested() {
                    return;
                }
                let directories = directories.as_ref().map(Option::as_ref).map_err(Clone::clone);
                self.try_one(worker, batch, candidate, directories);
                if walked.elapsed() > TRUSTED {
                    break;
                }
            }
        }
    }

    fn try_one(
        &self,
        worker: usize,
        batch: &Batch,
        candidate: &Candidate,
        directories: Tried<Option<&Directories<'_>>>,
    ) {
        let (path, started) = (batch.directory.join(&candidate.name), SystemTime::now());
        self.stage.monitor.started(worker, &path, 0);
        let threshold = self.stage.options.rules.mtime_threshold;
        let deleted = match self.stage.evidence.protects(&candidate.entry, threshold) {
            Some(reason) => Err(Refusal::Spared(reason)),
            None => directories.and_then(|directories| {
                directories.map_or(Ok(()), |open| open.delete(candidate, self.stage))
            }),
        };
        if matches!(deleted, Err(Refusal::Stopped)) {
            return self.stage.monitor.ended(worker);
        }
        self.tell(path, candidate, started, deleted);
        self.tried.fetch_add(1, Ordering::Relaxed);
        self.stage.monitor.ended(worker);
    }

    fn tell(&self, path: RelPath, candidate: &Candidate, started: SystemTime, deleted: Tried<()>) {
        let size_before = candidate.entry.file_len();
        let effect = Effect { size_before, ..Effect::new(Change::Delete, Subject::of(&candidate.entry)) };
        let verdict = match deleted {
            Ok(()) if self.stage.options.dry_run => Verdict::Planned { compares: false },
            Ok(()) => Verdict::Done,
            Err(Refusal::Failed(failure)) => Verdict::Failed(failure),
            Err(Refusal::Stopped) => return,
            Err(Refusal::Spared(reason)) => {
                self.stage.monitor.spared(&path, reason);
                return self.stage.count(&Summary { spared: 1, ..Summary::default() });
            }
        };
        self.stage.record(Outcome { path, effect, started, ended: SystemTime::now(), verdict });
    }

    /// Sets the mtime of a directory in which something was deleted.
    fn restore_directory(&self, dest: &mut Trail, directory: RelPath, mtime: Timestamp) {
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

/// The open directories of one batch.
struct Directories<'t> {
    source: &'t Dir,
    /// A name in `source` whose absence tells that of the whole batch; nothing where each name has to be looked up.
    missing: Option<&'t [u8]>,
    dest: &'t Dir,
}

fn open<'t>(trails: &'t mut Trails, batch: &'t Batch) -> Tried<Directories<'t>> {
    let source = trails.source.open(&batch.directory, batch.shared);
    let source: &Dir = unless_elsewhere(source, Side::Source, "opening the source directory")?;
    // An NFS client that has seen a name absent goes on saying so, even when the name is asked of the
    // server, until it learns that the directory has changed (Linux, `fs/nfs/dir.c`): ask for that first.
    source.look_at_self(Freshness::Server).at_source("looking at the source directory again")?;
    let missing = batch.directory.names().nth(batch.shared);
    let dest = trails.dest.open(&batch.directory, usize::MAX);
    let dest = unless_elsewhere(dest, Side::Dest, "opening the destination directory")?;
    Ok(Directories { source, missing, dest })
}

impl Directories<'_> {
    fn delete(&self, Candidate { name, entry }: &Candidate, stage: &Stage<'_>) -> Tried<()> {
        // Only a name that the source denies is absent: any error says nothing.
        let absent = self.missing.unwrap_or(name);
        if self.source.look(absent, Freshness::Server).at_source("looking at the source again")?.is_some() {
            return Err(Refusal::Spared("it is there again at the source"));
        }
        match self.dest.look(name, Freshness::Server).at_dest("looking at the destination again")? {
            Some(now) if is_still(&now, entry) => {}
            Some(_) => return Err(Refusal::Spared("it has changed since it was scanned")),
            None => return Err(Refusal::Spared("it is gone already")),
        }
        stage.may_change()?;
        let deleted = match entry.kind {
            EntryKind::Directory => self.dest.remove_dir(name),
            _ => self.dest.unlink(name),
        };
        match deleted {
            Err(error) if is_elsewhere(&error) && entry.kind == EntryKind::Directory => {
                Err(Refusal::Spared("there is something in it"))
            }
            deleted => unless_elsewhere(deleted, Side::Dest, "deleting"),
        }
    }
}

/// Whether what stands there now is what was scanned.
fn is_still(now: &Entry, scanned: &Entry) -> bool {
    let is_the_same = now.kind == scanned.kind && now.inode == scanned.inode;
    match scanned.kind {
        // What was deleted in it has changed its times; that it is empty is for `rmdir` to say.
        EntryKind::Directory => is_the_same,
        // Deleting one name of a file changes the ctime under its other names.
        EntryKind::File { .. } if now.links < scanned.links => is_the_same && now.mtime == scanned.mtime,
        _ => now.is_same_version_as(scanned),
    }
}

/// That something was moved or replaced meanwhile is no failure.
fn unless_elsewhere<T>(result: io::Result<T>, side: Side, doing: &str) -> Tried<T> {
    match result {
        Err(error) if is_elsewhere(&error) => Err(Refusal::Spared("it is no longer where it was")),
        result => Ok(result.on(side, doing)?),
    }
}

impl From<Halt> for Refusal {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Failed(failure) => Self::Failed(failure),
            Halt::Stopped => Self::Stopped,
            Halt::Overtaken | Halt::SourceChanged => Self::Spared("it has changed since it was scanned"),
        }
    }
}
