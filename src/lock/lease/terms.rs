//! For how long a Lease holds: everything that follows from its duration.

use std::time::Duration;

/// A shorter one is lost to two slow answers in a row.
pub const SHORTEST: Duration = Duration::from_secs(3);

/// What a duration means for its holder and for everybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    duration: Duration,
}

impl Terms {
    pub(super) fn new(duration: Duration) -> Self {
        Self { duration }
    }

    /// By so much the holder stops earlier, and by so much everybody else waits longer: clocks do not go alike,
    /// and the system call that a worker is in has to end.
    pub(super) fn margin(self) -> Duration {
        (self.duration / 10).clamp(Duration::from_millis(400), Duration::from_secs(15))
    }

    /// How long a holder may change something after it has sent a renewal that succeeded.
    pub(super) fn validity(self) -> Duration {
        self.duration.saturating_sub(self.margin())
    }

    /// How long everybody else leaves the Lease alone after its last renewal.
    pub(super) fn patience(self) -> Duration {
        self.duration + self.margin()
    }

    /// Time between two renewals.
    pub(super) fn renewal(self) -> Duration {
        self.duration / 3
    }

    /// Time between two attempts at one.
    pub(super) fn retry(self) -> Duration {
        (self.duration / 30).clamp(Duration::from_millis(100), Duration::from_secs(10))
    }

    /// How long a call may take.
    pub(super) fn call(self) -> Duration {
        (self.duration / 5).min(Duration::from_secs(5))
    }

    /// Time between the two looks after which a stale Lease is taken over.
    pub(super) fn second_look(self) -> Duration {
        (self.duration / 4).min(Duration::from_secs(15))
    }

    /// How often one who waits for somebody else's looks.
    pub(super) fn poll(self) -> Duration {
        (self.duration / 6).clamp(Duration::from_millis(200), Duration::from_secs(5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_renewals_may_fail_before_validity_ends() {
        for seconds in [3, 4, 10, 60, 3600, 86_400] {
            let terms = Terms::new(Duration::from_secs(seconds));
            assert!(terms.renewal() + 2 * (terms.call() + terms.retry()) <= terms.validity(), "{seconds}");
        }
    }
}
