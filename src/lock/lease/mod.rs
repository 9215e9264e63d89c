//! The Lease of a pair: a `coordination.k8s.io/v1` object that names one process at a time as its
//! holder.
//!
//! Two pure state machines decide, [`acquiring`] and [`held_lease`]. [`heartbeat`] carries out what
//! they say, on a thread of its own, so that a worker that hangs in a file system never keeps the
//! Lease from being renewed. The run sees the [`Lease`] that it asked for and learns from its
//! [`Stop`] that the Lease is over: every renewal writes there until when changes may be begun.

mod acquiring;
mod api;
mod choice;
mod clock;
mod error;
mod heartbeat;
mod held_lease;
mod record;
#[cfg(test)]
mod simulation;
mod timings;
mod unlock;

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use self::api::Api;
pub use self::api::ApiAccess;
pub use self::choice::LeaseChoice;
pub use self::error::LeaseError;
use self::heartbeat::{Acquired, End, Heartbeat, LeaseFate, RELEASE};
use self::held_lease::Loss;
use self::record::Claim;
use self::timings::LeaseTimings;
pub use self::timings::SHORTEST;
pub use self::unlock::{FoundLease, Removed, Unlock};
use super::holder::{Holder, host};
use crate::bounded::{Unheard, wait};
use crate::locked::locked;
use crate::model::RunKey;
use crate::stop::Stop;

/// The time between two looks at the signal of a caller that waits for the thread.
const POLL: Duration = Duration::from_millis(20);

/// The time for which the caller waits beyond a bound that the thread keeps by itself.
const GRACE: Duration = Duration::from_millis(500);

/// The run that asks for the Lease.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// Its pair and direction.
    pub key: &'a RunKey,
    /// The run's id.
    pub run_id: &'a str,
}

/// A Lease that this process holds until [`Stop`] forbids changes.
#[derive(Debug)]
pub struct Lease {
    name: String,
    ends: Sender<End>,
    ended: Receiver<Result<(), String>>,
    known: Arc<Mutex<LeaseFate>>,
}

/// What came of asking for the Lease.
#[derive(Debug)]
pub enum AskedForLease {
    /// This process holds it.
    Held(Lease),
    /// Another process holds it.
    Taken(Holder),
    /// A signal came first.
    Interrupted,
}

/// Asks for the Lease until it is held, `patience` is over or a signal comes.
pub(super) fn acquire(
    choice: &LeaseChoice,
    applicant: Applicant<'_>,
    patience: Duration,
    stop: &Stop,
) -> Result<AskedForLease, LeaseError> {
    let (claim, timings) = (claim(choice, applicant), LeaseTimings::new(choice.duration));
    let api = Api::new(choice.access, &choice.namespace, &claim.name, timings.call());
    let api = api.map_err(|error| LeaseError::no_thread(&error))?;
    let ((tell, told), (ends, end), (finish, ended)) = (bounded(1), bounded(1), bounded(1));
    let known = Arc::default();
    let lease = Lease { name: claim.name.clone(), ends, ended, known: Arc::clone(&known) };
    let heartbeat = Heartbeat::new(api, claim, timings, stop, end, known);
    let begun = move || {
        // Nobody listens any more if the run has ended without waiting.
        let _unheard = finish.send(heartbeat.live(patience, &tell));
    };
    let spawned = thread::Builder::new().name("lease".into()).spawn(begun);
    spawned.map_err(|error| LeaseError::no_thread(&error))?;
    lease.wait(&told, stop)
}

fn claim(choice: &LeaseChoice, Applicant { key, run_id }: Applicant<'_>) -> Claim {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let place = variable("POD_NAME").unwrap_or_else(host);
    let job = variable("JOB_NAME").unwrap_or_else(|| std::process::id().to_string());
    let unique = run_id.rsplit('-').next().unwrap_or(run_id);
    Claim {
        name: key.lease_name(),
        namespace: choice.namespace.clone(),
        identity: format!("{place}/{job}/{unique}"),
        duration: choice.duration,
        direction: key.direction.clone(),
        run_id: run_id.to_owned(),
    }
}

impl Lease {
    fn wait(
        self,
        told: &Receiver<Result<Acquired, LeaseError>>,
        stop: &Stop,
    ) -> Result<AskedForLease, LeaseError> {
        let mut interrupted: Option<Instant> = None;
        let waited = wait(told, || {
            if stop.signal().is_some() {
                let since = interrupted.get_or_insert_with(Instant::now);
                // A call that acquires it may be under way. Then it has to be released.
                let _hears_it_soon = self.ends.try_send(End::Release);
                if since.elapsed() > RELEASE + GRACE {
                    return Err(());
                }
            }
            Ok(POLL)
        });
        let begun = match waited {
            Ok(begun) => begun?,
            Err(Unheard::Panicked) => {
                let said = "internal error: its thread panicked";
                return Err(LeaseError::Configuration(said.into()));
            }
            Err(Unheard::Over(())) => {
                self.warn_of_doubt("the API server has not answered in time");
                return Ok(AskedForLease::Interrupted);
            }
        };
        Ok(match begun {
            Acquired::Held if interrupted.is_some() => {
                match self.ended.recv_timeout(RELEASE + GRACE) {
                    Ok(Ok(())) => {}
                    Ok(Err(why)) => self.warn_of_doubt(&why),
                    Err(_) => self.warn_of_doubt("the API server has not answered in time"),
                }
                AskedForLease::Interrupted
            }
            Acquired::Held => AskedForLease::Held(self),
            Acquired::Taken(holder) => AskedForLease::Taken(holder),
            Acquired::Interrupted => AskedForLease::Interrupted,
        })
    }

    /// Warns that the Lease may be held: the signal came while it was asked for, so it may have
    /// been acquired and not released.
    fn warn_of_doubt(&self, why: &str) {
        tracing::warn!(
            "the Lease {} may be held by this run, which has ended ({why}). It runs out by itself; `ha-sync unlock` removes it \
             at once",
            self.name
        );
    }

    /// The reason why the Lease is not held any more.
    pub fn loss(&self) -> String {
        let known = locked(&self.known);
        let loss = known.loss.clone();
        // A worker may have noticed the end before the thread did.
        loss.unwrap_or_else(|| Loss::RanOut(known.failure.clone())).to_string()
    }

    /// Deletes the Lease, within a bound. The error is a message: why that did not work.
    pub fn release(self) -> Result<(), String> {
        let said = |why: String| format!("the Lease {} could not be released: {why}", self.name);
        // If the thread is gone, the receive below tells.
        let _gone = self.ends.try_send(End::Release);
        match self.ended.recv_timeout(RELEASE) {
            Ok(released) => released.map_err(said),
            Err(RecvTimeoutError::Timeout) => Err(said(format!(
                "no answer within {} s. It runs out by itself",
                RELEASE.as_secs()
            ))),
            Err(RecvTimeoutError::Disconnected) => {
                Err(said("internal error: its thread panicked".into()))
            }
        }
    }
}
