//! The one flag that ends a run early. Everything that may take long asks it.
//!
//! A run ends in one of two ways. If it was asked to stop, it finishes or drops what is in hand and
//! cleans up. If its permit to make changes is over, it does neither: the destination may be
//! another run's by now. The caller that asks compares the permit with the clock, not a thread that
//! would have to be awake. So a process that slept notices before it begins anything.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::time::since_boot;

/// A permit without an end.
const FOR_EVER: u64 = u64::MAX;

/// A shared request to stop. Clones share one request.
#[derive(Clone, Debug)]
pub struct Stop {
    /// The number of the signal that asked, 0 if none did. Signal handlers write it.
    signal: Arc<AtomicUsize>,
    /// The reason why the run cannot go on.
    halted: Arc<OnceLock<String>>,
    permit: Arc<Permit>,
}

/// The permit to begin changes.
#[derive(Debug)]
struct Permit {
    /// Changes are permitted until then, in nanoseconds since boot.
    until: AtomicU64,
    /// Whether the permit is over, which is final.
    over: AtomicBool,
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// A request that nobody has made yet, with a permit without an end.
    pub fn new() -> Self {
        let permit = Permit { until: AtomicU64::new(FOR_EVER), over: AtomicBool::new(false) };
        Self { signal: Arc::default(), halted: Arc::default(), permit: Arc::new(permit) }
    }

    /// Whether work has to end: finish or drop what is in hand, and begin nothing new.
    pub fn is_requested(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
            || self.halted.get().is_some()
            || self.forbids_changes()
    }

    /// Whether no change may be begun any more, not even to finish or clean up what is in hand.
    pub fn forbids_changes(&self) -> bool {
        let until = self.permit.until.load(Ordering::Acquire);
        if until == FOR_EVER {
            return self.permit.over.load(Ordering::Acquire);
        }
        if self.permit.over.load(Ordering::Acquire) {
            return true;
        }
        // The permit may have been extended between reading it and reading the clock: read it
        // again.
        let is_over = nanoseconds(since_boot()) >= until
            && self.permit.until.load(Ordering::Acquire) == until;
        if is_over {
            self.permit.over.store(true, Ordering::Release);
        }
        is_over
    }

    /// Permits changes until then, in time since boot. `false` if the permit was over before, or is
    /// by now. One that is over stays so.
    pub fn allow_until(&self, until: Duration) -> bool {
        if self.forbids_changes() {
            return false;
        }
        self.permit.until.store(nanoseconds(until), Ordering::Release);
        !self.forbids_changes()
    }

    /// Ends the permit: no change may be begun from now on.
    pub fn forbid_changes(&self) {
        self.permit.over.store(true, Ordering::Release);
    }

    /// The number of the signal that asked. `None` if none did.
    pub fn signal(&self) -> Option<usize> {
        Some(self.signal.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
    }

    /// Requests a stop because the run cannot go on. The first reason is the one that is reported.
    pub fn halt(&self, why: &dyn fmt::Display) {
        // A second reason is a consequence of the first.
        let _first = self.halted.set(why.to_string());
    }

    /// The reason why the run cannot go on. `None` if it can. It is known even if the threads that
    /// found it cannot be waited for.
    pub fn halted_by(&self) -> Option<&str> {
        self.halted.get().map(String::as_str)
    }

    /// The cell into which a signal handler writes the signal's number.
    pub fn signal_cell(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.signal)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    // Always less than the value that means for ever.
    u64::try_from(time.as_nanos()).unwrap_or(FOR_EVER).min(FOR_EVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_permit_that_is_over_stays_over() {
        let stop = Stop::new();
        assert!(stop.allow_until(since_boot() + HOUR) && !stop.is_requested());
        assert!(!stop.allow_until(since_boot()), "it ends at once");
        assert!(stop.forbids_changes() && stop.is_requested());
        assert!(
            !stop.allow_until(since_boot() + HOUR) && stop.forbids_changes(),
            "nobody gets it back"
        );
    }

    #[test]
    fn a_signal_lets_what_is_in_hand_be_finished_and_a_ban_does_not() {
        let (asked, banned) = (Stop::new(), Stop::new());
        asked.signal_cell().store(15, Ordering::Relaxed);
        assert!(asked.is_requested() && !asked.forbids_changes());
        banned.forbid_changes();
        assert!(banned.is_requested() && banned.forbids_changes() && banned.signal().is_none());
    }
}
