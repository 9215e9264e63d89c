//! Patience: how long a run waits for what may never come back. See [`bounded`](crate::bounded).

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::bounded::{begin, wait};
use crate::model::shown;
use crate::stop::Stop;

/// How long a run is waited for after a signal asked it to end. With the flush and the release of
/// the lock this fits well into the 60 s that the manifests give.
const AFTER_SIGNAL: Duration = Duration::from_secs(10);

/// A folder that keeps a run from beginning for longer than this is reported.
const REPORTED_AFTER: Duration = Duration::from_secs(10);

/// How often a waiting run checks whether it is to end.
pub(super) const POLL: Duration = Duration::from_millis(100);

/// How long the opslog is waited for if something hangs: the opslog itself may hang.
pub(super) const SEALING: Duration = Duration::from_secs(5);

/// Does work with a folder that changes nothing at the destination, and waits for it until the run
/// is to end. `None` if the work hangs or panicked. A folder that takes long is reported by its
/// path.
pub(super) fn until_ended<T: Send + 'static>(
    path: &Path,
    stop: &Stop,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Option<T>> {
    let done = begin("look", work)?;
    let (begun, mut is_reported) = (Instant::now(), false);
    let mut patience = Patience::new(stop, AFTER_SIGNAL);
    let waited = wait(&done, || {
        if !is_reported && begun.elapsed() > REPORTED_AFTER {
            is_reported = true;
            tracing::warn!("{} does not answer: waiting for it. Is its server down?", shown(path));
        }
        patience.next()
    });
    Ok(waited.ok())
}

/// Does something that may never come back. `None` if it has not come back within the limit.
pub(super) fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    begin("seal", work).ok().and_then(|done| done.recv_timeout(limit).ok())
}

/// The patience that a run has with what is in hand when it is to end.
pub(super) struct Patience<'s> {
    stop: &'s Stop,
    /// How long the patience lasts unless a signal asks for the end.
    after_end: Duration,
    /// When it was first noticed that the run is to end.
    asked: Option<Instant>,
}

/// A run has waited long enough.
#[derive(Clone, Copy, Debug)]
pub(super) struct Impatient;

impl<'s> Patience<'s> {
    pub(super) fn new(stop: &'s Stop, after_end: Duration) -> Self {
        Self { stop, after_end, asked: None }
    }

    /// How long to wait before the next call. Fails when the run has waited long enough.
    pub(super) fn next(&mut self) -> Result<Duration, Impatient> {
        let limit = if self.stop.signal().is_some() { AFTER_SIGNAL } else { self.after_end };
        let is_over = self.stop.is_requested()
            && self.asked.get_or_insert_with(Instant::now).elapsed() > limit;
        if is_over { Err(Impatient) } else { Ok(POLL) }
    }
}
