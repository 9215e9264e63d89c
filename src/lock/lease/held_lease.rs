//! A held Lease: what its holder does to keep it, and when it is lost. No I/O, no clock of its own.
//!
//! In come the answers to the holder's calls and the time since boot, out goes what to do next. The
//! validity counts from the moment when the last successful renewal was *sent*: all others count
//! from a later moment.
//!
//! If an answer is lost, the renewal may have been applied or not. So [`HeldLease`] keeps
//! everything that was written since the last renewal that was acknowledged. A Lease that matches
//! one of these is still held. Anything else, or no Lease at all, is a loss: it was taken, edited
//! or deleted.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::record::{Record, Spec};
use super::timings::LeaseTimings;

/// What the holder has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Wait until then, in time since boot.
    Wait(Duration),
    /// Renew the Lease.
    Renew,
    /// Look at the Lease: it has been changed, or an answer was lost.
    Look,
    /// Stop: the Lease is lost.
    Lost(Loss),
}

/// The reason why a Lease is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Its time ran out before it could be renewed, with the reason why it could not, if that is
    /// known.
    RanOut(Option<String>),
    /// The Lease was deleted.
    Deleted,
    /// The Lease names another holder, or none.
    Taken(String),
    /// The Lease still names this holder, but other fields were changed.
    Edited,
}

/// A Lease that this process holds.
#[derive(Clone, Debug)]
pub(super) struct HeldLease {
    timings: LeaseTimings,
    record: Record,
    /// What the server may have stored, if the Lease is still held.
    written: Vec<Spec>,
    valid_until: Duration,
    act_at: Duration,
    must_look: bool,
    failure: Option<String>,
}

impl HeldLease {
    /// A Lease that has just been taken, by a call that was sent at `sent` since boot.
    pub(super) fn new(timings: LeaseTimings, record: Record, sent: Duration) -> Self {
        let written = vec![record.spec.clone()];
        let (valid_until, act_at) = (sent + timings.validity(), sent + timings.renewal());
        Self { timings, record, written, valid_until, act_at, must_look: false, failure: None }
    }

    /// The end of its validity, in time since boot.
    pub(super) fn valid_until(&self) -> Duration {
        self.valid_until
    }

    /// The version that the next call replaces or deletes.
    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    /// What to do at `now`.
    pub(super) fn next(&self, now: Duration) -> Next {
        if now >= self.valid_until {
            return Next::Lost(Loss::RanOut(self.failure.clone()));
        }
        match (now >= self.act_at, self.must_look) {
            (false, _) => Next::Wait(self.act_at.min(self.valid_until)),
            (true, false) => Next::Renew,
            (true, true) => Next::Look,
        }
    }

