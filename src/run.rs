//! One run from beginning to end: flush what waits → lock → recover → header → announce → pipeline → seal → plan →
//! flush → summary → release → exit code.
//!
//! The lock is released when every thread of the pipeline has ended, and only then: one that hangs may still change something
//! when it wakes up. One that was lost is left alone, it is somebody else's.

mod attend;
mod ending;
mod exit;
mod header;
pub(crate) mod ledger;
pub(crate) mod prepare;
mod share;

use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use uuid::Uuid;

use self::attend::{Ended, attend, until_ended};
use self::ending::{ended_early, fate, judge, leave_to};
pub use self::exit::{Exit, StartError};
use self::ledger::Books;
use self::prepare::{Found, Lock, open_log_dir, open_root, take_lock, tidy};
use self::share::Share;
use crate::cli::{FsyncArg, ProgressArg};
use crate::config::{Config, Detail};
use crate::lock::PairLock;
use crate::model::{Escaped, Summary};
use crate::opslog::{LogDir, OpslogWriter, last_entries};
use crate::pipeline::{Fsync, MinAge, Options, Rules, Synced, Trees};
use crate::report::{Console, Progress, Reporter};
use crate::stop::Stop;
use crate::tree::{Tree, owner_of_new_files, raise_open_files, take_umask};

/// Directories listed at once. Measured (see `docs/performance.md`): on a local disk more threads than
/// processors gain nothing once 8 hide the waiting; over a network each one hides a round trip.
const SCAN_THREADS_LOCAL: usize = 8;
const SCAN_THREADS_NETWORK: usize = 16;

/// Smaller files are copied again in less time than anybody notices.
const CONTINUE_ABOVE: u64 = 1024 * 1024 * 1024;

/// Runs one sync.
pub fn run(config: &Config, console: &Console, stop: &Stop) -> Result<Exit, StartError> {
    let choice = config.log_dir.clone();
    let dir = answered(config.log_dir.first(), (None, stop), move || open_log_dir(&choice))??;
    let mut books = Books::open(config, &dir, stop);
    books.flush_pending(&dir);
    let id = Uuid::now_v7();
    let lock = match take_lock(config, &dir, &id.to_string(), stop)? {
        Lock::Ours(lock) => lock,
        Lock::Taken(holder) => return Ok(leave_to(holder.as_ref(), config, console, stop)),
    };
    let carried = prepare(config, &dir, (lock.as_ref(), stop)).and_then(|(found, roots)| {
        books.set_recovered(found.recovered);
        let run = Run::begin(config, &dir, id, roots, lock.is_some(), found.retired)?;
        run.carry_out(books, lock.as_ref(), console, stop)
    });
    let hangs = matches!(carried, Ok(Carried { hangs: true, .. }) | Err(StartError::Hangs { .. }));
    match lock {
        Some(lock) if hangs => lock.leave(),
        Some(lock) if stop.forbids_changes() => {
            if !matches!(carried, Ok(Carried { exit: Exit::LockLost, .. })) {
                tracing::warn!("the lock was lost, too: {}", Escaped(lock.loss().as_bytes()));
            }
            lock.leave();
        }
        Some(lock) => {
            if let Err(why) = lock.release() {
                tracing::warn!("{}", Escaped(why.as_bytes()));
            }
        }
        None => {}
    }
    carried.map(|carried| carried.exit)
}

/// Puts the log directory in order and opens the roots.
fn prepare(
    config: &Config,
    dir: &LogDir,
    held: (Option<&PairLock>, &Stop),
) -> Result<(Found, [Tree; 2]), StartError> {
    let (ours, logs) = (config.clone(), dir.clone());
    let found = answered(dir.path(), held, move || tidy(&ours, &logs))?;
    let open = |path: &Path| {
        let (ours, root) = (config.clone(), path.to_owned());
        answered(path, held, move || open_root(&ours, &root))?
    };
    Ok((found, [open(&config.source)?, open(&config.dest)?]))
}

/// Does something with a folder whose server may be gone; the run may have to end before it answers.
fn answered<T: Send + 'static>(
    path: &Path,
    (lock, stop): (Option<&PairLock>, &Stop),
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StartError> {
    let root = |error| StartError::Root { path: path.to_owned(), error };
    until_ended(path, stop, work).map_err(root)?.ok_or_else(|| {
        let nothing = Synced { counts: Summary::default(), withheld: None, result: Ok(()) };
        let (exit, ended) = ended_early(&nothing, lock, stop, stop.forbids_changes());
        StartError::Hangs { path: path.to_owned(), ended, fate: fate(lock), exit }
    })
}

/// What came of a run that was begun.
struct Carried {
    exit: Exit,
    /// Some of its threads have not ended.
    hangs: bool,
}

