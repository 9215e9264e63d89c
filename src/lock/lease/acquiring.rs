//! Acquiring a Lease: what a contender does about what it sees. No I/O, no clock of its own.
//!
//! In comes one look at the Lease after another, with the times around each. Out goes what to do
//! next. A Lease is taken from its holder only if that holder has certainly stopped to rely on it.
//! There are two ways to know that:
//!
//! - By the server's clock. The holder has dated its last renewal by it, and the `Date` of the
//!   answer shows that the Lease's own duration and a margin have passed since then. A second look
//!   must find the Lease unchanged, and must show that the server's clock has advanced as ours has.
//! - By watching. Nothing about the Lease has changed for its whole duration and a margin. This
//!   needs no clock but our own. It is the only way if the server gives no `Date`, or if its clock
//!   and the Lease contradict each other.

use std::time::{Duration, SystemTime};

use super::clock::Stamp;
use super::record::Record;
use super::timings::LeaseTimings;

/// What one look showed.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// The Lease, or `None` if there is none.
    pub record: Option<Record>,
    pub stamp: Stamp,
}

/// What the contender has to do next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Create the Lease: there is none.
    Create,
    /// Become the holder of this version: nobody holds it any more, or it is ours already.
    Take(Record),
    /// Look again after this time: it cannot be told yet.
    LookAgain(Duration),
    /// Give way: another process holds it.
    Held(Record),
}

/// A process that wants the Lease.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    identity: String,
    /// The timings for a Lease that does not tell its duration.
    timings: LeaseTimings,
    watched: Option<Watched>,
}

/// A version of the Lease that was seen before.
#[derive(Clone, Debug)]
struct Watched {
    uid: String,
    version: String,
    first: Stamp,
    /// The first look that found this version stale by the server's clock.
    stale: Option<Stamp>,
}

/// The age of a Lease by the server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Fresh,
    Stale,
    Unknown,
}

/// A renewal may be dated late by so much although every clock is right: see `ServerClock`.
const DATED_LATE: Duration = Duration::from_secs(2);

impl Contender {
    pub(super) fn new(identity: &str, timings: LeaseTimings) -> Self {
        Self { identity: identity.to_owned(), timings, watched: None }
    }

    /// Takes in one look and tells what to do next.
    pub(super) fn look(&mut self, Look { record, stamp }: Look) -> Step {
        let Some(record) = record else {
            self.watched = None;
            return Step::Create;
        };
        // It is ours already if the answer to the call that took it was lost.
        if record.spec.holder.is_empty() || record.spec.holder == self.identity {
            return Step::Take(record);
        }
        let timings = record.spec.duration.map_or(self.timings, LeaseTimings::new);
        let before = self.watched.take();
        let was_watching = before.is_some();
        let known =
            before.filter(|watched| watched.uid == record.uid && watched.version == record.version);
        let was_renewed = was_watching && known.is_none();
        let mut watched = known.unwrap_or_else(|| Watched::new(&record, stamp));
        let step = match age(&record, stamp.date, timings) {
            _ if watched.unchanged_for(stamp) >= timings.patience() => Step::Take(record),
            Age::Fresh => Step::Held(record),
            Age::Stale => watched.find_stale(record, stamp, timings),
            Age::Unknown if was_renewed => Step::Held(record),
            Age::Unknown => watched.keep_watching(stamp, timings),
        };
        self.watched = Some(watched);
        step
    }
}

impl Watched {
    fn new(record: &Record, first: Stamp) -> Self {
        Self { uid: record.uid.clone(), version: record.version.clone(), first, stale: None }
    }

    /// The time for which the version has certainly not changed: from the answer to the first look
    /// until this one was sent.
    fn unchanged_for(&self, now: Stamp) -> Duration {
        now.sent.saturating_sub(self.first.received)
    }

    fn find_stale(&mut self, record: Record, now: Stamp, timings: LeaseTimings) -> Step {
        let first = *self.stale.get_or_insert(now);
        let between = now.sent.saturating_sub(first.received);
        if now == first || between < timings.second_look() {
            return Step::LookAgain(timings.second_look().saturating_sub(between));
        }
        if first.agrees_with(now) { Step::Take(record) } else { self.keep_watching(now, timings) }
    }

    fn keep_watching(&self, now: Stamp, timings: LeaseTimings) -> Step {
        let left = timings.patience().saturating_sub(self.unchanged_for(now));
        Step::LookAgain(left.min(timings.poll()))
    }
}

fn age(record: &Record, date: Option<SystemTime>, timings: LeaseTimings) -> Age {
    let (Some(date), Some(renewed)) = (date, record.spec.renewed) else { return Age::Unknown };
    match date.duration_since(renewed) {
        Ok(age) if age > timings.patience() => Age::Stale,
        Ok(_) => Age::Fresh,
        Err(ahead) if ahead.duration() <= timings.margin() + DATED_LATE => Age::Fresh,
        // One of the clocks was set, so neither tells anything about the other.
        Err(_) => Age::Unknown,
    }
}

