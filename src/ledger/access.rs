//! Access to the ledger: calls with a time limit, whatever the database does.
//!
//! A call gives its work to a thread and waits for it, but no longer than agreed, and less if the
//! user wants the run to end. A thread that nobody waits for any more keeps its connection. It ends
//! when one of the client's timeouts does, and has nobody to report to.
//!
//! The next call opens a connection of its own: to a server at once, to a file only when that
//! thread is over. The locks on a file belong to the process, so between two connections in one
//! process only SQLite's own care keeps one out of the other's transaction.

use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::database::{DbError, DbResult, ErrorKind};
use super::flush::FlushError;
use super::{Dsn, Ledger};
use crate::bounded::{Unheard, wait};
use crate::model::Escaped;
use crate::stop::Stop;

/// How often a waiting call checks whether to go on.
const POLL: Duration = Duration::from_millis(20);

/// Access to one ledger.
pub struct Access {
    dsn: Dsn,
    /// A connection that an earlier call left open.
    ledger: Option<Ledger>,
    /// Tells when the last thread is over and its connection is closed or handed back.
    last: Option<Receiver<()>>,
    stop: Stop,
    /// Limit for connecting, logging in and checking the tables, together.
    connect_limit: Duration,
    /// How long a call goes on after a signal asked for the end.
    after_signal: Duration,
    /// Whether nothing will be changed, so that a read-only database is good enough.
    only_reads: bool,
}

/// Work that is done while its caller does something else.
pub struct Background {
    /// Dropped when the work is not wanted any more.
    wanted: Sender<()>,
    done: Receiver<Option<Ledger>>,
    begun: Instant,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The database cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// It was reached, and then the work failed.
    #[error("{0}")]
    Refused(String),
    /// It took longer than agreed.
    #[error("no answer within {:.0} s", _0.as_secs_f64())]
    OutOfTime(Duration),
    /// A signal asked for the end.
    #[error("interrupted")]
    Interrupted,
}

