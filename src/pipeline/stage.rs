//! What the stages share: the flag to stop, whom to report to, the way to the opslog, the counts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::Sender;

use super::pair::Pair;
use super::{Monitor, Options, execute};
use crate::model::{Outcome, Summary};
use crate::stop::Stop;
use crate::tree::TemporaryNames;

/// What every stage holds while the run lasts.
pub(super) struct Stage<'a> {
    pub(super) options: &'a Options,
    pub(super) monitor: &'a dyn Monitor,
    pub(super) stop: &'a Stop,
    pub(super) temporaries: TemporaryNames,
    pub(super) notices: execute::Notices,
    counts: &'a Counts,
    outcomes: Sender<Outcome>,
    panicked: AtomicBool,
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
        let (notices, panicked) = (execute::Notices::default(), AtomicBool::new(false));
        Self {
            options,
            monitor,
            stop,
            temporaries,
            notices,
            counts,
            outcomes,
            panicked,
        }
    }

    /// Adds to the counts.
    pub(super) fn count(&self, part: &Summary) {
        self.counts.add(part);
        self.monitor.counted(part);
    }

    /// Sends an outcome to the opslog.
    pub(super) fn record(&self, outcome: Outcome) {
        // The recorder drains its queue until every sender is gone; it can't be away.
        let sent = self.outcomes.send(outcome);
        debug_assert!(sent.is_ok(), "the recorder ended before its senders");
    }

    /// Notes that a panic was caught: the path has failed, and so has the run.
    pub(super) fn panicked(&self) {
        self.panicked.store(true, Ordering::Relaxed);
    }

    /// Whether one was.
    pub(super) fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::Relaxed)
    }

    /// One piece of work of the pair is done. Finishes its directory if it was the last, and so on upwards.
    pub(super) fn end_work(&self, pair: Arc<Pair>) {
        let mut done = Some(pair);
        while let Some(pair) = done.take_if(|pair| pair.end()) {
            self.finish_directory(&pair);
            done = pair.above.clone();
        }
    }
}

impl Counts {
    /// Adds a part.
    pub(super) fn add(&self, part: &Summary) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += part;
    }

    /// Changes so far.
    pub(super) fn changes(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).changes()
    }

    /// The sum.
    pub(super) fn into_summary(self) -> Summary {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far two clocks may be apart before the user is told.
pub(super) const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);
