//! The API server's clock, as far as its answers tell. It is the one that all contenders share.

use std::time::{Duration, SystemTime};

/// A `Date` header has whole seconds.
const RESOLUTION: Duration = Duration::from_secs(1);

/// When a call was made, in time since boot, and what the server's clock said meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    pub sent: Duration,
    pub received: Duration,
    /// Nothing: the answer had no `Date`.
    pub date: Option<SystemTime>,
}

/// What its answers have told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ServerClock {
    /// Some time since boot, and the latest that it may have been there.
    known: Option<(Duration, SystemTime)>,
}

impl ServerClock {
    /// Hears of an answer. One that shows an earlier time than was known changes nothing: see `at_most`.
    pub(super) fn hear(&mut self, stamp: Stamp) {
        let Some(date) = stamp.date else { return };
        let at_most = date + RESOLUTION;
        if self.at_most(stamp.sent).is_none_or(|known| known < at_most) {
            self.known = Some((stamp.sent, at_most));
        }
    }

    /// The latest that it may be there at `now`. Nothing: it was never told.
    ///
    /// Never too early: a holder that dates its renewal too late is waited for a little longer, one that dates it too
    /// early loses its Lease while it still takes it for valid. So a server whose clock was set back, or one of
    /// several whose clock is behind, is not believed.
    pub(super) fn at_most(&self, now: Duration) -> Option<SystemTime> {
        let (then, at_most) = self.known?;
        let later = now.checked_sub(then).map(|passed| at_most + passed);
        later.or_else(|| at_most.checked_sub(then - now))
    }
}

impl Stamp {
    /// Whether the server's clock went on as ours did between two answers.
    pub(super) fn agrees_with(self, later: Self) -> bool {
        let (Some(first), Some(second)) = (self.date, later.date) else { return false };
        let Ok(passed) = second.duration_since(first) else { return false };
        let at_least = later.sent.saturating_sub(self.received);
        let at_most = later.received.saturating_sub(self.sent);
        passed + RESOLUTION >= at_least && passed <= at_most + RESOLUTION
    }
}