/// The error of a piece of work.
pub trait Reason: Send + std::fmt::Display + 'static {
    /// Whether the connection cannot be used any more.
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
    /// Connects at the first call, within `connect_limit`. Work goes on for `after_signal` after a
    /// signal.
    pub fn new(dsn: Dsn, stop: &Stop, connect_limit: Duration, after_signal: Duration) -> Self {
        Self {
            dsn,
            ledger: None,
            last: None,
            stop: stop.clone(),
            connect_limit,
            after_signal,
            only_reads: false,
        }
    }

    /// From now on, a database that can only be read is good enough.
    pub fn set_only_reads(&mut self) {
        self.only_reads = true;
    }

    /// The database that is accessed.
    pub fn dsn(&self) -> &Dsn {
        &self.dsn
    }

    /// From now on, work goes on for `after_signal` after a signal.
    pub fn set_after_signal(&mut self, after_signal: Duration) {
        self.after_signal = after_signal;
    }

    /// Does the work within `limit`. If a connection has to be made first, the time for that comes
    /// on top.
    ///
    /// A connection from an earlier call may have ended unnoticed (`wait_timeout`, a server that
    /// was restarted). Then the work is done once more, over a new connection. It does not matter
    /// what the first try already did, as after any lost answer.
    pub fn call<T: Send + 'static, R: Reason>(
        &mut self,
        limit: Duration,
        work: impl Fn(&mut Ledger) -> Result<T, R> + Clone + Send + 'static,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        if let Some(kept) = self.ledger.take() {
            match self.work(kept, limit, work.clone())? {
                Err(reason) if reason.is_lost() => {}
                result => return result.map_err(|reason| Failure::Refused(said(&reason))),
            }
        }
        let left = limit.saturating_sub(begun.elapsed());
        let opened = self.connect()?;
        self.work(opened, left, work)?.map_err(|reason| Failure::Refused(said(&reason)))
    }

    /// Begins work that nobody waits for, after a delay of `after`. A failure is logged as `what`.
    /// `None` if no thread can be started.
    pub fn begin(
        &mut self,
        what: &'static str,
        after: Duration,
        work: impl Fn(&mut Ledger) -> DbResult<()> + Send + 'static,
    ) -> Option<Background> {
        let (dsn, ledger) = (self.dsn.clone(), self.ledger.take());
        let (wanted, unwanted) = bounded::<()>(0);
        let done = self.spawn(move || {
            if unwanted.recv_timeout(after) != Err(RecvTimeoutError::Timeout) {
                return ledger;
            }
            let worked = work_on_either(ledger, &dsn, work);
            worked
                .inspect_err(|error| {
                    tracing::warn!("{what} in the database {dsn}: {}", said(error));
                })
                .ok()
        });
        done.ok().map(|done| Background { wanted, done, begun: Instant::now() })
    }

    /// Cancels the work if it has not begun. Otherwise waits until it is done, in all no longer
    /// than connecting may take.
    pub fn end(&mut self, Background { wanted, done, begun }: Background) {
        drop(wanted);
        // A thread that takes longer keeps its connection; the next call makes a new one.
        self.ledger =
            self.wait_for(&done, self.connect_limit.saturating_sub(begun.elapsed())).ok().flatten();
    }

    /// Works over a connection, and keeps it if it is still of use.
    fn work<T: Send + 'static, R: Reason>(
        &mut self,
        mut ledger: Ledger,
        limit: Duration,
        work: impl FnOnce(&mut Ledger) -> Result<T, R> + Send + 'static,
    ) -> Result<Result<T, R>, Failure> {
        let (ledger, result) = self.wait(limit, move || {
            let result = work(&mut ledger);
            let is_lost = result.as_ref().is_err_and(Reason::is_lost);
            ((!is_lost).then_some(ledger), result)
        })?;
        self.ledger = ledger;
        Ok(result)
    }

    fn connect(&mut self) -> Result<Ledger, Failure> {
        let begun = Instant::now();
        self.wait_for_the_file()?;
        let (dsn, limit, only_reads) = (self.dsn.clone(), self.connect_limit, self.only_reads);
        let opened = self.wait(limit.saturating_sub(begun.elapsed()), move || {
            if only_reads { Ledger::open_to_read(&dsn, limit) } else { Ledger::open(&dsn) }
        });
        match opened {
            Ok(opened) => opened.map_err(|error| Failure::Unreachable(said(&error))),
            Err(Failure::OutOfTime(_)) => {
                Err(Failure::Unreachable(Failure::OutOfTime(self.connect_limit).to_string()))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Waits until a thread that was left to itself is done with the file.
    fn wait_for_the_file(&mut self) -> Result<(), Failure> {
        let Some(last) = self.last.as_ref().filter(|_| matches!(self.dsn, Dsn::Sqlite(_))) else {
            return Ok(());
        };
        match self.wait_for(last, self.connect_limit) {
            Err(Failure::OutOfTime(limit)) => Err(Failure::Unreachable(format!(
                "what was begun there before is not done after {:.0} s more",
                limit.as_secs_f64()
            ))),
            Err(Failure::Interrupted) => Err(Failure::Interrupted),
            // The thread is over, even if by a panic, and its connection is closed.
            Ok(()) | Err(Failure::Refused(_) | Failure::Unreachable(_)) => {
                self.last = None;
                Ok(())
            }
        }
    }

    fn wait<T: Send + 'static>(
        &mut self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        if self.stop.signal().is_some() && self.after_signal.is_zero() {
            return Err(Failure::Interrupted);
        }
        let done = self.spawn(work)?;
        self.wait_for(&done, limit)
    }

    /// Starts every thread that works, so that it is known when the last one is over.
    fn spawn<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Receiver<T>, Failure> {
        let ((tell, done), (end, over)) = (bounded(1), bounded(1));
        let thread = thread::Builder::new().name("ledger".into()).spawn(move || {
            hand_over(&tell, work());
            hand_over(&end, ());
        });
        match thread {
            Ok(_) => {
                self.last = Some(over);
                Ok(done)
            }
            Err(error) => Err(Failure::Unreachable(format!("no thread can be started: {error}"))),
        }
    }

    fn wait_for<T>(&self, waiting: &Receiver<T>, limit: Duration) -> Result<T, Failure> {
        let mut end = Instant::now() + limit;
        let mut interrupted = false;
        let waited = wait(waiting, || {
            if self.stop.signal().is_some() && !interrupted {
                interrupted = true;
                end = end.min(Instant::now() + self.after_signal);
            }
            match end.saturating_duration_since(Instant::now()) {
                Duration::ZERO if interrupted => Err(Failure::Interrupted),
                Duration::ZERO => Err(Failure::OutOfTime(limit)),
                left => Ok(left.min(POLL)),
            }
        });
        waited.map_err(|unheard| match unheard {
            Unheard::Over(failure) => failure,
            Unheard::Panicked => {
                Failure::Refused("internal error: the ledger's thread panicked".into())
            }
        })
    }
}

/// Sends to whoever waits. When this returns, a value that nobody waits for any more is dropped.
fn hand_over<T>(to: &Sender<T>, what: T) {
    // Fails if nobody waits any more.
    let _heard = to.send(what);
}

/// Works over the kept connection, or over a new one if that one is lost.
fn work_on_either(
    kept: Option<Ledger>,
    dsn: &Dsn,
    work: impl Fn(&mut Ledger) -> DbResult<()>,
) -> DbResult<Ledger> {
    let work = |mut ledger| work(&mut ledger).map(|()| ledger);
    match kept.map(work) {
        Some(Err(error)) if error.is_lost() => {}
        Some(worked) => return worked,
        None => {}
    }
    Ledger::open(dsn).and_then(work)
}

/// The words of a database, escaped: they may hold anything.
fn said(reason: &impl std::fmt::Display) -> String {
    Escaped(reason.to_string().as_bytes()).to_string()
}