/// Whether a Lease is being renewed, as far as one look can tell.
pub(super) fn is_fresh(record: &Record, date: Option<SystemTime>, timings: LeaseTimings) -> bool {
    !record.spec.holder.is_empty()
        && age(record, date, record.spec.duration.map_or(timings, LeaseTimings::new)) != Age::Stale
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::time::to_rfc3339_micro;

    const TERMS: Duration = Duration::from_secs(30);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn server(at: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + seconds(1_700_000_000 + at)
    }

    fn lease(version: u64, holder: &str, renewed: u64) -> Record {
        Record::read(json!({
            "metadata": { "uid": "u", "resourceVersion": version.to_string() },
            "spec": {
                "holderIdentity": holder, "leaseDurationSeconds": 30,
                "renewTime": to_rfc3339_micro(server(renewed)),
            },
        }))
        .unwrap()
    }

    /// A look at our second `at`, when the server's clock says `date`.
    fn look(record: &Record, at: u64, date: Option<u64>) -> Look {
        let at = seconds(at);
        Look {
            record: Some(record.clone()),
            stamp: Stamp { sent: at, received: at, date: date.map(server) },
        }
    }

    fn contender() -> Contender {
        Contender::new("us", LeaseTimings::new(TERMS))
    }

    #[test]
    fn what_nobody_has_is_taken_at_once() {
        let nothing = Look { record: None, stamp: Stamp::default() };
        assert_eq!(contender().look(nothing), Step::Create);
        for free in [lease(1, "", 0), lease(1, "us", 0)] {
            assert_eq!(contender().look(look(&free, 0, Some(0))), Step::Take(free));
        }
    }

    #[test]
    fn a_stale_lease_is_taken_after_a_second_look_and_not_before_its_own_duration() {
        let theirs = lease(1, "them", 100);
        let mut contender = contender();
        assert_eq!(
            contender.look(look(&theirs, 0, Some(133))),
            Step::Held(theirs.clone()),
            "30 s and a margin of 3"
        );
        assert_eq!(
            contender.look(look(&theirs, 1, Some(134))),
            Step::LookAgain(Duration::from_millis(7500))
        );
        assert_eq!(
            contender.look(look(&theirs, 6, Some(139))),
            Step::LookAgain(Duration::from_millis(2500))
        );
        assert_eq!(contender.look(look(&theirs, 9, Some(142))), Step::Take(theirs));
    }

    #[test]
    fn a_holder_that_renews_between_the_looks_keeps_it() {
        let mut contender = contender();
        assert!(matches!(
            contender.look(look(&lease(1, "them", 100), 0, Some(200))),
            Step::LookAgain(_)
        ));
        let renewed = lease(2, "them", 205);
        assert_eq!(contender.look(look(&renewed, 8, Some(208))), Step::Held(renewed));
        let stale_again = lease(3, "them", 105);
        assert!(
            matches!(contender.look(look(&stale_again, 9, Some(209))), Step::LookAgain(_)),
            "anew"
        );
    }

    #[test]
    fn without_a_date_or_with_one_that_cannot_be_it_is_watched_for_its_whole_duration() {
        for date in [None, Some(10)] {
            let (theirs, mut contender) = (lease(1, "them", 100), contender());
            for at in 0..33 {
                let step = contender.look(look(&theirs, at, date));
                assert!(matches!(step, Step::LookAgain(_)), "{at}: {step:?}");
            }
            assert_eq!(contender.look(look(&theirs, 33, date)), Step::Take(theirs));
        }
    }

    #[test]
    fn a_renewal_that_is_seen_ends_the_watch() {
        let mut contender = contender();
        assert!(matches!(
            contender.look(look(&lease(1, "them", 100), 0, None)),
            Step::LookAgain(_)
        ));
        let renewed = lease(2, "them", 100);
        assert_eq!(contender.look(look(&renewed, 10, None)), Step::Held(renewed));
    }

    #[test]
    fn a_server_whose_clock_is_set_between_the_looks_is_not_believed() {
        let (theirs, mut contender) = (lease(1, "them", 100), contender());
        assert!(matches!(contender.look(look(&theirs, 0, Some(200))), Step::LookAgain(_)));
        let step = contender.look(look(&theirs, 8, Some(4000)));
        assert!(matches!(step, Step::LookAgain(_)), "{step:?}");
        assert_eq!(
            contender.look(look(&theirs, 33, Some(4030))),
            Step::Take(theirs),
            "but by watching"
        );
    }
}
