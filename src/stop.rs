//! The one flag that ends a run early: everything that takes its time asks it.
//!
//! There are two ways to end. One that was asked to stop finishes or drops what is in hand and cleans up. One that
//! may change nothing any more, because the time for which it had leave is over, does neither: the destination may be
//! somebody else's by now. That time is compared with the clock by whoever asks, not by a thread that would have
//! to be awake: a process that slept notices before it begins anything.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::time::since_boot;

/// Leave without end.
const FOR_EVER: u64 = u64::MAX;

/// A shared request to stop. Clones are the same request.
#[derive(Clone, Debug)]
pub struct Stop {
    /// The signal that asked, 0 for none. Signal handlers write it.
    signal: Arc<AtomicUsize>,
    /// Why the run itself cannot go on.
    halted: Arc<OnceLock<String>>,
    leave: Arc<Leave>,
}

/// For how long changes may be begun.
#[derive(Debug)]
struct Leave {
    /// Nanoseconds since boot.
    until: AtomicU64,
    /// It is over, for good.
    over: AtomicBool,
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        let leave = Leave { until: AtomicU64::new(FOR_EVER), over: AtomicBool::new(false) };
        Self { signal: Arc::default(), halted: Arc::default(), leave: Arc::new(leave) }
    }

    /// Whether work has to end: finish or drop what is in hand, take nothing new.
    pub fn is_requested(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0 || self.halted.get().is_some() || self.forbids_changes()
    }

    /// Whether no change may be begun any more, not even to finish or clean up what is in hand.
    pub fn forbids_changes(&self) -> bool {
        let until = self.leave.until.load(Ordering::Acquire);
        if until == FOR_EVER {
            return self.leave.over.load(Ordering::Acquire);
        }
        if self.leave.over.load(Ordering::Acquire) {
            return true;
        }
        // Looked at once more: it may have been extended after it was read and before the clock was.
        let is_over = nanoseconds(since_boot()) >= until && self.leave.until.load(Ordering::Acquire) == until;
        if is_over {
            self.leave.over.store(true, Ordering::Release);
        }
        is_over
    }

    /// Changes may be begun until then, in time since boot. `false`: the time was over before, and stays so.
    pub fn allow_until(&self, until: Duration) -> bool {
        if self.forbids_changes() {
            return false;
        }
        self.leave.until.store(nanoseconds(until), Ordering::Release);
        !self.forbids_changes()
    }

    /// No change is begun from now on.
    pub fn forbid_changes(&self) {
        self.leave.over.store(true, Ordering::Release);
    }

    /// The number of the signal that asked, if one did.
    pub fn signal(&self) -> Option<usize> {
        Some(self.signal.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
    }

    /// Asks because the run cannot go on. The first reason is the one that is told.
    pub fn halt(&self, why: &dyn fmt::Display) {
        // A second reason is a consequence of the first.
        let _first = self.halted.set(why.to_string());
    }

    /// Why the run cannot go on, if it can't: also where those who found that out can't be waited for.
    pub fn halted_by(&self) -> Option<&str> {
        self.halted.get().map(String::as_str)
    }

    /// Where a signal handler leaves the signal's number.
    pub fn signal_cell(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.signal)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    // Below the mark that means for ever.
    u64::try_from(time.as_nanos()).unwrap_or(FOR_EVER).min(FOR_EVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn leave_that_is_over_stays_over() {
        let stop = Stop::new();
        assert!(stop.allow_until(since_boot() + HOUR) && !stop.is_requested());
        assert!(!stop.allow_until(since_boot()), "it ends at once");
        assert!(stop.forbids_changes() && stop.is_requested());
        assert!(!stop.allow_until(since_boot() + HOUR) && stop.forbids_changes(), "nobody gets it back");
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
