//! The heartbeat: carries out what the two machines say, on a thread of its own.
//!
//! First it gets the Lease, then it renews it until it is told how to end or the Lease is lost. A short outage is
//! nobody's business: nothing is said before validity ends. A lost Lease is left alone, it is somebody else's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::acquiring::{Contender, Look, Step};
use super::api::{Api, CallError};
use super::clock::ServerClock;
use super::record::{Claim, Record};
use super::tenure::{Loss, Next, Tenure};
use super::terms::Terms;
use super::{Holder, LeaseError};
use crate::stop::Stop;
use crate::time::since_boot;

/// For so long the API server may be out of reach while the Lease is asked for.
const OUTAGE: Duration = Duration::from_secs(20);

/// A second look comes within this time, whoever waits for longer is told why.
const WATCHED_SILENTLY: Duration = Duration::from_secs(20);

/// Between two attempts to reach it, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));

/// How to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Give the Lease back.
    Release,
}

/// How it began.
#[derive(Debug)]
pub(super) enum Begun {
    Held,
    Taken(Holder),
    Interrupted,
}

/// How one attempt to get it went.
enum Attempt {
    Held(Tenure),
    Taken(Record),
    /// Nothing is known yet.
    Again(Duration),
}

/// What the run may ask for when it is over.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Why it is lost, when the thread has found that out.
    pub(super) loss: Option<Loss>,
    /// Why the last renewal failed: a worker may look at the clock before the thread does.
    pub(super) failure: Option<String>,
}

/// The thread's own.
pub(super) struct Heartbeat {
    api: Api,
    claim: Claim,
    terms: Terms,
    clock: ServerClock,
    stop: Stop,
    ends: Receiver<End>,
    known: Arc<Mutex<Known>>,
}

impl Heartbeat {
    pub(super) fn new(
        api: Api,
        claim: Claim,
        terms: Terms,
        stop: &Stop,
        ends: Receiver<End>,
        known: Arc<Mutex<Known>>,
    ) -> Self {
        Self { api, claim, terms, clock: ServerClock::default(), stop: stop.clone(), ends, known }
    }

    /// The thread's life. Returns how giving the Lease back went, if it came to that.
    pub(super) fn live(
        mut self,
        patience: Duration,
        tell: &Sender<Result<Begun, LeaseError>>,
    ) -> Result<(), String> {
        let (begun, tenure) = match self.acquire(patience) {
            Ok(Some(Attempt::Held(tenure))) => (Ok(Begun::Held), Some(tenure)),
            Ok(Some(Attempt::Taken(record))) => (Ok(Begun::Taken(record.holder())), None),
            Ok(Some(Attempt::Again(_)) | None) => (Ok(Begun::Interrupted), None),
            Err(error) => (Err(error), None),
        };
        // Nobody listens where a signal came first; the Lease is given back all the same.
        let _unheard = tell.send(begun);
        let ended = tenure.map_or(Ok(()), |tenure| self.keep(tenure));
        self.api.finish();
        ended
    }

