//! Record: the one thread that writes outcomes down and then reports them.

use std::io;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::context::Watch;
use super::error::Error;
use super::monitor::Silent;
use crate::model::{Outcome, Summary};

/// Where outcomes go. Only one thread calls it; an error ends the run.
pub trait Recorder: Send {
    /// Keeps one outcome.
    fn record(&mut self, outcome: &Outcome) -> io::Result<()>;
    /// No outcome waits at the moment: time for what can be put off.
    fn idle(&mut self) -> io::Result<()>;
}

/// Keeps nothing.
impl Recorder for Silent {
    fn record(&mut self, _: &Outcome) -> io::Result<()> {
        Ok(())
    }

    fn idle(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// After this long without an outcome the recorder is told that it is idle.
const IDLE: Duration = Duration::from_secs(1);

/// How long outcomes gather before they are written in one bundle. Being woken for each outcome
/// would cost more than writing it.
const GATHER: Duration = Duration::from_millis(5);

/// Outcomes in one bundle at most.
const BUNDLE: usize = 4096;

/// Writes outcomes down until every sender is gone.
///
/// If the recorder fails, the run is asked to stop and the queue is still emptied: a full queue
/// would block the workers for ever.
pub(super) fn record(
    finished: &Receiver<Outcome>,
    recorder: &mut dyn Recorder,
    watch: Watch<'_>,
) -> Result<(), Error> {
    let Watch { monitor, stop, counts, .. } = watch;
    let keep = |done: io::Result<()>| {
        done.map_err(|error| {
            let error = Error::Recorder(error);
            stop.halt(&error);
            error
        })
    };
    let mut result = Ok(());
    loop {
        let first = finished.recv_timeout(IDLE);
        if first.as_ref().is_err_and(RecvTimeoutError::is_disconnected) {
            return result;
        }
        if first.is_err() && result.is_ok() {
            result = keep(recorder.idle());
        }
        let mut part = Summary::default();
        for outcome in first.into_iter().chain(finished.try_iter().take(BUNDLE)) {
            part.add_outcome(&outcome);
            // Written down first, reported afterwards.
            if result.is_ok() {
                result = keep(recorder.record(&outcome));
            }
            monitor.recorded(&outcome);
        }
        counts.add(&part);
        monitor.counted(&part);
        thread::sleep(GATHER);
    }
}
