//! The heartbeat: it carries out what the two state machines say, on a thread of its own.
//!
//! First it acquires the Lease. Then it renews the Lease until it is told to release it or the
//! Lease is lost. A short outage of the API server is not reported before validity ends. A lost
//! Lease is not touched: it is another process's.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::acquiring::{Contender, Look, Step};
use super::api::{Api, CallError};
use super::clock::ServerClock;
use super::error::{LeaseError, LeaseName};
use super::held_lease::{HeldLease, Loss, Next};
use super::record::{Claim, Record};
use super::timings::LeaseTimings;
use crate::lock::holder::Holder;
use crate::locked::locked;
use crate::stop::Stop;
use crate::time::since_boot;

/// The longest time that a release of the Lease may take. Kubernetes kills a pod some time after it
/// asked it to end (30 s, 60 s in our manifests), and much else has to fit into that time.
pub(super) const RELEASE: Duration = Duration::from_secs(5);

/// The longest time for which the API server may be out of reach while the Lease is asked for.
const OUTAGE: Duration = Duration::from_secs(20);

/// The time after which the user is told why the Lease takes so long. A second look comes earlier.
const WATCHED_SILENTLY: Duration = Duration::from_secs(20);

/// The time between two attempts to reach the API server, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));

/// What the thread is told to do at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Release the Lease.
    Release,
}

/// What came of acquiring the Lease.
#[derive(Debug)]
pub(super) enum Acquired {
    Held,
    Taken(Holder),
    Interrupted,
}

/// What came of one attempt to acquire the Lease.
enum Attempt {
    Held(HeldLease),
    Taken(Record),
    /// It is not known yet: look again after this time.
    Again(Duration),
}

/// What the run may ask for when the Lease is lost.
#[derive(Debug, Default)]
pub(super) struct LeaseFate {
    /// The reason of the loss, once the thread has found it.
    pub(super) loss: Option<Loss>,
    /// The reason why the last renewal failed. It serves as the reason of the loss if a worker
    /// looks at the clock before the thread does.
    pub(super) failure: Option<String>,
}

/// What the thread owns.
pub(super) struct Heartbeat {
    api: Api,
    claim: Claim,
    timings: LeaseTimings,
    clock: ServerClock,
    stop: Stop,
    ends: Receiver<End>,
    known: Arc<Mutex<LeaseFate>>,
}

impl Heartbeat {
    pub(super) fn new(
        api: Api,
        claim: Claim,
        timings: LeaseTimings,
        stop: &Stop,
        ends: Receiver<End>,
        known: Arc<Mutex<LeaseFate>>,
    ) -> Self {
        Self { api, claim, timings, clock: ServerClock::default(), stop: stop.clone(), ends, known }
    }

    /// The whole life of the thread. Returns the result of the release, and `Ok` if nothing had to
    /// be released.
    pub(super) fn live(
        mut self,
        patience: Duration,
        tell: &Sender<Result<Acquired, LeaseError>>,
    ) -> Result<(), String> {
        let (begun, held_lease) = match self.acquire(patience) {
            Ok(Some(Attempt::Held(held_lease))) => (Ok(Acquired::Held), Some(held_lease)),
            Ok(Some(Attempt::Taken(record))) => (Ok(Acquired::Taken(record.holder())), None),
            Ok(Some(Attempt::Again(_)) | None) => (Ok(Acquired::Interrupted), None),
            Err(error) => (Err(error), None),
        };
        // Nobody listens if a signal came first. The Lease is released all the same.
        let _unheard = tell.send(begun);
        let ended = held_lease.map_or(Ok(()), |held_lease| self.keep(held_lease));
        self.api.finish();
        ended
    }

    /// Acquires the Lease. `None` if the thread was told to end first.
    fn acquire(&mut self, patience: Duration) -> Result<Option<Attempt>, LeaseError> {
        let begun = since_boot();
        let mut contender = Contender::new(&self.claim.identity, self.timings);
        let mut outage: Option<(Duration, Duration)> = None;
        let mut is_told = false;
        loop {
            let pause = match self.attempt(&mut contender) {
                Ok(Attempt::Taken(_)) if since_boot() - begun < patience => {
                    outage = None;
                    self.timings.poll()
                }
                Ok(Attempt::Again(pause)) => {
                    outage = None;
                    if !is_told && since_boot() - begun > WATCHED_SILENTLY.max(patience) {
                        is_told = true;
                        tracing::warn!(
                            "{} does not tell when it was renewed, or the API server not what time it is: it is taken over when \
                             nothing about it has changed for its whole duration",
                            self.claim.name
                        );
                    }
                    pause
                }
                Ok(attempt) => return Ok(Some(attempt)),
                Err((verb, error)) => {
                    let (since, pause) = outage.unwrap_or((since_boot(), BACKOFF.0));
                    let tried = since_boot() - since;
                    if tried > OUTAGE
                        || !matches!(error, CallError::NoAnswer(_) | CallError::Unauthorized(_))
                    {
                        return Err(self.explain(verb, error, tried));
                    }
                    outage = Some((since, (2 * pause).min(BACKOFF.1)));
                    pause
                }
            };
            if !matches!(self.ends.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
                return Ok(None);
            }
        }
    }

