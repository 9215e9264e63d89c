//! The API server's clock, as far as its answers tell. It is the only clock that all contenders
//! share.

use std::time::{Duration, SystemTime};

/// The resolution of a `Date` header.
const RESOLUTION: Duration = Duration::from_secs(1);

/// The times of a call: by the clock since boot, and by the server's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    pub sent: Duration,
    pub received: Duration,
    /// The `Date` of the answer. `None` if it had none.
    pub date: Option<SystemTime>,
}

/// What the server's answers have told of its clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ServerClock {
    /// A boot-time instant, and an upper bound for the server's clock at that instant.
    known: Option<(Duration, SystemTime)>,
}

impl ServerClock {
    /// Takes note of an answer. An answer that shows an earlier time than was known changes
    /// nothing: see `at_most`.
    pub(super) fn hear(&mut self, stamp: Stamp) {
        let Some(date) = stamp.date else { return };
        let at_most = date + RESOLUTION;
        if self.at_most(stamp.sent).is_none_or(|known| known < at_most) {
            self.known = Some((stamp.sent, at_most));
        }
    }

    /// An upper bound for the server's clock at `now`, in time since boot. `None` if no answer had
    /// a date.
    ///
    /// The bound is never too early. A holder that dates its renewal too late only makes others
    /// wait a little longer. A holder that dates it too early loses its Lease while it still takes
    /// the Lease for valid. So a server is not believed if its clock was set back, or if it is one
    /// of several and its clock is behind.
    pub(super) fn at_most(&self, now: Duration) -> Option<SystemTime> {
        let (then, at_most) = self.known?;
        let later = now.checked_sub(then).map(|passed| at_most + passed);
        later.or_else(|| at_most.checked_sub(then - now))
    }
}

impl Stamp {
    /// Whether the server's clock and ours advanced alike between two answers.
    pub(super) fn agrees_with(self, later: Self) -> bool {
        let (Some(first), Some(second)) = (self.date, later.date) else { return false };
        let Ok(passed) = second.duration_since(first) else { return false };
        let at_least = later.sent.saturating_sub(self.received);
        let at_most = later.received.saturating_sub(self.sent);
        passed + RESOLUTION >= at_least && passed <= at_most + RESOLUTION
    }
}
