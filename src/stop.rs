//! The one flag that ends a run early: everything that takes its time asks it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A shared request to stop. Clones are the same request.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// The signal that asked, 0 for none. Signal handlers write it.
    signal: Arc<AtomicUsize>,
    /// The run itself cannot go on.
    halted: Arc<AtomicBool>,
}

impl Stop {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether work has to end: finish or drop what is in hand, take nothing new.
    pub fn is_requested(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0 || self.halted.load(Ordering::Relaxed)
    }

    /// The number of the signal that asked, if one did.
    pub fn signal(&self) -> Option<usize> {
        Some(self.signal.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
    }

    /// Asks because the run cannot go on.
    pub fn halt(&self) {
        self.halted.store(true, Ordering::Relaxed);
    }

    /// Where a signal handler leaves the signal's number.
    pub fn signal_cell(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.signal)
    }
}
