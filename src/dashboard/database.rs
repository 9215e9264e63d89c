//! The way to the ledger: a few connections, each question with a bound.
//!
//! The clients block, so that a question is put on a thread of its own, over a connection that an earlier one
//! left or over a new one. Who asks waits for a place and for the answer, no longer than agreed. A thread that
//! is not waited for any more keeps its place until the client's own timeout ends it: a database that hangs
//! has [`PLACES`] threads and no more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use crate::ledger::{DbError, Dsn, Reader, Reason as _};
use crate::model::Escaped;

/// Questions that are asked at once.
const PLACES: usize = 4;

/// How long one waits for a place.
const TURN: Duration = Duration::from_secs(2);

/// How long one waits for the answer, with connecting.
const ANSWER: Duration = Duration::from_secs(6);

/// How long the database works on one query. A search asks several, and goes on for 2 s.
const QUERY: Duration = Duration::from_secs(3);

/// Why there is no answer. What exactly was said is for the log, not for whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Away {
    #[error("the database cannot be reached")]
    Unreachable,
    #[error("the database gave no answer: it is busy, or the question takes too long")]
    Refused,
    #[error("the database did not answer in time")]
    Late,
}

/// One ledger.
pub(super) struct Database {
    dsn: Dsn,
    places: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Reader>>>,
    /// So that each change is told once.
    is_away: AtomicBool,
    was_reached: AtomicBool,
}

impl Database {
    pub(super) fn new(dsn: Dsn) -> Self {
        let (places, idle) = (Arc::new(Semaphore::new(PLACES)), Arc::default());
        Self { dsn, places, idle, is_away: AtomicBool::new(false), was_reached: AtomicBool::new(false) }
    }

    /// Whether it has answered since the start.
    pub(super) fn was_reached(&self) -> bool {
        self.was_reached.load(Ordering::Relaxed)
    }

    /// Asks. Nothing: there are no tables yet. `work` is done once more where the connection had ended unnoticed.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Reader) -> Result<T, DbError> + Send + 'static,
    ) -> Result<Option<T>, Away> {
        let asked = self.ask_in_turn(work).await;
        let (answer, reason) = match asked {
            Ok(answer) => (Ok(answer), String::new()),
            Err((away, reason)) => (Err(away), reason),
        };
        self.tell(answer.as_ref().err().copied(), &reason);
        answer
    }

    async fn ask_in_turn<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Reader) -> Result<T, DbError> + Send + 'static,
    ) -> Result<Option<T>, (Away, String)> {
        let late = |_| (Away::Late, format!("no answer within {} s", ANSWER.as_secs()));
        let place = timeout(TURN, Arc::clone(&self.places).acquire_owned()).await;
        let place = place
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| (Away::Late, "all connections are in use".into()))?;
        let (tell, told) = oneshot::channel();
        let (dsn, idle) = (self.dsn.clone(), Arc::clone(&self.idle));
        let thread = thread::Builder::new().name("ledger".into()).spawn(move || {
            let answer = answer(&dsn, &idle, work);
            give_back(place);
            // Nobody may wait any more.
            let _heard = tell.send(answer);
        });
        thread.map_err(|error| (Away::Refused, format!("no thread can be started: {error}")))?;
        match timeout(ANSWER, told).await.map_err(late)? {
            Ok(answer) => answer.map_err(|(away, error)| (away, error.to_string())),
            Err(_) => Err((Away::Refused, "internal error: the ledger's thread panicked".into())),
        }
    }

    fn tell(&self, away: Option<Away>, reason: &str) {
        self.was_reached.fetch_or(away.is_none(), Ordering::Relaxed);
        let was_away = self.is_away.swap(away.is_some(), Ordering::Relaxed);
        match (was_away, away) {
            (false, Some(_)) => {
                tracing::warn!("no answer from the database {}: {}", self.dsn, Escaped(reason.as_bytes()));
            }
            (true, None) => tracing::info!("the database {} answers again", self.dsn),
            _ => {}
        }
    }
}

/// Before the answer is told: who has it may ask again at once.
fn give_back(place: OwnedSemaphorePermit) {
    drop(place);
}

/// Over a connection that was left, or a new one.
fn answer<T>(
    dsn: &Dsn,
    idle: &Mutex<Vec<Reader>>,
    work: impl Fn(&mut Reader) -> Result<T, DbError>,
) -> Result<Option<T>, (Away, DbError)> {
    let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
    if let Some(mut reader) = kept {
        match work(&mut reader) {
            // The others are as old.
            Err(error) if error.is_lost() => idle.lock().unwrap_or_else(PoisonError::into_inner).clear(),
            result => return ended(idle, reader, result),
        }
    }
    let opened = Reader::open(dsn, QUERY).map_err(|error| (Away::Unreachable, error))?;
    let Some(mut reader) = opened else { return Ok(None) };
    let result = work(&mut reader);
    ended(idle, reader, result)
}

/// Leaves the connection to the next one, if it is of any use.
fn ended<T>(
    idle: &Mutex<Vec<Reader>>,
    reader: Reader,
    result: Result<T, DbError>,
) -> Result<Option<T>, (Away, DbError)> {
    match result {
        Err(error) if error.is_lost() => Err((Away::Unreachable, error)),
        result => {
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
            result.map(Some).map_err(|error| (Away::Refused, error))
        }
    }
}
