//! Pace: the limit on bytes per second that all workers share.
//!
//! A worker pays before it reads, and waits until its payment is due. So in any period the workers
//! move no more than the rate allows, plus a burst that was saved up while nothing was moved. Bytes
//! count once, when they are read, whether they are copied or compared. Shared blocks cost nothing.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::locked::locked;
use crate::stop::Stop;

/// How much may be saved up. A worker that comes a little late loses nothing, and the burst is far
/// too short for anybody to notice.
const BURST: Duration = Duration::from_millis(250);

/// Steps per second. There are enough of them for an even flow, and no payment takes long until it
/// is due.
const STEPS: u64 = 8;

/// How often a waiting worker checks whether the run is to stop.
const NAP: Duration = Duration::from_millis(100);

/// The limit on bytes per second, if there is one.
pub(super) struct Pace {
    limit: Option<Limit>,
}

struct Limit {
    /// Bytes per second, at least one.
    rate: u64,
    /// When the next payment is due.
    due: Mutex<Instant>,
}

impl Pace {
    /// A limit of `rate` bytes per second. `None` if there is no limit.
    pub(super) fn new(rate: Option<u64>) -> Self {
        let limit = |rate: u64| Limit { rate: rate.max(1), due: Mutex::new(Instant::now()) };
        Self { limit: rate.map(limit) }
    }

    /// How much of `len` bytes may be moved in one step.
    pub(super) fn step(&self, len: u64) -> u64 {
        self.limit.as_ref().map_or(len, |limit| len.min((limit.rate / STEPS).max(1)))
    }

    /// Pays for a step, and waits until it may be taken. Returns `false` if the run is to stop.
    pub(super) fn pay(&self, bytes: u64, stop: &Stop) -> bool {
        if let Some(limit) = &self.limit {
            let due = limit.pay(bytes, Instant::now());
            while !stop.is_requested() {
                match due.saturating_duration_since(Instant::now()) {
                    Duration::ZERO => break,
                    wait => thread::sleep(wait.min(NAP)),
                }
            }
        }
        !stop.is_requested()
    }

    /// Gives back what was paid for and not moved.
    pub(super) fn give_back(&self, bytes: u64) {
        if let Some(limit) = &self.limit {
            let mut due = locked(&limit.due);
            *due = due.checked_sub(limit.time_for(bytes)).unwrap_or(*due);
        }
    }
}

impl Limit {
    /// Returns the time at which the step may be taken.
    fn pay(&self, bytes: u64, now: Instant) -> Instant {
        let mut due = locked(&self.due);
        let mine = now.checked_sub(BURST).map_or(*due, |earliest| earliest.max(*due));
        *due = mine + self.time_for(bytes);
        mine
    }

    fn time_for(&self, bytes: u64) -> Duration {
        Duration::from_secs_f64(bytes as f64 / self.rate as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates workers that pay whenever they may, each with its own clock. Returns the bytes
    /// moved in each second.
    fn moved_in_each_second(rate: u64, workers: usize, seconds: u64, idle: Duration) -> Vec<u64> {
        let pace = Pace::new(Some(rate));
        let limit = pace.limit.as_ref().unwrap();
        let begin = Instant::now() + idle;
        let end = begin + Duration::from_secs(seconds);
        let mut free = vec![begin; workers];
        let mut moved = vec![0; seconds as usize];
        loop {
            let worker = free.iter_mut().min().unwrap();
            let step = pace.step(256 * 1024);
            let taken = limit.pay(step, *worker).max(*worker);
            if taken >= end {
                return moved;
            }
            moved[(taken - begin).as_secs() as usize] += step;
            *worker = taken;
        }
    }

    #[test]
    fn every_second_has_its_share_however_many_workers_there_are() {
        for (rate, workers) in [(1 << 10, 1), (1 << 20, 4), (50 << 20, 64), (10 << 30, 3)] {
            let moved = moved_in_each_second(rate, workers, 5, Duration::from_secs(3600));
            for (second, bytes) in moved.iter().enumerate() {
                // The limit, the burst at the beginning, and one step at each end of the second.
                let most = rate + rate / 4 + 2 * (rate / STEPS).min(256 * 1024) + 1;
                assert!(
                    *bytes <= most && *bytes >= rate * 9 / 10,
                    "second {second} at {rate}: {bytes}"
                );
            }
        }
    }

    #[test]
    fn without_a_limit_nobody_waits_and_with_one_nobody_waits_for_a_run_that_stops() {
        let stop = Stop::new();
        assert!(Pace::new(None).pay(u64::MAX, &stop));
        assert_eq!(Pace::new(None).step(u64::MAX), u64::MAX);
        let slow = Pace::new(Some(1));
        assert!(slow.pay(1_000_000, &stop));
        stop.halt(&"a reason");
        assert!(!slow.pay(1, &stop));
    }

    #[test]
    fn what_was_not_moved_is_given_back() {
        let pace = Pace::new(Some(1000));
        let limit = pace.limit.as_ref().unwrap();
        let now = Instant::now() + Duration::from_secs(1);
        let first = limit.pay(500, now);
        pace.give_back(500);
        assert_eq!(limit.pay(500, now), first);
        assert_eq!(limit.pay(500, now), first + Duration::from_millis(500));
    }
}
