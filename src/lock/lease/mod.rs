//! The Lease of a pair: a `coordination.k8s.io/v1` object that one process at a time is written into.
//!
//! Two pure machines decide, [`acquiring`] and [`tenure`]; [`heartbeat`] carries out what they say, on a thread of its
//! own, so that a worker that hangs in a file system never keeps the Lease from being renewed. The run sees a [`Lease`] that it asked for, and hears by its
//! [`Stop`] when it is over: for how long changes may be begun is written there with every renewal.

mod acquiring;
mod api;
mod clock;
mod heartbeat;
mod record;
#[cfg(test)]
mod simulation;
mod tenure;
mod terms;
mod unlock;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

pub use self::api::Way;
use self::api::{Api, CallError};
use self::heartbeat::{Begun, End, Heartbeat, Known};
use self::record::Claim;
use self::tenure::Loss;
pub use self::terms::SHORTEST;
use self::terms::Terms;
pub use self::unlock::{Found, Removed, Unlock};
use super::{Holder, host};
use crate::stop::Stop;

/// How often one who waits for the thread asks whether to go on.
const POLL: Duration = Duration::from_millis(20);

/// Giving the Lease back takes no longer than this: Kubernetes kills after a while (30 s, 60 in our manifests), and
/// much else has to fit in there.
const RELEASE: Duration = Duration::from_secs(5);

/// So much longer is waited for what has a bound of its own.
const GRACE: Duration = Duration::from_millis(500);

/// Which Lease, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseChoice {
    /// How the API server is found.
    pub way: Way,
    /// The Lease's namespace.
    pub namespace: String,
    /// After this long without a renewal others take it over.
    pub duration: Duration,
}

/// Who wants it.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// The pair's name.
    pub pair: &'a str,
    /// Label of the direction.
    pub direction: &'a str,
    /// The run.
    pub run_id: &'a str,
}

/// A Lease that is ours, as long as nothing else is told.
#[derive(Debug)]
pub struct Lease {
    name: String,
    ends: Sender<End>,
    ended: Receiver<Result<(), String>>,
    known: Arc<Mutex<Known>>,
}

/// How asking for it went.
#[derive(Debug)]
pub enum AskedForLease {
    /// It is ours.
    Held(Lease),
    /// Somebody else has it.
    Taken(Holder),
    /// A signal came first.
    Interrupted,
}

/// Why it can't be had, and nobody has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// No configuration, or one that makes no sense.
    #[error("no Lease can be had: {0}")]
    Configuration(String),
    /// A right is missing.
    #[error(
        "the Lease {name} in the namespace {namespace}: may not {verb} it ({said}). Who runs this needs a Role there with this rule \
         (deploy/rbac.yaml has it, with its binding):\n\n  - apiGroups: [coordination.k8s.io]\n    resources: [leases]\n    \
         verbs: [create, get, update, delete]\n"
    )]
    Forbidden {
        /// What was tried.
        verb: &'static str,
        /// On which Lease.
        name: String,
        /// Where.
        namespace: String,
        /// The API server's own words.
        said: String,
    },
    /// No API server could be used for some time.
    #[error("no Lease can be had, tried for {:.0} s: {why}. Nothing was touched", tried.as_secs_f64())]
    Unreachable {
        /// For how long it was tried.
        tried: Duration,
        /// What came of the last attempt.
        why: String,
    },
}

impl LeaseError {
    /// What a call with that verb on the Lease (namespace, name) has come to, after that time.
    fn of(verb: &'static str, (namespace, name): (&str, &str), error: CallError, tried: Duration) -> Self {
        match error {
            // What the authorizer says; a quota, or a namespace that is being removed, forbids in other words.
            CallError::Forbidden(said) if said.contains(&format!(" cannot {verb} ")) => {
                Self::Forbidden { verb, name: name.to_owned(), namespace: namespace.to_owned(), said }
            }
            CallError::NotFound(said) if verb != "get" => Self::Configuration(format!(
                "the namespace {namespace} cannot be used ({said}). Create it, or give another one with --namespace"
            )),
            CallError::NoAnswer(why) => Self::Unreachable { tried, why },
            other => Self::Configuration(other.to_string()),
        }
    }

    /// Whether it is for the user to put right, and not for time.
    pub fn is_configuration(&self) -> bool {
        !matches!(self, Self::Unreachable { .. })
    }
}

/// The name of a pair's Lease.
pub fn lease_name(pair: &str) -> String {
    format!("ha-sync-{pair}")
}

