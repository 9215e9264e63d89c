//! Deleting what only the destination has, deepest first.
//!
//! In come the candidates, after all copies have ended and the guard has agreed; out goes an
//! outcome for each that was deleted or failed. Right before each deletion the name must be absent
//! at the source, and what stands under it at the destination must be what was scanned; whatever
//! turns out otherwise is spared, and the next run looks at it again. Files and symlinks go by
//! `unlink`, directories by `rmdir`, which takes only empty ones.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use rayon::iter::{ParallelBridge as _, ParallelIterator as _};

use super::step::{Doing, Halt, Step};
use crate::model::{
    Change, Effect, Entry, EntryKind, Outcome, RelPath, Side, Subject, Summary, Timestamp, Verdict,
};
use crate::pipeline::candidates::{BATCH, Batch, Candidate, Collected, Item};
use crate::pipeline::stage::Stage;
use crate::pipeline::{Error, Trees};
use crate::tree::{Dir, Freshness, Trail, is_elsewhere, set_mtime};

/// The ways of one worker through the two trees.
struct Trails {
    source: Trail,
    dest: Trail,
}

/// Deletes all candidates, or says of all that they would be deleted. One depth after the other: what lies
/// deeper is gone before its directory's turn comes.
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
    let remembered = |spare: usize| (spare / workers).clamp(1, 64);
    let trails = || Trails {
        source: Trail::new(&trees.source, remembered(trees.source.spare_handles())),
        dest: Trail::new(&trees.dest, remembered(trees.dest.spare_handles())),
    };
    let trails: Vec<Mutex<Trails>> = (0..workers).map(|_| Mutex::new(trails())).collect();
    let portion = portion(collected.count, workers);
    for depth in collected.depths() {
        let drawer = collected.drawer(depth).flat_map(|item| portions(item, portion));
        pool.install(|| {
            drawer.par_bridge().try_for_each(|item| {
                let worker = rayon::current_thread_index().unwrap_or(0);
                // Every thread has its own: nobody waits here.
                let mut trails = trails[worker].lock().unwrap_or_else(PoisonError::into_inner);
                stage.take_up(worker, &mut trails, item?);
                Ok(())
            })
        })
        .map_err(Error::Candidates)?;
    }
    Ok(())
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

impl Stage<'_> {
    fn take_up(&self, worker: usize, trails: &mut Trails, item: Item) {
        if self.stop.is_requested() {
            return;
        }
        match item {
            Item::Delete(batch) => self.delete_batch(worker, trails, &batch),
            Item::Restore { directory, mtime } if !self.options.dry_run => {
                self.restore_directory(&mut trails.dest, directory, mtime);
            }
            Item::Restore { .. } => {}
        }
    }

    fn delete_batch(&self, worker: usize, trails: &mut Trails, batch: &Batch) {
        let directories = match self.options.dry_run {
            true => Ok(None),
            false => open(trails, batch).map(Some),
        };
        for candidate in &batch.candidates {
            if self.stop.is_requested() {
                return;
            }
            let (path, started) = (batch.directory.join(&candidate.name), SystemTime::now());
            self.monitor.started(worker, &path, 0);
            let deleted = match &directories {
                Ok(Some(directories)) => self.delete_one(directories, candidate),
                Ok(None) => Ok(()),
                Err(halt) => Err(halt.clone()),
            };
            self.tell(path, candidate, started, deleted);
            self.monitor.ended(worker);
        }
    }

    fn delete_one(&self, directories: &Directories<'_>, candidate: &Candidate) -> Step<()> {
        let Candidate { name, entry } = candidate;
        if self.evidence.is_wanted(entry, self.options.rules.mtime_threshold) {
            return Err(Halt::Overtaken);
        }
        if let Some(source) = directories.source {
            expect_absent(source, name)?;
        }
        let dest = directories.dest;
        let now = dest.look(name, Freshness::Server).at_dest("looking at the destination again")?;
        if !now.is_some_and(|now| is_still(&now, entry)) {
            return Err(Halt::Overtaken);
        }
        let deleted = match entry.kind {
            EntryKind::Directory => dest.remove_dir(name),
            _ => dest.unlink(name),
        };
        unless_overtaken(deleted, Side::Dest, "deleting")
    }

    fn tell(&self, path: RelPath, candidate: &Candidate, started: SystemTime, deleted: Step<()>) {
        let size_before = candidate.entry.file_len();
        let effect = Effect { size_before, ..Effect::new(Change::Delete, Subject::of(&candidate.entry)) };
        let verdict = match deleted {
            Ok(()) if self.options.dry_run => Verdict::Planned { compares: false },
            Ok(()) => Verdict::Done,
            Err(Halt::Failed(failure)) => Verdict::Failed(failure),
            Err(Halt::Overtaken | Halt::SourceChanged | Halt::Stopped) => {
                return self.count(&Summary { spared: 1, ..Summary::default() });
            }
        };
        self.record(Outcome { path, effect, started, ended: SystemTime::now(), verdict });
    }

    /// Sets the mtime of a directory in which something was deleted.
    fn restore_directory(&self, dest: &mut Trail, directory: RelPath, mtime: Timestamp) {
        let started = SystemTime::now();
        let opened = dest.open(&directory, usize::MAX);
        let restored = unless_overtaken(opened, Side::Dest, "opening the directory").and_then(|dir| {
            let has = dir.look_at_self(Freshness::Cached).at_dest("looking at the directory")?;
            let set = if has.mtime == mtime { Ok(()) } else { set_mtime(dir, mtime) };
            self.tolerate_directory_time(set).at_dest("setting the directory's mtime")
        });
        if let Err(Halt::Failed(failure)) = restored {
            let effect = Effect::new(Change::Update, Subject::Directory);
            self.record(Outcome::failed(directory, effect, started, failure));
        }
    }
}