    /// Nothing: it was told to end first.
    fn acquire(&mut self, patience: Duration) -> Result<Option<Attempt>, LeaseError> {
        let begun = since_boot();
        let mut contender = Contender::new(&self.claim.identity, self.terms);
        let mut outage: Option<(Duration, Duration)> = None;
        let mut is_told = false;
        loop {
            let pause = match self.attempt(&mut contender) {
                Ok(Attempt::Taken(_)) if since_boot() - begun < patience => {
                    outage = None;
                    self.terms.poll()
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
                    if tried > OUTAGE || !matches!(error, CallError::NoAnswer(_) | CallError::Unauthorized(_))
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
            return Ok(Attempt::Again(BACKOFF.0)); // Nobody wants it any more, which is told by then.
        }
        let now = since_boot();
        let server = self.clock.at_most(now);
        let (verb, taken) = match step {
            Step::Create => ("create", self.api.create(&self.claim.create(server), now)),
            Step::Take(record) => ("update", self.api.replace(&self.claim.take(&record, server), now)),
            Step::LookAgain(pause) => return Ok(Attempt::Again(pause)),
            Step::Held(record) => return Ok(Attempt::Taken(record)),
        };
        match taken {
            Ok(answer) => {
                self.clock.hear(answer.stamp);
                let tenure = Tenure::new(self.terms, answer.value, answer.stamp.sent);
                if since_boot() >= tenure.valid_until() {
                    return Ok(Attempt::Again(Duration::ZERO)); // The answer took longer than the Lease holds.
                }
                // If it is over in this moment, that is seen when it is to be kept.
                let _over_or_not = self.stop.allow_until(tenure.valid_until());
                Ok(Attempt::Held(tenure))
            }
            // Somebody was faster.
            Err(CallError::Conflict(_)) => Ok(Attempt::Again(self.terms.retry())),
            Err(CallError::NotFound(_)) if verb == "update" => Ok(Attempt::Again(self.terms.retry())),
            Err(error) => Err((verb, error)),
        }
    }

    fn explain(&self, verb: &'static str, error: CallError, tried: Duration) -> LeaseError {
        LeaseError::of(verb, (&self.claim.namespace, &self.claim.name), error, tried)
    }

    /// Keeps it until the end.
    fn keep(&mut self, mut tenure: Tenure) -> Result<(), String> {
        loop {
            let now = since_boot();
            let until = match tenure.next(now) {
                Next::Wait(until) => until,
                Next::Renew => {
                    self.renew(&mut tenure);
                    now
                }
                Next::Look => match self.look(&mut tenure) {
                    Ok(()) => now,
                    Err(loss) => return self.lose(loss),
                },
                Next::Lost(loss) => return self.lose(loss),
            };
            self.known().failure = tenure.failure();
            if self.stop.forbids_changes() {
                // A worker's look at the clock came first: that is final.
                return self.lose(Loss::RanOut(tenure.failure()));
            }
            match self.ends.recv_timeout(until.saturating_sub(since_boot())) {
                Ok(End::Release) => return self.release(tenure),
                Err(RecvTimeoutError::Timeout) => {}
                // The run has ended without it.
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn renew(&mut self, tenure: &mut Tenure) {
        let now = since_boot();
        let object = tenure.renewal(self.clock.at_most(now));
        match self.api.replace(&object, now) {
            Ok(answer) => {
                self.clock.hear(answer.stamp);
                tenure.renewed(answer.stamp.sent, answer.value);
                // Whether it was over meanwhile is looked at by who calls.
                let _over_or_not = self.stop.allow_until(tenure.valid_until());
            }
            Err(CallError::Conflict(_) | CallError::NotFound(_)) => tenure.refused(since_boot()),
            Err(error) => tenure.failed(since_boot(), error.to_string()),
        }
    }

    fn look(&mut self, tenure: &mut Tenure) -> Result<(), Loss> {
        match self.api.get() {
            Ok(answer) => {
                self.clock.hear(answer.stamp);
                tenure.seen(since_boot(), answer.value)
            }
            Err(error) => {
                tenure.failed(since_boot(), error.to_string());
                Ok(())
            }
        }
    }

    fn lose(&self, loss: Loss) -> Result<(), String> {
        // Known before anybody asks why.
        self.known().loss.get_or_insert(loss);
        self.stop.forbid_changes();
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deletes it, if it is ours. An answer may be lost, and a renewal of before may have been applied.
    fn release(&mut self, mut tenure: Tenure) -> Result<(), String> {
        let (begun, mut in_doubt) = (since_boot(), false);
        loop {
            let why = match self.api.delete(tenure.record()) {
                Ok(_) => return Ok(()),
                Err(CallError::NotFound(_)) if in_doubt => return Ok(()),
                Err(CallError::NotFound(_)) => return Err(Loss::Deleted.to_string()),
                Err(CallError::Conflict(_)) => match self.api.get() {
                    Ok(answer) => match (tenure.seen(since_boot(), answer.value), in_doubt) {
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
                    return Err(self.explain("delete", CallError::Forbidden(said), begun).to_string());
                }
                Err(error) => error.to_string(),
            };
            if since_boot() - begun > super::RELEASE {
                return Err(format!("{why}. It runs out by itself"));
            }
            if self.ends.recv_timeout(BACKOFF.0) == Err(RecvTimeoutError::Disconnected) {
                return Err(why);
            }
        }
    }
}
