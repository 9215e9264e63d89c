//! Tenure: what a holder does to keep its Lease, and when it has lost it. No I/O, no clock of its own.
//!
//! In come the answers to its calls and the time since boot; out goes what to do next. The Lease is valid for a while
//! counted from the moment the last renewal that succeeded was *sent*: everybody else counts from a later one.
//!
//! An answer that is lost says nothing: the renewal may have been applied or not. So all that was written since the
//! last one that was acknowledged is kept, and a Lease that reads like one of these is still ours. Anything else
//! there, or nothing, is the end: it was taken, edited or deleted.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::record::{Record, Spec};
use super::terms::Terms;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing before that time.
    Wait(Duration),
    /// Renew.
    Renew,
    /// Look at it: somebody has changed it, or an answer was lost.
    Look,
    /// It is over.
    Lost(Loss),
}

/// Why it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Its time ran out before it could be renewed; why it could not, if that is known.
    RanOut(Option<String>),
    /// Somebody deleted it.
    Deleted,
    /// Somebody else is in it.
    Taken(String),
    /// Somebody changed what it says.
    Edited,
}

/// A Lease that is ours.
#[derive(Clone, Debug)]
pub(super) struct Tenure {
    terms: Terms,
    record: Record,
    /// What the server may have, if the Lease is still ours.
    written: Vec<Spec>,
    valid_until: Duration,
    act_at: Duration,
    must_look: bool,
    failure: Option<String>,
}

impl Tenure {
    /// It has just been taken, by a call that was sent then.
    pub(super) fn new(terms: Terms, record: Record, sent: Duration) -> Self {
        let written = vec![record.spec.clone()];
        let (valid_until, act_at) = (sent + terms.validity(), sent + terms.renewal());
        Self { terms, record, written, valid_until, act_at, must_look: false, failure: None }
    }

    /// Until then it is ours, in time since boot.
    pub(super) fn valid_until(&self) -> Duration {
        self.valid_until
    }

    /// The version that is to be replaced or deleted.
    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    /// What to do now.
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

    /// Why it could not be renewed lately, when it could not.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.clone()
    }

    /// The object to send for a renewal, when the server's clock says so.
    pub(super) fn renewal(&mut self, server: Option<SystemTime>) -> Value {
        let object = self.record.renewed(server);
        self.written.push(Spec::read(&object["spec"]));
        object
    }

    /// A renewal that was sent then succeeded.
    pub(super) fn renewed(&mut self, sent: Duration, record: Record) {
        self.written = vec![record.spec.clone()];
        self.record = record;
        self.valid_until = self.valid_until.max(sent + self.terms.validity());
        self.act_at = sent + self.terms.renewal();
        self.failure = None;
    }

    /// The server has another version than ours, or none.
    pub(super) fn refused(&mut self, now: Duration) {
        self.must_look = true;
        self.act_at = now;
    }

    /// A call failed: whether it did anything is not known.
    pub(super) fn failed(&mut self, now: Duration, why: String) {
        self.failure = Some(why);
        self.act_at = now + self.terms.retry();
    }

    /// What a look showed.
    pub(super) fn seen(&mut self, now: Duration, found: Option<Record>) -> Result<(), Loss> {
        let Some(found) = found else { return Err(Loss::Deleted) };
        if found.uid != self.record.uid || !self.written.contains(&found.spec) {
            let is_ours = found.spec.holder == self.record.spec.holder && found.uid == self.record.uid;
            return Err(if is_ours { Loss::Edited } else { Loss::Taken(found.spec.holder) });
        }
        // Validity is not extended: when what is there was sent is for the next renewal to say.
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
    fn tenure() -> Tenure {
        let spec = json!({ "holderIdentity": "us", "leaseDurationSeconds": 30 });
        let object = stored(json!({ "spec": spec }), 1).renewed(server(100));
        Tenure::new(Terms::new(seconds(30)), stored(object, 1), seconds(100))
    }

    #[test]
    fn validity_counts_from_when_the_last_success_was_sent() {
        let mut tenure = tenure();
        assert_eq!(tenure.next(seconds(109)), Next::Wait(seconds(110)));
        assert_eq!(tenure.next(seconds(110)), Next::Renew);
        let object = tenure.renewal(server(110));
        tenure.renewed(seconds(110), stored(object, 2)); // However late the answer was.
        assert_eq!(tenure.next(seconds(119)), Next::Wait(seconds(120)));
        assert_eq!(tenure.valid_until(), seconds(137));
        assert_eq!(tenure.next(seconds(137)), Next::Lost(Loss::RanOut(None)));
    }

    #[test]
    fn what_fails_is_tried_again_until_validity_ends() {
        let mut tenure = tenure();
        for at in 110..127 {
            assert_eq!(tenure.next(seconds(at)), Next::Renew);
            tenure.renewal(server(at));
            tenure.failed(seconds(at), "nobody answers".into());
        }
        assert_eq!(tenure.next(seconds(127)), Next::Lost(Loss::RanOut(Some("nobody answers".into()))));
    }

    #[test]
    fn a_renewal_whose_answer_was_lost_is_recognised_and_extends_nothing() {
        let mut tenure = tenure();
        let applied = tenure.renewal(server(110));
        tenure.failed(seconds(111), "the answer was lost".into());
        tenure.renewal(server(112));
        tenure.refused(seconds(112));
        assert_eq!(tenure.next(seconds(112)), Next::Look);
        assert_eq!(tenure.seen(seconds(112), Some(stored(applied, 2))), Ok(()));
        assert_eq!((tenure.valid_until(), tenure.record().version.as_str()), (seconds(127), "2"));
        assert_eq!(tenure.next(seconds(112)), Next::Renew);
    }

    #[test]
    fn a_label_that_somebody_adds_is_no_loss_and_stays() {
        let mut tenure = tenure();
        let mut object = tenure.renewal(server(100));
        object["metadata"]["labels"] = json!({ "team": "storage" });
        tenure.refused(seconds(110));
        assert_eq!(tenure.seen(seconds(110), Some(stored(object, 5))), Ok(()));
        assert_eq!(tenure.renewal(server(110))["metadata"]["labels"]["team"], "storage");
    }

    #[test]
    fn what_was_deleted_taken_made_anew_or_edited_is_lost() {
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut tenure = tenure();
            let mut object = tenure.renewal(server(100));
            object["metadata"] = json!({ "uid": "u", "resourceVersion": "7" });
            change(&mut object);
            tenure.seen(seconds(110), Record::read(object))
        };
        assert_eq!(
            changed(&|object| object["spec"]["holderIdentity"] = "them".into()),
            Err(Loss::Taken("them".into()))
        );
        assert_eq!(changed(&|object| object["metadata"]["uid"] = "v".into()), Err(Loss::Taken("us".into())));
        assert_eq!(changed(&|object| object["spec"]["leaseDurationSeconds"] = 5.into()), Err(Loss::Edited));
        assert_eq!(changed(&|object| object["metadata"] = json!({})), Err(Loss::Deleted));
        assert_eq!(changed(&|_| ()), Ok(()));
    }
}