/// One run that holds its lock, or needs none.
struct Run<'a> {
    config: &'a Config,
    dir: &'a LogDir,
    id: Uuid,
    started: SystemTime,
    clock: Instant,
    trees: Trees,
    options: Options,
    /// Opslogs that were deleted by age.
    retired: u64,
}

impl<'a> Run<'a> {
    fn begin(
        config: &'a Config,
        dir: &'a LogDir,
        id: Uuid,
        [source, dest]: [Tree; 2],
        holds_lock: bool,
        retired: u64,
    ) -> Result<Self, StartError> {
        let (started, clock) = (SystemTime::now(), Instant::now());
        let dest_on_network = dest.is_on_network();
        let on_network = source.is_on_network() || dest_on_network;
        let wanted =
            config.scan_threads.unwrap_or(if on_network { SCAN_THREADS_NETWORK } else { SCAN_THREADS_LOCAL });
        let min_age = config.min_age.map(|age| MinAge { age, now: started.into() });
        let share = Share::of(raise_open_files(), config.workers, wanted)?;
        let options = Options {
            run: id.as_u64_pair().1,
            dry_run: config.dry_run,
            rules: Rules { min_age, ..config.rules },
            filter: config.filter.clone(),
            delete_missing: config.delete_missing,
            require_file: config.require_file.clone(),
            workers: share.workers,
            scan_threads: share.scan_threads,
            bwlimit: config.bwlimit,
            hash_copies: config.hash_copies,
            carry_owner: config.carry_owner,
            carry_mode: config.carry_mode,
            carry_xattrs: config.carry_xattrs,
            fsync: match config.fsync {
                FsyncArg::Auto if dest_on_network => Fsync::EachFile,
                FsyncArg::Auto => Fsync::AtEnd,
                FsyncArg::Always => Fsync::EachFile,
                FsyncArg::Never => Fsync::Never,
            },
            dest_on_network,
            sweep: holds_lock,
            continue_above: CONTINUE_ABOVE,
            process_owner: owner_of_new_files(),
            umask: 0, // Taken when the opslog has been made.
        };
        let keeping = |tree: Tree| Arc::new(tree.keeping_open(share.handles));
        let trees = Trees { source: keeping(source), dest: keeping(dest) };
        Ok(Self { config, dir, id, started, clock, trees, options, retired })
    }

    fn carry_out(
        mut self,
        mut books: Books,
        lock: Option<&PairLock>,
        console: &Console,
        stop: &Stop,
    ) -> Result<Carried, StartError> {
        let error = |error| StartError::Opslog { path: self.dir.path().to_owned(), error };
        let header = self.header(books.database());
        let (dir, begun, started) = (self.dir.clone(), header.clone(), self.started);
        let create = move || OpslogWriter::create(&dir, begun, started);
        let opslog = answered(self.dir.path(), (lock, stop), create)?.map_err(error)?;
        books.begin(header);
        // From here on only the trees get new files, and those have modes of their own.
        self.options.umask = take_umask();
        let output = self.config.output;
        let reporter = Reporter::new(console, output, self.config.dry_run, self.options.workers, stop);
        let shows_progress = output.progress != ProgressArg::None && output.detail != Detail::Quiet;
        let progress = shows_progress.then(|| {
            Progress::start(
                &reporter.live,
                console,
                self.options.workers,
                last_entries(self.dir, &self.config.pair, &self.config.direction),
            )
        });
        let attended = attend(self.trees.clone(), self.options.clone(), reporter, stop, opslog);
        if let Some(progress) = progress.flatten() {
            progress.finish();
        }
        let (synced, told, opslog) = match attended.map_err(error)? {
            Ended::Whole { synced, told, opslog } => (synced, told, opslog),
            Ended::Hanging(hanging) => return Ok(self.end_without(hanging, books, lock, console, stop)),
        };
        let (exit, error) = judge(&synced, lock, stop, stop.forbids_changes());
        let message = error.clone().or_else(|| synced.withheld.as_ref().map(ToString::to_string));
        let (counts, retired) = (synced.counts.clone(), self.retired);
        let seal = move || opslog.finish_as(exit, &counts, message.as_deref(), retired);
        let sealed = until_ended(self.dir.path(), stop, seal);
        let hangs = matches!(sealed, Ok(None));
        let settled = sealed.and_then(|sealed| sealed.unwrap_or_else(|| self.unsealed(lock))).map(|opslog| {
            self.keep_entries(exit, &synced.counts);
            self.print_plan(console, error.is_some(), &opslog.path);
            books.settle(opslog, exit == Exit::Done)
        });
        Ok(Carried { exit: self.tell(console, &told, &synced, (exit, error), settled), hangs })
    }
}
