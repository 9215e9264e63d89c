//! The timings of a Lease: everything that follows from its duration.

use std::time::Duration;

/// The shortest duration. A shorter one would be lost to two slow answers in a row.
pub const SHORTEST: Duration = Duration::from_secs(3);

/// What a Lease's duration means for its holder and for the other contenders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeaseTimings {
    duration: Duration,
}

impl LeaseTimings {
    pub(super) fn new(duration: Duration) -> Self {
        Self { duration }
    }

    /// The safety margin: the holder stops so much earlier, and the others wait so much longer.
    /// Clocks do not run alike, and the system call that a worker is in has to end.
    pub(super) fn margin(self) -> Duration {
        (self.duration / 10).clamp(Duration::from_millis(400), Duration::from_secs(15))
    }

    /// The time for which a holder may make changes after it has sent a renewal that succeeded.
    pub(super) fn validity(self) -> Duration {
        self.duration.saturating_sub(self.margin())
    }

    /// The time for which the others do not take the Lease after its last renewal.
    pub(super) fn patience(self) -> Duration {
        self.duration + self.margin()
    }

    /// The time between two renewals.
    pub(super) fn renewal(self) -> Duration {
        self.duration / 3
    }

    /// The time between two attempts at one renewal.
    pub(super) fn retry(self) -> Duration {
        (self.duration / 30).clamp(Duration::from_millis(100), Duration::from_secs(10))
    }

    /// The longest time that a call may take.
    pub(super) fn call(self) -> Duration {
        (self.duration / 5).min(Duration::from_secs(5))
    }

    /// The time between the two looks after which a stale Lease is taken over.
    pub(super) fn second_look(self) -> Duration {
        (self.duration / 4).min(Duration::from_secs(15))
    }

    /// The time between two looks of a contender that waits for another's Lease.
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
            let timings = LeaseTimings::new(Duration::from_secs(seconds));
            assert!(
                timings.renewal() + 2 * (timings.call() + timings.retry()) <= timings.validity(),
                "{seconds}"
            );
        }
    }
}
