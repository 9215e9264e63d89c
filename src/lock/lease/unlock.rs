//! Removing a Lease by hand, when its holder is certainly gone.

use std::time::{Duration, SystemTime};

use super::acquiring::is_fresh;
use super::api::{Answer, Api};
use super::record::Record;
use super::terms::Terms;
use super::{CallError, Holder, LeaseChoice, LeaseError, lease_name, no_thread};

/// How long a call may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// A way to the Lease that is to be removed.
pub struct Unlock {
    api: Api,
    choice: LeaseChoice,
    name: String,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    record: Record,
    /// Who holds it.
    pub holder: Holder,
    /// When it was last renewed, in the API server's clock.
    pub renewed: Option<SystemTime>,
    /// How long that is ago.
    pub age: Option<Duration>,
    /// After so long without a renewal it counts as stale.
    pub duration: Option<Duration>,
    /// Whether its holder seems to be alive: it was renewed within its duration, or that can't be told.
    pub is_fresh: bool,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Gone,
    /// It was renewed, or taken, since it was looked at: it is still there.
    Changed,
}

impl Unlock {
    /// Nothing is asked yet.
    pub fn new(choice: &LeaseChoice, pair: &str) -> Result<Self, LeaseError> {
        let name = lease_name(pair);
        let api = Api::new(choice.way, &choice.namespace, &name, ANSWERED_WITHIN);
        Ok(Self { api: api.map_err(|error| no_thread(&error))?, choice: choice.clone(), name })
    }

    /// Looks; nothing: there is none.
    pub fn look(&mut self) -> Result<Option<Found>, LeaseError> {
        let Answer { value, stamp } = self.api.get().map_err(|error| self.explain("get", error))?;
        let terms = Terms::new(self.choice.duration);
        Ok(value.map(|record| {
            let renewed = record.spec.renewed;
            Found {
                holder: record.holder(),
                renewed,
                age: stamp
                    .date
                    .zip(renewed)
                    .map(|(date, renewed)| date.duration_since(renewed).unwrap_or_default()),
                duration: record.spec.duration,
                is_fresh: is_fresh(&record, stamp.date, terms),
                record,
            }
        }))
    }

    /// Removes what was found, and nothing else.
    pub fn remove(&mut self, found: &Found) -> Result<Removed, LeaseError> {
        match self.api.delete(&found.record) {
            Ok(_) | Err(CallError::NotFound(_)) => Ok(Removed::Gone),
            Err(CallError::Conflict(_)) => Ok(Removed::Changed),
            Err(error) => Err(self.explain("delete", error)),
        }
    }

    /// Has to come at the end: what does not answer is not waited for.
    pub fn finish(self) {
        self.api.finish();
    }

    fn explain(&self, verb: &'static str, error: CallError) -> LeaseError {
        LeaseError::of(verb, (&self.choice.namespace, &self.name), error, ANSWERED_WITHIN)
    }
}
