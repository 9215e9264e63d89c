//! The way to the ledger: a few connections, each question with a bound.
//!
//! The clients block, so that a question is put on a thread of its own, over a connection that an earlier one
//! left or over a new one. Who asks waits for a place and for the answer, no longer than agreed. A thread that
//! is not waited for any more keeps its place until the client's own timeout ends it: a database that hangs
//! has [`PLACES`] threads for searches, as many for all else, and no more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use crate::ledger::{DbError, Dsn, Reader, Reason as _};
use crate::model::Escaped;

/// Questions that are asked at once: searches through paths, which take seconds, and as many others beside them.
const PLACES: usize = 2;

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
    #[error("what was in the database is gone: it is another one, or its file is missing")]
    Gone,
    /// Nothing is known of the database: it was not asked.
    #[error("too many ask at once")]
    Busy,
}

/// Which places a question takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Search,
    Other,
}

/// One ledger.
pub(super) struct Database {
    dsn: Dsn,
    searches: Arc<Semaphore>,
    others: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Reader>>>,
    /// There were tables once.
    had_tables: Arc<AtomicBool>,
    /// So that each change is told once.
    is_away: AtomicBool,
    was_reached: AtomicBool,
}

impl Database {
    pub(super) fn new(dsn: Dsn) -> Self {
        let places = || Arc::new(Semaphore::new(PLACES));
        Self {
            dsn,
            searches: places(),
            others: places(),
            idle: Arc::default(),
            had_tables: Arc::default(),
            is_away: AtomicBool::new(false),
            was_reached: AtomicBool::new(false),
        }
    }

    /// Whether it has answered since the start.
    pub(super) fn was_reached(&self) -> bool {
        self.was_reached.load(Ordering::Relaxed)
    }

    /// The file that is not there yet, where it is one that is waited for.
    pub(super) fn missing(&self) -> Option<String> {
        let Dsn::Sqlite(path) = &self.dsn else { return None };
        (!path.exists()).then(|| path.to_string_lossy().into_owned())
    }

    /// Asks what is answered at once. Nothing: there are no tables yet. `work` is done once more where the connection had ended unnoticed.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Reader) -> Result<T, DbError> + Send + 'static,
    ) -> Result<Option<T>, Away> {
        self.ask_in(Turn::Other, work).await
    }

    /// The same for what may take its time.
    pub(super) async fn ask_in<T: Send + 'static>(
        &self,
        turn: Turn,
        work: impl Fn(&mut Reader) -> Result<T, DbError> + Send + 'static,
    ) -> Result<Option<T>, Away> {
        let place = self.place(turn).await?;
        let asked = self.ask_from(place, work).await;
        let (answer, reason) = match asked {
            Ok(answer) => (Ok(answer), String::new()),
            Err((away, reason)) => (Err(away), reason),
        };
        self.tell(answer.as_ref().err().copied(), &reason);
        answer
    }

    async fn place(&self, turn: Turn) -> Result<OwnedSemaphorePermit, Away> {
        let places = if turn == Turn::Search { &self.searches } else { &self.others };
        timeout(TURN, Arc::clone(places).acquire_owned()).await.ok().and_then(Result::ok).ok_or(Away::Busy)
    }

    async fn ask_from<T: Send + 'static>(
        &self,
        place: OwnedSemaphorePermit,
        work: impl Fn(&mut Reader) -> Result<T, DbError> + Send + 'static,
    ) -> Result<Option<T>, (Away, String)> {
        let late = |_| (Away::Late, format!("no answer within {} s", ANSWER.as_secs()));
        let (tell, told) = oneshot::channel();
        let (dsn, idle, had_tables) =
            (self.dsn.clone(), Arc::clone(&self.idle), Arc::clone(&self.had_tables));
        let thread = thread::Builder::new().name("ledger".into()).spawn(move || {
            let answer = answer(&dsn, &idle, &had_tables, work);
            drop(place); // Before the answer is told: who has it may ask again at once.
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

/// Over a connection that was left, or a new one. What an old one refuses a new one may not: tables may have changed.
fn answer<T>(
    dsn: &Dsn,
    idle: &Mutex<Vec<Reader>>,
    had_tables: &AtomicBool,
    work: impl Fn(&mut Reader) -> Result<T, DbError>,
) -> Result<Option<T>, (Away, DbError)> {
    if let Some(mut reader) = kept(dsn, idle) {
        match work(&mut reader) {
            // The others are as old.
            Err(error) if error.is_lost() => idle.lock().unwrap_or_else(PoisonError::into_inner).clear(),
            Err(error) if error.is_refused() => {}
            result => return ended(idle, reader, result),
        }
    }
    let opened = Reader::open(dsn, QUERY).map_err(|error| (Away::Unreachable, error))?;
    let Some(mut reader) = opened else {
        let gone = had_tables.load(Ordering::Relaxed).then(DbError::gone);
        return gone.map_or(Ok(None), |error| Err((Away::Gone, error)));
    };
    had_tables.store(true, Ordering::Relaxed);
    let result = work(&mut reader);
    ended(idle, reader, result)
}

/// A connection that was left and leads where a new one would.
fn kept(dsn: &Dsn, idle: &Mutex<Vec<Reader>>) -> Option<Reader> {
    let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
    idle.retain(|reader| reader.is_current(dsn));
    idle.pop()
}

/// Leaves the connection to the next one, if it is of any use.
fn ended<T>(
    idle: &Mutex<Vec<Reader>>,
    reader: Reader,
    result: Result<T, DbError>,
) -> Result<Option<T>, (Away, DbError)> {
    match result {
        Err(error) if error.is_lost() => Err((Away::Unreachable, error)),
        Err(error) if error.is_refused() => Err((Away::Refused, error)),
        result => {
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
            result.map(Some).map_err(|error| (Away::Refused, error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_leave_places_to_all_else() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let database = Database::new(Dsn::None);
            let _searching =
                [database.place(Turn::Search).await.unwrap(), database.place(Turn::Search).await.unwrap()];
            assert_eq!(database.place(Turn::Search).await.err(), Some(Away::Busy));
            assert!(database.place(Turn::Other).await.is_ok());
            assert!(!database.is_away.load(Ordering::Relaxed));
        });
    }
}
