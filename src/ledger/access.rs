//! The way to the ledger: calls with a bound, whatever the database does.
//!
//! A call gives its work to a thread and waits for it, but no longer than agreed, and less where the user
//! wants the run to end. A thread that is not waited for any more keeps its connection, ends when one of the
//! timeouts in there does, and has nobody to tell. The next call opens a connection of its own.

use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::database::{DbError, ErrorKind};
use super::flush::FlushError;
use super::{Dsn, Ledger};
use crate::stop::Stop;

/// Connecting, logging in and looking at the tables, together.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How often one who waits asks whether to go on.
const POLL: Duration = Duration::from_millis(20);

/// The way to one ledger.
pub struct Access {
    dsn: Dsn,
    /// Open since an earlier call.
    ledger: Option<Ledger>,
    stop: Stop,
    /// How long a call goes on when a signal asked for the end.
    after_signal: Duration,
}

/// Something that is being done while its caller does something else.
pub struct Background {
    /// Dropped when it is not wanted any more.
    wanted: Sender<()>,
    done: Receiver<Option<Ledger>>,
    begun: Instant,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no way to the database.
    #[error("{0}")]
    Unreachable(String),
    /// There was one, and then this.
    #[error("{0}")]
    Refused(String),
    /// It took longer than agreed.
    #[error("no answer within {:.0} s", _0.as_secs_f64())]
    OutOfTime(Duration),
    /// A signal asked for the end.
    #[error("interrupted")]
    Interrupted,
}

/// What a piece of work may say instead of a result.
pub trait Reason: Send + std::fmt::Display + 'static {
    /// Whether the connection is of no use any more.
    fn is_lost(&self) -> bool;
}

impl Reason for DbError {
    fn is_lost(&self) -> bool {
        self.kind == ErrorKind::Lost
    }
}

impl Reason for FlushError {
    fn is_lost(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_lost())
    }
}

impl Access {
    /// Connects when it is first called. Work goes on for so long after a signal.
    pub fn new(dsn: Dsn, stop: &Stop, after_signal: Duration) -> Self {
        Self { dsn, ledger: None, stop: stop.clone(), after_signal }
    }

    /// Where it goes.
    pub fn dsn(&self) -> &Dsn {
        &self.dsn
    }

    /// From now on work goes on for so long after a signal.
    pub fn set_after_signal(&mut self, after_signal: Duration) {
        self.after_signal = after_signal;
    }

    /// Has work done, within [`CONNECT_LIMIT`] where the connection has to be made first, and the limit.
    pub fn call<T: Send + 'static, R: Reason>(
        &mut self,
        limit: Duration,
        work: impl FnOnce(&mut Ledger) -> Result<T, R> + Send + 'static,
    ) -> Result<T, Failure> {
        let mut ledger = match self.ledger.take() {
            Some(ledger) => ledger,
            None => self.connect()?,
        };
        let (ledger, result) = self.wait(limit, move || {
            let result = work(&mut ledger);
            let is_lost = result.as_ref().is_err_and(Reason::is_lost);
            ((!is_lost).then_some(ledger), result)
        })?;
        self.ledger = ledger;
        result.map_err(|reason| Failure::Refused(reason.to_string()))
    }

    /// Begins work that nobody waits for, after a while. What fails is told as `what`.
    pub fn begin(
        &mut self,
        what: &'static str,
        after: Duration,
        work: impl FnOnce(&mut Ledger) -> Result<(), DbError> + Send + 'static,
    ) -> Option<Background> {
        let (dsn, ledger) = (self.dsn.clone(), self.ledger.take());
        let ((wanted, unwanted), (tell, done)) = (bounded::<()>(0), bounded(1));
        let thread = thread::Builder::new().name("ledger".into()).spawn(move || {
            let ledger = if unwanted.recv_timeout(after) == Err(RecvTimeoutError::Timeout) {
                let opened = ledger.map_or_else(|| Ledger::open(&dsn), Ok);
                let worked = opened.and_then(|mut ledger| work(&mut ledger).map(|()| ledger));
                worked.inspect_err(|error| tracing::warn!("{what} in the database {dsn}: {error}")).ok()
            } else {
                ledger
            };
            // Nobody may wait any more.
            let _heard = tell.send(ledger);
        });
        thread.ok().map(|_| Background { wanted, done, begun: Instant::now() })
    }

    /// Does without the work if it has not begun; else waits until it is done, in all no longer than a connection may take.
    pub fn end(&mut self, Background { wanted, done, begun }: Background) {
        drop(wanted);
        // Whoever takes longer keeps the connection; the next call makes one.
        self.ledger = self.wait_for(&done, CONNECT_LIMIT.saturating_sub(begun.elapsed())).ok().flatten();
    }

    fn connect(&self) -> Result<Ledger, Failure> {
        let dsn = self.dsn.clone();
        let opened = self.wait(CONNECT_LIMIT, move || Ledger::open(&dsn));
        match opened {
            Ok(opened) => opened.map_err(|error| Failure::Unreachable(error.to_string())),
            Err(failure @ Failure::OutOfTime(_)) => Err(Failure::Unreachable(failure.to_string())),
            Err(failure) => Err(failure),
        }
    }

    fn wait<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        if self.stop.signal().is_some() && self.after_signal.is_zero() {
            return Err(Failure::Interrupted);
        }
        let (done, waiting) = bounded(1);
        let thread = thread::Builder::new().name("ledger".into()).spawn(move || {
            // Nobody may wait any more.
            let _heard = done.send(work());
        });
        match thread {
            Ok(_) => self.wait_for(&waiting, limit),
            Err(error) => Err(Failure::Unreachable(format!("no thread can be started: {error}"))),
        }
    }

    fn wait_for<T>(&self, waiting: &Receiver<T>, limit: Duration) -> Result<T, Failure> {
        let begun = Instant::now();
        let mut end = begun + limit;
        let mut interrupted = false;
        loop {
            if self.stop.signal().is_some() && !interrupted {
                interrupted = true;
                end = end.min(Instant::now() + self.after_signal);
            }
            let left = end.saturating_duration_since(Instant::now());
            match waiting.recv_timeout(left.min(POLL)) {
                Ok(done) => return Ok(done),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::Refused("internal error: the ledger's thread panicked".into()));
                }
                Err(RecvTimeoutError::Timeout) if !left.is_zero() => {}
                Err(RecvTimeoutError::Timeout) if interrupted => return Err(Failure::Interrupted),
                Err(RecvTimeoutError::Timeout) => return Err(Failure::OutOfTime(limit)),
            }
        }
    }
}
