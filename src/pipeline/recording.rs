//! Recording: the one thread that writes outcomes down, and then tells of them.

use std::io;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::stage::Counts;
use super::{Error, Monitor, Recorder};
use crate::model::{Outcome, Summary};
use crate::stop::Stop;

/// After this long without an outcome the recorder hears that there is time.
const IDLE: Duration = Duration::from_secs(1);

/// The recorder takes outcomes up in bundles of this time: being woken for each would cost more than writing it.
const GATHER: Duration = Duration::from_millis(5);

/// Outcomes in one bundle at most.
const BUNDLE: usize = 4096;

/// Writes outcomes down until every sender is gone.
///
/// A recorder that fails asks everybody to stop and goes on emptying the queue: a full one would block the workers for ever.
pub(super) fn record(
    finished: &Receiver<Outcome>,
    recorder: &mut dyn Recorder,
    monitor: &dyn Monitor,
    counts: &Counts,
    stop: &Stop,
) -> Result<(), Error> {
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
            // Written down first, told afterwards.
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
