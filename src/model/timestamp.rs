//! Timestamp: a file's time as the file system keeps it, in seconds and nanoseconds since 1970,
//! UTC.
//!
//! A single `i64` of nanoseconds would end in 2262, before ext4 and XFS do.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// A file time. Its order is the order in time.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Timestamp {
    /// Whole seconds since 1970-01-01 00:00 UTC, rounded down.
    pub seconds: i64,
    /// Nanoseconds into that second, 0 to 999,999,999.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// The time as a clock shows it that ticks in steps of `step` since 1970. It is never later
    /// than `self`.
    pub fn truncated(self, step: Duration) -> Self {
        if step <= Duration::from_nanos(1) {
            return self;
        }
        let step = i128::try_from(step.as_nanos()).unwrap_or(i128::MAX);
        let nanoseconds = i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds);
        let shown = nanoseconds - nanoseconds.rem_euclid(step);
        Self {
            seconds: i64::try_from(shown.div_euclid(1_000_000_000)).unwrap_or(i64::MIN),
            nanoseconds: u32::try_from(shown.rem_euclid(1_000_000_000)).unwrap_or(0),
        }
    }

    /// How far apart two times are, whichever is later.
    pub fn distance(self, other: Self) -> Duration {
        let (early, late) = if self <= other { (self, other) } else { (other, self) };
        let seconds = late.seconds.abs_diff(early.seconds);
        // `late` is not before `early`, so a smaller fraction means that a whole second can be
        // borrowed.
        match late.nanoseconds.checked_sub(early.nanoseconds) {
            Some(nanoseconds) => Duration::new(seconds, nanoseconds),
            None => {
                Duration::new(seconds - 1, late.nanoseconds + 1_000_000_000 - early.nanoseconds)
            }
        }
    }
}

/// A time before 1970 becomes 1970.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        Self { seconds, nanoseconds: since.subsec_nanos() }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        let seconds = Duration::from_secs(time.seconds.unsigned_abs());
        let whole =
            if time.seconds < 0 { Self::UNIX_EPOCH - seconds } else { Self::UNIX_EPOCH + seconds };
        whole + Duration::from_nanos(time.nanoseconds.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanoseconds: u32) -> Timestamp {
        Timestamp { seconds, nanoseconds }
    }

    #[test]
    fn a_coarser_clock_never_runs_ahead() {
        let cases = [
            (at(5, 999_999_999), 1, at(5, 999_999_999)),
            (at(5, 999_999_999), 100, at(5, 999_999_900)),
            (at(5, 999_999_999), 1_000_000_000, at(5, 0)),
            (at(5, 999_999_999), 2_000_000_000, at(4, 0)),
            (at(-1, 500_000_000), 1_000_000_000, at(-1, 0)),
            (at(i64::MIN, 7), 2_000_000_000, at(i64::MIN, 0)),
            (at(5, 7), 0, at(5, 7)),
        ];
        for (time, step, shown) in cases {
            assert_eq!(
                time.truncated(Duration::from_nanos(step)),
                shown,
                "{time:?} in steps of {step}"
            );
        }
    }

    #[test]
    fn every_time_is_a_time_of_the_system_and_back() {
        for time in [at(0, 0), at(5, 999_999_999), at(i64::MAX, 999_999_999)] {
            assert_eq!(Timestamp::from(SystemTime::from(time)), time);
        }
        let before = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
        assert_eq!(SystemTime::from(at(-2, 500_000_000)), before);
        assert!(SystemTime::from(at(i64::MIN, 0)) < before);
    }

    #[test]
    fn distance_is_symmetric_and_survives_the_extremes() {
        let cases = [
            (at(10, 0), at(12, 0), Duration::new(2, 0)),
            (at(10, 900_000_000), at(11, 100_000_000), Duration::from_millis(200)),
            (at(-1, 999_999_999), at(0, 0), Duration::from_nanos(1)),
            (at(i64::MIN, 0), at(i64::MAX, 999_999_999), Duration::new(u64::MAX, 999_999_999)),
            (at(5, 5), at(5, 5), Duration::ZERO),
        ];
        for (left, right, distance) in cases {
            assert_eq!(left.distance(right), distance);
            assert_eq!(right.distance(left), distance);
        }
    }
}
