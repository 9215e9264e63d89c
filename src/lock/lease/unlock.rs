//! The removal of a Lease by hand, when its holder is certainly gone.

use std::time::{Duration, SystemTime};

use super::acquiring::is_fresh;
use super::api::{Answer, Api, CallError};
use super::choice::LeaseChoice;
use super::error::{LeaseError, LeaseName};
use super::record::Record;
use super::timings::LeaseTimings;
use crate::lock::holder::Holder;
use crate::model::lease_name;

/// The longest time that a call may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// A connection to the Lease that is to be removed.
pub struct Unlock {
    api: Api,
    choice: LeaseChoice,
    name: String,
}

/// The Lease that was found.
#[derive(Clone, Debug)]
pub struct FoundLease {
    record: Record,
    /// The holder.
    pub holder: Holder,
    /// The time of the last renewal, by the API server's clock. `None` if the Lease does not tell
    /// it.
    pub renewed: Option<SystemTime>,
    /// The time since the last renewal. `None` if it cannot be told.
    pub age: Option<Duration>,
    /// The time without a renewal after which the Lease counts as stale. `None` if the Lease does
    /// not tell it.
    pub duration: Option<Duration>,
    /// Whether the holder seems to be alive: it has renewed the Lease within the Lease's duration,
    /// or nothing can be told.
    pub is_fresh: bool,
}

/// What came of removing the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// The Lease is gone.
    Gone,
    /// The Lease was renewed or taken since it was looked at. It is still there.
    Changed,
}

impl Unlock {
    /// A connection to the Lease of this pair. No call is made yet.
    pub fn new(choice: &LeaseChoice, pair: &str) -> Result<Self, LeaseError> {
        let name = lease_name(pair);
        let api = Api::new(choice.access, &choice.namespace, &name, ANSWERED_WITHIN);
        let api = api.map_err(|error| LeaseError::no_thread(&error))?;
        Ok(Self { api, choice: choice.clone(), name })
    }

    /// Looks at the Lease. `None` if there is none.
    pub fn look(&mut self) -> Result<Option<FoundLease>, LeaseError> {
        let Answer { value, stamp } = self.api.get().map_err(|error| self.explain("get", error))?;
        let timings = LeaseTimings::new(self.choice.duration);
        Ok(value.map(|record| {
            let renewed = record.spec.renewed;
            FoundLease {
                holder: record.holder(),
                renewed,
                age: stamp
                    .date
                    .zip(renewed)
                    .map(|(date, renewed)| date.duration_since(renewed).unwrap_or_default()),
                duration: record.spec.duration,
                is_fresh: is_fresh(&record, stamp.date, timings),
                record,
            }
        }))
    }

    /// Removes the version that was found, and no other.
    pub fn remove(&mut self, found: &FoundLease) -> Result<Removed, LeaseError> {
        match self.api.delete(&found.record) {
            Ok(_) | Err(CallError::NotFound(_)) => Ok(Removed::Gone),
            Err(CallError::Conflict(_)) => Ok(Removed::Changed),
            Err(error) => Err(self.explain("delete", error)),
        }
    }

    /// Ends the connection, without waiting for calls that have no answer. Has to be called at the
    /// end.
    pub fn finish(self) {
        self.api.finish();
    }

    fn explain(&self, verb: &'static str, error: CallError) -> LeaseError {
        let lease = LeaseName { namespace: &self.choice.namespace, name: &self.name };
        LeaseError::of(verb, lease, error, ANSWERED_WITHIN)
    }
}
