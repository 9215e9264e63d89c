//! Context: what every stage may read and report to. It has no method that belongs to one stage.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use crossbeam_channel::Sender;

use super::classify::Rules;
use super::delete::candidates::Candidates;
use super::delete::evidence::Evidence;
use super::delete::withheld::Withheld;
use super::error::Error;
use super::halt::{OpResult, may_change};
use super::monitor::Monitor;
use super::options::Options;
use super::threads::caught;
use crate::locked::{locked, unlocked};
use crate::model::{Outcome, Summary, Verdict};
use crate::stop::Stop;
use crate::tree::TemporaryNames;

/// What every stage holds while the run lasts.
pub(super) struct Context<'a> {
    pub(super) options: &'a Options,
    pub(super) rules: Rules,
    pub(super) monitor: &'a dyn Monitor,
    pub(super) stop: &'a Stop,
    pub(super) temporaries: TemporaryNames,
    pub(super) candidates: Candidates,
    pub(super) evidence: Evidence,
    counts: &'a Counts,
    withheld: &'a OnceLock<Withheld>,
    outcomes: Sender<Outcome>,
    /// Whether something was changed at the destination that was not written to disk yet.
    changed: AtomicBool,
    /// The error that ends the run, once there is one.
    fatal: OnceLock<Error>,
}

/// Whoever watches a run or may end it, and what the run leaves behind for them.
#[derive(Clone, Copy)]
pub(super) struct Watch<'a> {
    pub(super) monitor: &'a dyn Monitor,
    pub(super) stop: &'a Stop,
    pub(super) counts: &'a Counts,
    /// Why a guard withheld all deletions, once it did.
    pub(super) withheld: &'a OnceLock<Withheld>,
}

/// The run's summary while it grows.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<Summary>);

impl<'a> Context<'a> {
    pub(super) fn new(
        options: &'a Options,
        rules: Rules,
        watch: Watch<'a>,
        outcomes: Sender<Outcome>,
    ) -> Self {
        let Watch { monitor, stop, counts, withheld } = watch;
        Self {
            options,
            rules,
            monitor,
            stop,
            temporaries: TemporaryNames::new(options.process.run),
            candidates: Candidates::default(),
            evidence: Evidence::default(),
            counts,
            withheld,
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

    /// Notes that no candidate is deleted, and why.
    pub(super) fn withhold(&self, withheld: Withheld) {
        // The guard is asked once, so nothing is set yet.
        let _first = self.withheld.set(withheld);
    }

    /// Sends an outcome to the recorder.
    pub(super) fn record(&self, outcome: Outcome) {
        match &outcome.verdict {
            Verdict::Failed(failure) => self.evidence.failed(&outcome.path, failure),
            Verdict::Done => self.changed.store(true, Ordering::Relaxed),
            Verdict::Planned { .. } => {}
        }
        if self.outcomes.send(outcome).is_err() {
            // The recorder drains its queue until every sender is gone, so only a bug can have
            // ended it.
            self.end_run(Error::Panicked);
        }
    }

    /// Asks every thread to stop, because the run cannot go on. Only the first error is reported.
    pub(super) fn end_run(&self, error: Error) {
        self.stop.halt(&error);
        // A second error is a consequence of the first.
        let _first = self.fatal.set(error);
    }

    /// Does one piece of a worker's work. If it panics, the worker lives on and the run ends.
    /// Without that worker, other threads might wait for it for ever.
    pub(super) fn outlive(&self, work: impl FnOnce()) {
        let work = || {
            work();
            Ok(())
        };
        caught(work).unwrap_or_else(|error| self.end_run(error));
    }

    /// Whether a change at the destination may still be begun. Asked right before each change.
    pub(super) fn may_change(&self) -> OpResult<()> {
        may_change(self.stop)
    }

    /// Whether something was changed at the destination since the last call.
    pub(super) fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }

    /// The error that ended the run; `None` if none did.
    pub(super) fn into_fatal(self) -> Option<Error> {
        self.fatal.into_inner()
    }
}

impl Counts {
    /// Adds a part.
    pub(super) fn add(&self, part: &Summary) {
        *locked(&self.0) += part;
    }

    /// The sum so far.
    pub(super) fn so_far(&self) -> Summary {
        locked(&self.0).clone()
    }

    /// The final sum.
    pub(super) fn into_summary(self) -> Summary {
        unlocked(self.0)
    }
}