    /// The reason why the last renewal failed. `None` if it did not.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.clone()
    }

    /// The object to send for a renewal. `server` is the server's clock, if it is known.
    pub(super) fn renewal(&mut self, server: Option<SystemTime>) -> Value {
        let object = self.record.renewed(server);
        self.written.push(Spec::read(&object["spec"]));
        object
    }

    /// A renewal that was sent at `sent` has succeeded.
    pub(super) fn renewed(&mut self, sent: Duration, record: Record) {
        self.written = vec![record.spec.clone()];
        self.record = record;
        self.valid_until = self.valid_until.max(sent + self.timings.validity());
        self.act_at = sent + self.timings.renewal();
        self.failure = None;
    }

    /// The server has another version than this one, or none.
    pub(super) fn refused(&mut self, now: Duration) {
        self.must_look = true;
        self.act_at = now;
    }

    /// A call failed. It is not known whether the server carried it out.
    pub(super) fn failed(&mut self, now: Duration, why: String) {
        self.failure = Some(why);
        self.act_at = now + self.timings.retry();
    }

    /// A look has found this version, or no Lease. The error is the reason why the Lease is lost.
    pub(super) fn seen(&mut self, now: Duration, found: Option<Record>) -> Result<(), Loss> {
        let Some(found) = found else { return Err(Loss::Deleted) };
        if found.uid != self.record.uid || !self.written.contains(&found.spec) {
            let is_ours =
                found.spec.holder == self.record.spec.holder && found.uid == self.record.uid;
            return Err(if is_ours { Loss::Edited } else { Loss::Taken(found.spec.holder) });
        }
        // Validity is not extended: it is not known when this version was sent. The next renewal
        // will tell.
        self.record = found;
        self.must_look = false;
        self.act_at = now;
        Ok(())
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RanOut(None) => f.write_str(
                "it ran out before it could be renewed: this process was stopped, or the machine slept",
            ),
            Self::RanOut(Some(why)) => write!(f, "it ran out before it could be renewed: {why}"),
            Self::Deleted => f.write_str("somebody deleted the Lease"),
            Self::Taken(holder) if holder.is_empty() => f.write_str("somebody emptied the Lease"),
            Self::Taken(holder) => write!(f, "the Lease is now held by {holder}"),
            Self::Edited => f.write_str("somebody edited the Lease"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn stored(mut object: Value, version: u64) -> Record {
        object["metadata"]["uid"] = "u".into();
        object["metadata"]["resourceVersion"] = version.to_string().into();
        Record::read(object).unwrap()
    }

    fn server(at: u64) -> Option<SystemTime> {
        Some(SystemTime::UNIX_EPOCH + seconds(1_700_000_000 + at))
    }

    /// Taken at second 100 for 30 s: valid until 127, renewed at 110.
    fn held_lease() -> HeldLease {
        let spec = json!({ "holderIdentity": "us", "leaseDurationSeconds": 30 });
        let object = stored(json!({ "spec": spec }), 1).renewed(server(100));
        HeldLease::new(LeaseTimings::new(seconds(30)), stored(object, 1), seconds(100))
    }

    #[test]
    fn validity_counts_from_when_the_last_success_was_sent() {
        let mut held_lease = held_lease();
        assert_eq!(held_lease.next(seconds(109)), Next::Wait(seconds(110)));
        assert_eq!(held_lease.next(seconds(110)), Next::Renew);
        let object = held_lease.renewal(server(110));
        held_lease.renewed(seconds(110), stored(object, 2)); // However late the answer was.
        assert_eq!(held_lease.next(seconds(119)), Next::Wait(seconds(120)));
        assert_eq!(held_lease.valid_until(), seconds(137));
        assert_eq!(held_lease.next(seconds(137)), Next::Lost(Loss::RanOut(None)));
    }

    #[test]
    fn what_fails_is_tried_again_until_validity_ends() {
        let mut held_lease = held_lease();
        for at in 110..127 {
            assert_eq!(held_lease.next(seconds(at)), Next::Renew);
            held_lease.renewal(server(at));
            held_lease.failed(seconds(at), "nobody answers".into());
        }
        assert_eq!(
            held_lease.next(seconds(127)),
            Next::Lost(Loss::RanOut(Some("nobody answers".into())))
        );
    }

    #[test]
    fn a_renewal_whose_answer_was_lost_is_recognised_and_extends_nothing() {
        let mut held_lease = held_lease();
        let applied = held_lease.renewal(server(110));
        held_lease.failed(seconds(111), "the answer was lost".into());
        held_lease.renewal(server(112));
        held_lease.refused(seconds(112));
        assert_eq!(held_lease.next(seconds(112)), Next::Look);
        assert_eq!(held_lease.seen(seconds(112), Some(stored(applied, 2))), Ok(()));
        assert_eq!(
            (held_lease.valid_until(), held_lease.record().version.as_str()),
            (seconds(127), "2")
        );
        assert_eq!(held_lease.next(seconds(112)), Next::Renew);
    }

    #[test]
    fn a_label_that_somebody_adds_is_no_loss_and_stays() {
        let mut held_lease = held_lease();
        let mut object = held_lease.renewal(server(100));
        object["metadata"]["labels"] = json!({ "team": "storage" });
        held_lease.refused(seconds(110));
        assert_eq!(held_lease.seen(seconds(110), Some(stored(object, 5))), Ok(()));
        assert_eq!(held_lease.renewal(server(110))["metadata"]["labels"]["team"], "storage");
    }

    #[test]
    fn what_was_deleted_taken_made_anew_or_edited_is_lost() {
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut held_lease = held_lease();
            let mut object = held_lease.renewal(server(100));
            object["metadata"] = json!({ "uid": "u", "resourceVersion": "7" });
            change(&mut object);
            held_lease.seen(seconds(110), Record::read(object))
        };
        assert_eq!(
            changed(&|object| object["spec"]["holderIdentity"] = "them".into()),
            Err(Loss::Taken("them".into()))
        );
        assert_eq!(
            changed(&|object| object["metadata"]["uid"] = "v".into()),
            Err(Loss::Taken("us".into()))
        );
        assert_eq!(
            changed(&|object| object["spec"]["leaseDurationSeconds"] = 5.into()),
            Err(Loss::Edited)
        );
        assert_eq!(changed(&|object| object["metadata"] = json!({})), Err(Loss::Deleted));
        assert_eq!(changed(&|_| ()), Ok(()));
    }
}
