//! What the stages share: the flag to stop, whom to report to, the way to the opslog, the counts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crossbeam_channel::Sender;

use super::candidates::Candidates;
use super::evidence::Evidence;
use super::execute::Halt;
use super::pace::Pace;
use super::pair::Pair;
use super::{Error, Monitor, Options, caught, execute};
use crate::model::{Outcome, Summary, Verdict};
use crate::stop::Stop;
use crate::tree::TemporaryNames;

/// What every stage holds while the run lasts.
pub(super) struct Stage<'a> {
    pub(super) options: &'a Options,
    pub(super) monitor: &'a dyn Monitor,
    pub(super) stop: &'a Stop,
    pub(super) temporaries: TemporaryNames,
    pub(super) notices: execute::Notices,
    pub(super) mtimes: execute::Mtimes,
    pub(super) candidates: Candidates,
    pub(super) evidence: Evidence,
    pub(super) pace: Pace,
    counts: &'a Counts,
    outcomes: Sender<Outcome>,
    /// Whether something was changed at the destination that was not written to disk yet.
    changed: AtomicBool,
    /// What ends the run, once something does.
    fatal: OnceLock<Error>,
}

/// The run's summary while it grows.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<Summary>);

impl<'a> Stage<'a> {
    pub(super) fn new(
        options: &'a Options,
        monitor: &'a dyn Monitor,
        stop: &'a Stop,
        counts: &'a Counts,
        outcomes: Sender<Outcome>,
    ) -> Self {
        let temporaries = TemporaryNames::new(options.run);
        Self {
            options,
            monitor,
            stop,
            temporaries,
            notices: execute::Notices::default(),
            mtimes: execute::Mtimes::default(),
            candidates: Candidates::default(),
            evidence: Evidence::default(),
            pace: Pace::new(options.bwlimit),
            counts,
            outcomes,
            changed: AtomicBool::new(false),
            fatal: OnceLock::new(),
        }
    }

    /// Adds to the counts.
    pub(super) fn count(&self, part: &Summary) {
        self.counts.add(part);
        self.monitor.counted(part);
    }

    /// What was counted so far.
    pub(super) fn counted(&self) -> Summary {
        self.counts.so_far()
    }

    /// Sends an outcome to the recorder.
    pub(super) fn record(&self, outcome: Outcome) {
        match &outcome.verdict {
            Verdict::Failed(failure) => self.evidence.failed(&outcome.path, failure),
            Verdict::Done => self.changed.store(true, Ordering::Relaxed),
            Verdict::Planned { .. } => {}
        }
        if self.outcomes.send(outcome).is_err() {
            // It drains its queue until every sender is gone: it can only have died of a bug.
            self.end_run(Error::Panicked);
        }
    }

    /// Asks everybody to stop, because the run cannot go on. The first reason is the one that is told.
    pub(super) fn end_run(&self, error: Error) {
        self.stop.halt(&error);
        // A second reason is a consequence of the first.
        let _first = self.fatal.set(error);
    }

    /// One piece of a worker's work. The worker outlives every bug, and the bug ends the run: were the worker gone, others
    /// could wait for it for ever.
    pub(super) fn outlive(&self, work: impl FnOnce()) {
        let work = || {
            work();
            Ok(())
        };
        caught(work).unwrap_or_else(|error| self.end_run(error));
    }

    /// Asked right before each change at the destination: whether it may still be begun.
    pub(super) fn may_change(&self) -> Result<(), Halt> {
        execute::may_change(self.stop)
    }

    /// Whether something was changed at the destination since this was asked before.
    pub(super) fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }

    /// What ended the run.
    pub(super) fn into_fatal(self) -> Option<Error> {
        self.fatal.into_inner()
    }

    /// One piece of work of the pair is done. Finishes its directory if it was the last, and so on upwards.
    pub(super) fn end_work(&self, pair: Arc<Pair>) {
        let mut done = Some(pair);
        while let Some(pair) = done.take_if(|pair| pair.end()) {
            self.finish_directory(&pair);
            self.settle(&pair);
            done = pair.above.clone();
        }
    }
}

impl Counts {
    /// Adds a part.
    pub(super) fn add(&self, part: &Summary) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += part;
    }

    /// The sum so far.
    pub(super) fn so_far(&self) -> Summary {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The sum.
    pub(super) fn into_summary(self) -> Summary {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