/// Asks for the Lease until it is held, the patience is over or a signal comes.
pub(super) fn acquire(
    choice: &LeaseChoice,
    applicant: Applicant<'_>,
    patience: Duration,
    stop: &Stop,
) -> Result<AskedForLease, LeaseError> {
    let (claim, terms) = (claim(choice, applicant), Terms::new(choice.duration));
    let api = Api::new(choice.way, &choice.namespace, &claim.name, terms.call());
    let api = api.map_err(|error| no_thread(&error))?;
    let ((tell, told), (ends, end), (finish, ended)) = (bounded(1), bounded(1), bounded(1));
    let known = Arc::default();
    let lease = Lease { name: claim.name.clone(), ends, ended, known: Arc::clone(&known) };
    let heartbeat = Heartbeat::new(api, claim, terms, stop, end, known);
    let begun = move || {
        // Nobody listens any more where the run has ended without waiting.
        let _unheard = finish.send(heartbeat.live(patience, &tell));
    };
    thread::Builder::new().name("lease".into()).spawn(begun).map_err(|error| no_thread(&error))?;
    lease.wait(&told, stop)
}

fn no_thread(error: &std::io::Error) -> LeaseError {
    LeaseError::Configuration(format!("its thread cannot be started: {error}"))
}

fn claim(choice: &LeaseChoice, Applicant { pair, direction, run_id }: Applicant<'_>) -> Claim {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let place = variable("POD_NAME").unwrap_or_else(host);
    let job = variable("JOB_NAME").unwrap_or_else(|| std::process::id().to_string());
    let unique = run_id.rsplit('-').next().unwrap_or(run_id);
    Claim {
        name: lease_name(pair),
        namespace: choice.namespace.clone(),
        identity: format!("{place}/{job}/{unique}"),
        duration: choice.duration,
        direction: direction.to_owned(),
        run_id: run_id.to_owned(),
    }
}

impl Lease {
    fn wait(
        self,
        told: &Receiver<Result<Begun, LeaseError>>,
        stop: &Stop,
    ) -> Result<AskedForLease, LeaseError> {
        let mut interrupted: Option<Instant> = None;
        loop {
            let begun = match told.recv_timeout(POLL) {
                Ok(begun) => begun?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(LeaseError::Configuration("internal error: its thread panicked".into()));
                }
                Err(RecvTimeoutError::Timeout) => {
                    if stop.signal().is_some() {
                        let since = interrupted.get_or_insert_with(Instant::now);
                        // A call may be under way that gets it: then it has to be given back.
                        let _hears_it_soon = self.ends.try_send(End::Release);
                        if since.elapsed() > RELEASE + GRACE {
                            self.warn_of_doubt("the API server has not answered in time");
                            return Ok(AskedForLease::Interrupted);
                        }
                    }
                    continue;
                }
            };
            return Ok(match begun {
                Begun::Held if interrupted.is_some() => {
                    match self.ended.recv_timeout(RELEASE + GRACE) {
                        Ok(Ok(())) => {}
                        Ok(Err(why)) => self.warn_of_doubt(&why),
                        Err(_) => self.warn_of_doubt("the API server has not answered in time"),
                    }
                    AskedForLease::Interrupted
                }
                Begun::Held => AskedForLease::Held(self),
                Begun::Taken(holder) => AskedForLease::Taken(holder),
                Begun::Interrupted => AskedForLease::Interrupted,
            });
        }
    }

    /// The signal came while it was asked for, and it may have been got without being given back.
    fn warn_of_doubt(&self, why: &str) {
        tracing::warn!(
            "the Lease {} may be held by this run, which has ended ({why}). It runs out by itself; `ha-sync unlock` removes it \
             at once",
            self.name
        );
    }

    /// Why it is not ours any more.
    pub fn loss(&self) -> String {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let loss = known.loss.clone();
        // A worker may have noticed before the thread did.
        loss.unwrap_or_else(|| Loss::RanOut(known.failure.clone())).to_string()
    }

    /// Deletes it, within a bound. The error says why that did not work.
    pub fn release(self) -> Result<(), String> {
        let said = |why: String| format!("the Lease {} could not be released: {why}", self.name);
        // A thread that is gone says so below.
        let _gone = self.ends.try_send(End::Release);
        match self.ended.recv_timeout(RELEASE) {
            Ok(released) => released.map_err(said),
            Err(RecvTimeoutError::Timeout) => {
                Err(said(format!("no answer within {} s. It runs out by itself", RELEASE.as_secs())))
            }
            Err(RecvTimeoutError::Disconnected) => Err(said("internal error: its thread panicked".into())),
        }
    }
}