/// The open directories of one batch.
struct Directories<'t> {
    /// Where each name must be absent; nothing where a directory on the way is, and so all below it.
    source: Option<&'t Dir>,
    dest: &'t Dir,
}

fn open<'t>(trails: &'t mut Trails, batch: &Batch) -> Step<Directories<'t>> {
    let source = trails.source.open(&batch.directory, batch.shared);
    let source: &Dir = unless_overtaken(source, Side::Source, "opening the source directory")?;
    // An NFS client that has seen a name absent goes on saying so, even when the name is asked of the
    // server, until it learns that the directory has changed (Linux, `nfs_neg_need_reval`): ask for that first.
    source.look_at_self(Freshness::Server).at_source("looking at the source directory again")?;
    let first_missing = batch.directory.names().nth(batch.shared);
    if let Some(name) = first_missing {
        expect_absent(source, name)?;
    }
    let dest = trails.dest.open(&batch.directory, usize::MAX);
    let dest = unless_overtaken(dest, Side::Dest, "opening the destination directory")?;
    Ok(Directories { source: first_missing.is_none().then_some(source), dest })
}

/// Only a name that the source denies is absent: any other error says nothing.
fn expect_absent(source: &Dir, name: &[u8]) -> Step<()> {
    match source.look(name, Freshness::Server).at_source("looking at the source again")? {
        None => Ok(()),
        Some(_) => Err(Halt::Overtaken),
    }
}

/// Whether what stands there now is what was scanned.
fn is_still(now: &Entry, scanned: &Entry) -> bool {
    let is_the_same = now.kind == scanned.kind && now.inode == scanned.inode;
    match scanned.kind {
        // What was deleted in it has changed its times; that it is empty is for `rmdir` to say.
        EntryKind::Directory => is_the_same,
        // Deleting one name of a file changes the ctime under its other names.
        EntryKind::File { .. } if scanned.links > 1 => is_the_same && now.mtime == scanned.mtime,
        _ => now.is_same_version_as(scanned),
    }
}

/// That something was moved, replaced or filled meanwhile is no failure.
fn unless_overtaken<T>(result: io::Result<T>, side: Side, doing: &str) -> Step<T> {
    match result {
        Err(error) if is_elsewhere(&error) => Err(Halt::Overtaken),
        result => result.on(side, doing),
    }
}
