//! The verbs of a sync, one file per stage, wired here.
//!
//! ```text
//!  list(source dir) ─┐
//!                    ├─ join ─ classify ──▶ operations ──▶ workers ──▶ outcomes ──▶ recorder
//!  list(dest dir) ───┘         │            (bounded)                  (bounded)
//!                              └─▶ candidates ─ guard ─▶ workers ─▶ outcomes   (when all copies have ended)
//! ```
//!
//! The pipeline knows neither the opslog nor the lock nor the terminal: it gets two open trees, a
//! flag to stop, somebody to report to ([`Monitor`]) and somewhere to put its outcomes
//! ([`Recorder`]). What concerns one path is data and travels with its outcome; an [`Error`] ends the run.

mod candidates;
mod classify;
mod collect;
mod dispatch;
mod evidence;
mod execute;
mod filter;
mod gather;
mod granularity;
mod guard;
mod join;
mod operation;
mod options;
mod pace;
mod pair;
mod recording;
mod roots;
mod scan;
mod stage;
mod uncarried;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::bounded;

pub use self::classify::{Checksum, MinAge, Rules, classify};
use self::dispatch::{Dispatch, Waiting};
pub use self::filter::{BadPattern, Filter, FilterBuilder};
pub use self::guard::{MaxDelete, Withheld, missing_file};
pub use self::join::{Sorted, join};
pub use self::options::{Fsync, Options};
use self::pair::{Pair, Stands};
use self::recording::record;
use self::scan::Scan;
use self::stage::{Counts, Stage};
use crate::model::{Outcome, RelPath, Summary, shown};
use crate::stop::Stop;
use crate::tree::{Freshness, Place, Tree};

/// Bundles of operations that wait for a worker. Enough that workers never starve while the scan crosses
/// directories where nothing is to be done; few enough that their open directories fit the limit on
/// handles, and that they take some ten megabytes at most.
const BUNDLES_WAITING: usize = 512;

/// Outcomes that wait to be written: some milliseconds of work, so that one slow write stops nobody.
const OUTCOMES_WAITING: usize = 4096;

/// The two trees, open.
#[derive(Clone, Debug)]
pub struct Trees {
    /// What is read.
    pub source: Arc<Tree>,
    /// What is changed.
    pub dest: Arc<Tree>,
}

/// All that the engine knows of whoever watches it. Calls come from many threads and have to be quick.
pub trait Monitor: Sync {
    /// Something was counted.
    fn counted(&self, part: &Summary);
    /// So many more operations are to be done; they move `bytes` at most.
    fn planned(&self, operations: u64, bytes: u64);
    /// A worker took up an operation.
    fn started(&self, worker: usize, path: &RelPath, bytes: u64);
    /// A worker read or copied that many more bytes.
    fn copied(&self, worker: usize, bytes: u64);
    /// A worker is free again.
    fn ended(&self, worker: usize);
    /// A candidate for deletion was left alone.
    fn spared(&self, path: &RelPath, reason: &str);
    /// An operation has its outcome.
    fn recorded(&self, outcome: &Outcome);
    /// Everything has been listed.
    fn scanned(&self);
    /// Something the user should know that concerns no path in particular.
    fn warn(&self, message: &str);
}

/// Where outcomes go. One thread calls it; an error ends the run.
pub trait Recorder: Send {
    /// Keeps one outcome.
    fn record(&mut self, outcome: &Outcome) -> io::Result<()>;
    /// There is nothing to do for a moment.
    fn idle(&mut self) -> io::Result<()>;
}

/// What ends a run early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A root can't be used.
    #[error("cannot look at {}: {error}", shown(path))]
    Root {
        /// The root.
        path: std::path::PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The recorder failed.
    #[error("cannot write down what was done, in the opslog: {0}")]
    Recorder(io::Error),
    /// The destination did not write everything to its disk.
    #[error(
        "the destination could not write everything to disk, the last changes may be lost in a crash: {0}"
    )]
    Sync(io::Error),
    /// Threads could not be started.
    #[error(
        "cannot start as many threads: {0}. Lower --workers or --scan-threads, or raise the limit on processes"
    )]
    Threads(#[from] io::Error),
    /// The candidates for deletion can't be read back.
    #[error("cannot read back what is to be deleted: {0}; what is left of it stays until the next run")]
    Candidates(io::Error),
    /// A bug.
    #[error("internal error: a thread panicked; what it was at is not done")]
    Panicked,
}

/// What came of a sync.
#[derive(Debug)]
pub struct Synced {
    /// The counts, complete also where an error ended the run: they say what was done until then.
    pub counts: Summary,
    /// Why nothing was deleted, where something would have been.
    pub withheld: Option<Withheld>,
    /// Whether an error ended the run.
    pub result: Result<(), Error>,
}