    fn attempt(&mut self, contender: &mut Contender) -> Result<Attempt, (&'static str, CallError)> {
        let look = self.api.get().map_err(|error| ("get", error))?;
        self.clock.hear(look.stamp);
        let step = contender.look(Look { record: look.value, stamp: look.stamp });
        if self.stop.signal().is_some() {
            return Ok(Attempt::Again(BACKOFF.0)); // Nobody wants it any more: the end is told by then.
        }
        let now = since_boot();
        let server = self.clock.at_most(now);
        let (verb, taken) = match step {
            Step::Create => ("create", self.api.create(&self.claim.create(server), now)),
            Step::Take(record) => {
                ("update", self.api.replace(&self.claim.take(&record, server), now))
            }
            Step::LookAgain(pause) => return Ok(Attempt::Again(pause)),
            Step::Held(record) => return Ok(Attempt::Taken(record)),
        };
        match taken {
            Ok(answer) => {
                self.clock.hear(answer.stamp);
                let held_lease = HeldLease::new(self.timings, answer.value, answer.stamp.sent);
                if since_boot() >= held_lease.valid_until() {
                    return Ok(Attempt::Again(Duration::ZERO)); // The answer took longer than the Lease holds.
                }
                // `keep` finds out whether the permit is over by now.
                let _over_or_not = self.stop.allow_until(held_lease.valid_until());
                Ok(Attempt::Held(held_lease))
            }
            // Another process was faster.
            Err(CallError::Conflict(_)) => Ok(Attempt::Again(self.timings.retry())),
            Err(CallError::NotFound(_)) if verb == "update" => {
                Ok(Attempt::Again(self.timings.retry()))
            }
            Err(error) => Err((verb, error)),
        }
    }

    fn explain(&self, verb: &'static str, error: CallError, tried: Duration) -> LeaseError {
        let lease = LeaseName { namespace: &self.claim.namespace, name: &self.claim.name };
        LeaseError::of(verb, lease, error, tried)
    }

    /// Keeps the Lease until the end.
    fn keep(&mut self, mut held_lease: HeldLease) -> Result<(), String> {
        loop {
            let now = since_boot();
            let until = match held_lease.next(now) {
                Next::Wait(until) => until,
                Next::Renew => {
                    self.renew(&mut held_lease);
                    now
                }
                Next::Look => match self.look(&mut held_lease) {
                    Ok(()) => now,
                    Err(loss) => return self.lose(loss),
                },
                Next::Lost(loss) => return self.lose(loss),
            };
            self.known().failure = held_lease.failure();
            if self.stop.forbids_changes() {
                // A worker looked at the clock first, and what it found is final.
                return self.lose(Loss::RanOut(held_lease.failure()));
            }
            match self.ends.recv_timeout(until.saturating_sub(since_boot())) {
                Ok(End::Release) => return self.release(held_lease),
                Err(RecvTimeoutError::Timeout) => {}
                // The run has ended without a release.
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn renew(&mut self, held_lease: &mut HeldLease) {
        let now = since_boot();
        let object = held_lease.renewal(self.clock.at_most(now));
        match self.api.replace(&object, now) {
            Ok(answer) => {
                self.clock.hear(answer.stamp);
                held_lease.renewed(answer.stamp.sent, answer.value);
                // The caller finds out whether the permit is over by now.
                let _over_or_not = self.stop.allow_until(held_lease.valid_until());
            }
            Err(CallError::Conflict(_) | CallError::NotFound(_)) => {
                held_lease.refused(since_boot());
            }
            Err(error) => held_lease.failed(since_boot(), error.to_string()),
        }
    }

    fn look(&mut self, held_lease: &mut HeldLease) -> Result<(), Loss> {
        match self.api.get() {
            Ok(answer) => {
                self.clock.hear(answer.stamp);
                held_lease.seen(since_boot(), answer.value)
            }
            Err(error) => {
                held_lease.failed(since_boot(), error.to_string());
                Ok(())
            }
        }
    }

    fn lose(&self, loss: Loss) -> Result<(), String> {
        // The reason has to be known before anybody asks for it.
        self.known().loss.get_or_insert(loss);
        self.stop.forbid_changes();
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, LeaseFate> {
        locked(&self.known)
    }

    /// Deletes the Lease if it is still held. An answer may be lost, and an earlier renewal may
    /// have been applied without an answer.
    fn release(&mut self, mut held_lease: HeldLease) -> Result<(), String> {
        let (begun, mut in_doubt) = (since_boot(), false);
        loop {
            let why = match self.api.delete(held_lease.record()) {
                Ok(_) => return Ok(()),
                Err(CallError::NotFound(_)) if in_doubt => return Ok(()),
                Err(CallError::NotFound(_)) => return Err(Loss::Deleted.to_string()),
                Err(CallError::Conflict(_)) => match self.api.get() {
                    Ok(answer) => match (held_lease.seen(since_boot(), answer.value), in_doubt) {
                        (Ok(()), _) => continue,
                        (Err(Loss::Deleted), true) => return Ok(()),
                        (Err(loss), _) => return Err(loss.to_string()),
                    },
                    Err(error) => error.to_string(),
                },
                Err(error @ CallError::NoAnswer(_)) => {
                    in_doubt = true;
                    error.to_string()
                }
                Err(CallError::Forbidden(said)) => {
                    return Err(self
                        .explain("delete", CallError::Forbidden(said), begun)
                        .to_string());
                }
                Err(error) => error.to_string(),
            };
            if since_boot() - begun > RELEASE {
                return Err(format!("{why}. It runs out by itself"));
            }
            if self.ends.recv_timeout(BACKOFF.0) == Err(RecvTimeoutError::Disconnected) {
                return Err(why);
            }
        }
    }
}
