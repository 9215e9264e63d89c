//! The pipeline: the stages of a sync, one module for each, wired together here.
//!
//! ```text
//!  list(source dir) ─┐
//!                    ├─ join ─ classify ──▶ queue ──▶ execute ──▶ outcomes ──▶ record
//!  list(dest dir) ───┘         │         (bounded)               (bounded)
//!      (scan)                  └─▶ candidates ──▶ delete: guard, recheck ──▶ outcomes
//!                                                 (when all copies have ended)
//! ```
//!
//! No stage calls another one. The stages share a `context`, which has no method of any stage,
//! and `completion`, the one place that knows when and how a directory is finished. The pipeline
//! does not know the opslog, the lock or the terminal. It gets two open trees, a flag to stop, a
//! [`Monitor`] to report to and a [`Recorder`] to hand its outcomes to. A problem with one path is
//! data and travels with its outcome; an [`Error`] ends the run.

mod channel;
mod classify;
mod completion;
mod context;
mod delete;
mod error;
mod execute;
mod granularity;
mod half_made;
mod halt;
mod join;
mod monitor;
mod node;
mod operation;
mod options;
mod queue;
mod record;
mod scan;
mod selection;
mod threads;
mod trees;

use std::sync::{Arc, OnceLock};
use std::thread;

use self::channel::Channel;
pub use self::classify::{Checksum, MinAge, Policy, Rules, classify};
use self::completion::Completion;
use self::context::{Context, Counts, Watch};
pub use self::delete::candidates::SPILL_DIRS;
pub use self::delete::guard::missing_file;
pub use self::delete::withheld::Withheld;
pub use self::error::Error;
use self::execute::tools::Tools;
pub use self::join::{Sorted, join};
pub use self::monitor::{Heard, Monitor, Recording, Silent};
use self::node::DirNode;
pub use self::options::{
    Deletion, DeletionMethod, Fsync, IoOptions, MaxDelete, MetadataOptions, Options, Process,
};
use self::queue::{Queue, Waiting};
pub use self::record::Recorder;
use self::scan::Scan;
pub use self::selection::{BadPattern, Selection, SelectionBuilder};
use self::threads::{caught, named};
pub use self::trees::Trees;
use crate::model::Summary;
use crate::stop::Stop;

/// Bundles of operations that wait for a worker, at most. This is enough to keep the workers busy
/// while the scan crosses directories in which nothing is to be done. It is few enough that the
/// open directories fit the limit on handles, and that the bundles take some ten megabytes at most.
const BUNDLES_WAITING: usize = 512;

/// Outcomes that wait to be written, at most: some milliseconds of work, so that one slow write
/// does not stop the workers.
const OUTCOMES_WAITING: usize = 4096;

/// Portions of candidates that wait to be deleted, for each worker: when one is done, the next one
/// is there.
const PORTIONS_WAITING: usize = 2;

/// What came of a sync.
#[derive(Debug)]
pub struct Synced {
    /// The counts. They are complete even if an error ended the run: they say what was done until
    /// then.
    pub counts: Summary,
    /// Why a guard withheld all deletions; `None` if it did not.
    pub withheld: Option<Withheld>,
    /// The error that ended the run early, if one did.
    pub result: Result<(), Error>,
}

/// Carries everything that is newer at the source over to the destination. Then deletes what only
/// the destination has, if that is wanted and the evidence is good enough.
pub fn sync(
    trees: &Trees,
    options: &Options,
    monitor: &dyn Monitor,
    stop: &Stop,
    recorder: &mut dyn Recorder,
) -> Synced {
    let (counts, withheld) = (Counts::default(), OnceLock::new());
    let watch = Watch { monitor, stop, counts: &counts, withheld: &withheld };
    let result = both_phases(trees, options, watch, recorder);
    Synced { counts: counts.into_summary(), withheld: withheld.into_inner(), result }
}

fn both_phases(
    trees: &Trees,
    options: &Options,
    watch: Watch<'_>,
    recorder: &mut dyn Recorder,
) -> Result<(), Error> {
    let root = trees.root_node()?;
    let granularity = granularity::of_both(trees, options, watch.stop)
        .map_err(|error| Error::Root { path: trees.dest.path().to_owned(), error })?;
    let rules = options.policy.rules(granularity, options.process.began);
    let outcomes = Channel::bounded(OUTCOMES_WAITING);
    let finished = outcomes.receiver;
    thread::scope(|threads| {
        let recording = named("opslog").spawn_scoped(threads, move || {
            caught(|| record::record(&finished, recorder, watch))
                .inspect_err(|error| watch.stop.halt(error))
        })?;
        let context = Context::new(options, rules, watch, outcomes.sender);
        let tools = Tools::new(&context);
        let completion = Completion::new(&context, &tools);
        let ended = carry_over(&context, &tools, &completion, trees, root)
            .and_then(|()| delete_missing(&context, &completion, trees))
            .and_then(|()| completion.write_to_disk(trees));
        let fatal = context.into_fatal(); // This closes the queue to the recorder, too.
        recording.join().unwrap_or(Err(Error::Panicked)).and(ended)?;
        fatal.map_or(Ok(()), Err)
    })
}

/// The first phase: returns when everything was listed and every operation has ended.
fn carry_over(
    context: &Context<'_>,
    tools: &Tools<'_>,
    completion: &Completion<'_>,
    trees: &Trees,
    root: Arc<DirNode>,
) -> Result<(), Error> {
    thread::scope(|threads| {
        let spawn_worker = |worker: usize, waiting: Waiting| {
            let work = move || execute::work(context, tools, completion, worker, &waiting);
            named(&format!("worker-{worker}")).spawn_scoped(threads, work).map(drop)
        };
        let bundles = Channel::bounded(BUNDLES_WAITING);
        let large = Channel::bounded(BUNDLES_WAITING);
        // The scan owns the queue and is dropped at the end of this block. That closes the queues,
        // and the workers end with them.
        let queue = Queue::new(context, completion, bundles, large, spawn_worker);
        let scan = Scan::new(context, completion, trees, queue)?;
        let scanned = caught(|| scan.run(context.options.io.scan_threads, root));
        context.monitor.scanned();
        scanned
    })
}

/// The second phase, when every copy has its result: deletes what only the destination has.
fn delete_missing(
    context: &Context<'_>,
    completion: &Completion<'_>,
    trees: &Trees,
) -> Result<(), Error> {
    let Some(deletion) = &context.options.deletion else { return Ok(()) };
    let portions = Channel::bounded(PORTIONS_WAITING * context.options.io.workers);
    caught(|| delete::delete_missing(context, completion, trees, deletion, portions))
}
