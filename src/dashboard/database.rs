//! Access to the ledger: a few connections, and a time limit for each question.
//!
//! The database clients block. So each question runs on a thread of its own, over a connection that
//! an earlier question left or over a new one. The request waits for a place and for the answer, no
//! longer than agreed. A thread that nobody waits for any more keeps its place until the client's
//! own timeout ends it. So a database that hangs holds at most [`PLACES`] threads for searches and
//! as many for all other questions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use crate::ledger::{DbError, Dsn, Reader, Reason as _};
use crate::locked::locked;
use crate::model::Escaped;

/// How many questions of each [`Lane`] run at the same time. So searches through paths, which take
/// seconds, leave as many places to all other questions.
const PLACES: usize = 2;

/// How long a request waits for a place.
const TURN: Duration = Duration::from_secs(2);

/// How long a request waits for the answer, connecting included.
const ANSWER: Duration = Duration::from_secs(6);

/// How long the database may work on one query. A search sends several, and goes on for 2 s.
const QUERY: Duration = Duration::from_secs(3);

/// Why there is no answer. The database's own words are for the log, not for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unavailable {
    #[error("the database cannot be reached")]
    Unreachable,
    #[error("the database gave no answer: it is busy, or the question takes too long")]
    Refused,
    #[error("the database did not answer in time")]
    Late,
    #[error("what was in the database is gone: it is another one, or its file is missing")]
    Gone,
    /// The database was not asked, so nothing is known of it.
    #[error("too many ask at once")]
    Busy,
}

/// Which of the places a question takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Search,
    Other,
}

/// One ledger.
pub(super) struct Database {
    dsn: Dsn,
    searches: Arc<Semaphore>,
    others: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Reader>>>,
    /// Whether tables were found before.
    had_tables: Arc<AtomicBool>,
    /// Whether the last question failed, so that each change is logged once.
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

    /// Whether the database has answered since the start.
    pub(super) fn was_reached(&self) -> bool {
        self.was_reached.load(Ordering::Relaxed)
    }

    /// The SQLite file that is waited for. `None` if it is there, or the ledger is on a server.
    pub(super) fn missing(&self) -> Option<String> {
        let Dsn::Sqlite(path) = &self.dsn else { return None };
        (!path.exists()).then(|| path.to_string_lossy().into_owned())
    }

    /// Asks a question that is answered at once. `None` if there are no tables yet. `work` runs a
    /// second time, over a new connection, if the old one had ended unnoticed or refused the
    /// question.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Reader) -> Result<T, DbError> + Send + 'static,
    ) -> Result<Option<T>, Unavailable> {
        self.ask_in(Lane::Other, work).await
    }

    /// Like [`Database::ask`], in a lane of choice: a search may take its time.
    pub(super) async fn ask_in<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl Fn(&mut Reader) -> Result<T, DbError> + Send + 'static,
    ) -> Result<Option<T>, Unavailable> {
        let place = self.place(lane).await?;
        let asked = self.ask_from(place, work).await;
        let (answer, reason) = match asked {
            Ok(answer) => (Ok(answer), String::new()),
            Err((unavailable, reason)) => (Err(unavailable), reason),
        };
        self.tell(answer.as_ref().err().copied(), &reason);
        answer
    }

    async fn place(&self, lane: Lane) -> Result<OwnedSemaphorePermit, Unavailable> {
        let places = if lane == Lane::Search { &self.searches } else { &self.others };
        timeout(TURN, Arc::clone(places).acquire_owned())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or(Unavailable::Busy)
    }

    async fn ask_from<T: Send + 'static>(
        &self,
        place: OwnedSemaphorePermit,
        work: impl Fn(&mut Reader) -> Result<T, DbError> + Send + 'static,
    ) -> Result<Option<T>, (Unavailable, String)> {
        let late = |_| (Unavailable::Late, format!("no answer within {} s", ANSWER.as_secs()));
        let (tell, told) = oneshot::channel();
        let (dsn, idle, had_tables) =
            (self.dsn.clone(), Arc::clone(&self.idle), Arc::clone(&self.had_tables));
        let thread = thread::Builder::new().name("ledger".into()).spawn(move || {
            let answer = answer(&dsn, &idle, &had_tables, work);
            drop(place); // Before the answer is sent: whoever has it may ask again at once.
            // Fails if nobody waits any more.
            let _heard = tell.send(answer);
        });
        thread.map_err(|error| {
            (Unavailable::Refused, format!("no thread can be started: {error}"))
        })?;
        match timeout(ANSWER, told).await.map_err(late)? {
            Ok(answer) => answer.map_err(|(unavailable, error)| (unavailable, error.to_string())),
            Err(_) => {
                Err((Unavailable::Refused, "internal error: the ledger's thread panicked".into()))
            }
        }
    }

    fn tell(&self, unavailable: Option<Unavailable>, reason: &str) {
        self.was_reached.fetch_or(unavailable.is_none(), Ordering::Relaxed);
        let was_away = self.is_away.swap(unavailable.is_some(), Ordering::Relaxed);
        match (was_away, unavailable) {
            (false, Some(_)) => {
                tracing::warn!(
                    "no answer from the database {}: {}",
                    self.dsn,
                    Escaped(reason.as_bytes())
                );
            }
            (true, None) => tracing::info!("the database {} answers again", self.dsn),
            _ => {}
        }
    }
}

/// Asks over a kept connection or a new one. What an old connection refuses a new one may not: the
/// tables may have changed.
fn answer<T>(
    dsn: &Dsn,
    idle: &Mutex<Vec<Reader>>,
    had_tables: &AtomicBool,
    work: impl Fn(&mut Reader) -> Result<T, DbError>,
) -> Result<Option<T>, (Unavailable, DbError)> {
    if let Some(mut reader) = kept(dsn, idle) {
        match work(&mut reader) {
            // The other kept connections are as old.
            Err(error) if error.is_lost() => locked(idle).clear(),
            Err(error) if error.is_refused() => {}
            result => return ended(idle, reader, result),
        }
    }
    let opened = Reader::open(dsn, QUERY).map_err(|error| (Unavailable::Unreachable, error))?;
    let Some(mut reader) = opened else {
        let gone = had_tables.load(Ordering::Relaxed).then(DbError::gone);
        return gone.map_or(Ok(None), |error| Err((Unavailable::Gone, error)));
    };
    had_tables.store(true, Ordering::Relaxed);
    let result = work(&mut reader);
    ended(idle, reader, result)
}

/// A kept connection that leads where a new one would.
fn kept(dsn: &Dsn, idle: &Mutex<Vec<Reader>>) -> Option<Reader> {
    let mut idle = locked(idle);
    idle.retain(|reader| reader.is_current(dsn));
    idle.pop()
}

/// Keeps the connection for the next question, if it is still of use.
fn ended<T>(
    idle: &Mutex<Vec<Reader>>,
    reader: Reader,
    result: Result<T, DbError>,
) -> Result<Option<T>, (Unavailable, DbError)> {
    match result {
        Err(error) if error.is_lost() => Err((Unavailable::Unreachable, error)),
        Err(error) if error.is_refused() => Err((Unavailable::Refused, error)),
        result => {
            locked(idle).push(reader);
            result.map(Some).map_err(|error| (Unavailable::Refused, error))
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
            let _searching = [
                database.place(Lane::Search).await.unwrap(),
                database.place(Lane::Search).await.unwrap(),
            ];
            assert_eq!(database.place(Lane::Search).await.err(), Some(Unavailable::Busy));
            assert!(database.place(Lane::Other).await.is_ok());
            assert!(!database.is_away.load(Ordering::Relaxed));
        });
    }
}