/// Carries everything that is newer at the source over to the destination, and deletes what only the
/// destination has, if that is wanted and the evidence is good enough.
pub fn sync(
    trees: &Trees,
    options: &Options,
    monitor: &dyn Monitor,
    stop: &Stop,
    recorder: &mut dyn Recorder,
) -> Synced {
    let (counts, mut withheld) = (Counts::default(), None);
    let result = both_phases(trees, options, monitor, stop, recorder, (&counts, &mut withheld));
    Synced { counts: counts.into_summary(), withheld, result }
}

fn both_phases(
    trees: &Trees,
    options: &Options,
    monitor: &dyn Monitor,
    stop: &Stop,
    recorder: &mut dyn Recorder,
    (counts, withheld): (&Counts, &mut Option<Withheld>),
) -> Result<(), Error> {
    let root = root_pair(trees)?;
    let granularity = granularity::of_both(trees, options, stop)
        .map_err(|error| Error::Root { path: trees.dest.path().to_owned(), error })?;
    let options = &Options { rules: Rules { granularity, ..options.rules }, ..options.clone() };
    let (outcomes, finished) = bounded(OUTCOMES_WAITING);
    thread::scope(|threads| {
        let recording = named("opslog").spawn_scoped(threads, move || {
            caught(|| record(&finished, recorder, monitor, counts, stop))
                .inspect_err(|error| stop.halt(error))
        })?;
        let stage = Stage::new(options, monitor, stop, counts, outcomes);
        let ended = carry_over(&stage, trees, root)
            .and_then(|()| delete_missing(&stage, trees, withheld))
            .and_then(|()| write_to_disk(&stage, trees));
        let fatal = stage.into_fatal(); // And with the stage the way to the recorder is closed.
        recording.join().unwrap_or(Err(Error::Panicked)).and(ended)?;
        fatal.map_or(Ok(()), Err)
    })
}

/// The first phase: returns when everything was listed and every operation has ended.
fn carry_over(stage: &Stage<'_>, trees: &Trees, root: Arc<Pair>) -> Result<(), Error> {
    thread::scope(|threads| {
        let hire = |worker: usize, waiting: Waiting| {
            let work = move || execute::work(stage, worker, &waiting);
            named(&format!("worker-{worker}")).spawn_scoped(threads, work).map(drop)
        };
        // Dropped at the end of this block, which closes the queues, and the workers end with it.
        let scan = Scan::new(stage, trees, Dispatch::new(stage, BUNDLES_WAITING, hire))?;
        let scanned = caught(|| scan.run(stage.options.scan_threads, root));
        stage.monitor.scanned();
        scanned
    })
}

/// The second phase: every copy has its result, and what only the destination has may go.
fn delete_missing(stage: &Stage<'_>, trees: &Trees, withheld: &mut Option<Withheld>) -> Result<(), Error> {
    let Some(max) = stage.options.delete_missing else { return Ok(()) };
    let collected = stage.candidates.take();
    let candidates = collected.count;
    // A write that the kernel still has before it may fail: a copy's result is not known before that.
    let written = if candidates == 0 { Ok(()) } else { write_to_disk(stage, trees) };
    if written.is_err() || stage.stop.is_requested() {
        stage.count(&Summary { not_reached: candidates, ..Summary::default() });
        return written;
    }
    if candidates == 0 {
        return Ok(());
    }
    if let Some(reason) = guard::doubt(stage, trees, max, &collected) {
        stage.count(&Summary { withheld: candidates, ..Summary::default() });
        *withheld = Some(Withheld { candidates, reason, examples: collected.examples });
        return Ok(());
    }
    caught(|| execute::delete(stage, trees, collected))
}

/// Has the destination's file system write what was changed, where that is not done file by file.
fn write_to_disk(stage: &Stage<'_>, trees: &Trees) -> Result<(), Error> {
    if stage.options.fsync != Fsync::AtEnd || stage.stop.is_requested() || !stage.take_changed() {
        return Ok(());
    }
    trees.dest.root().sync_file_system().map_err(Error::Sync)
}

/// What is done, or the panic that ended it as an error.
fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Error::Panicked))
}

/// A thread that shows its name in `top -H`.
fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

fn root_pair(trees: &Trees) -> Result<Arc<Pair>, Error> {
    let look = |tree: &Arc<Tree>| {
        let error = |error| Error::Root { path: tree.path().to_owned(), error };
        tree.root().look_at_self(Freshness::Cached).map_err(error)
    };
    let stands = Stands::OnBoth { source: look(&trees.source)?, dest: look(&trees.dest)? };
    let place = |tree: &Arc<Tree>| Place::root(Arc::clone(tree));
    Ok(Pair::root(place(&trees.source), place(&trees.dest), stands))
}
