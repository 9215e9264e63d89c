//! Waiting, but not for ever: for work on a thread that may be left to itself.
//!
//! A system call on a dead server does not come back, and no thread can be taken out of it. So whatever may
//! meet one is done on a thread of its own, and who waits for it stops waiting some time after the run is to
//! end.

use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::model::shown;
use crate::stop::Stop;

/// How long one who was asked to end by a signal is waited for. With the flush and the release of the lock it fits well into
/// the 60 s that the manifests give.
const AFTER_SIGNAL: Duration = Duration::from_secs(10);

/// What keeps a run from beginning for longer than this is told.
const TOLD_AFTER: Duration = Duration::from_secs(10);

/// How often one who waits looks whether the run is to end.
pub(super) const POLL: Duration = Duration::from_millis(100);

/// How long the opslog is waited for where something hangs: it may be what hangs.
pub(super) const SEALING: Duration = Duration::from_secs(5);

/// Does something with a folder that has nothing in hand at the destination, on a thread that may be left to itself, and
/// waits for it until the run is to end. Nothing: it hangs. Whoever waits for long is told for what.
pub(super) fn until_ended<T: Send + 'static>(
    path: &Path,
    stop: &Stop,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Option<T>> {
    let done = begin("look", work)?;
    let (begun, mut is_told, mut patience) =
        (Instant::now(), false, Patience::new(stop, AFTER_SIGNAL));
    Ok(wait(&done, || {
        if !is_told && begun.elapsed() > TOLD_AFTER {
            is_told = true;
            tracing::warn!("{} does not answer: waiting for it. Is its server down?", shown(path));
        }
        patience.is_over()
    }))
}

/// Does something that may never come back, on a thread that may be left to itself. Nothing: it has not come back.
pub(super) fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    begin("seal", work).ok().and_then(|done| done.recv_timeout(limit).ok())
}

pub(super) fn begin<T: Send + 'static>(
    thread: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Receiver<T>> {
    let (tell, done) = bounded(1);
    thread::Builder::new().name(thread.into()).spawn(move || {
        // Nobody may wait any more.
        let _heard = tell.send(work());
    })?;
    Ok(done)
}

/// Nothing: it hangs.
pub(super) fn wait<T>(done: &Receiver<T>, mut is_over: impl FnMut() -> bool) -> Option<T> {
    loop {
        match done.recv_timeout(POLL) {
            Ok(done) => return Some(done),
            // It panicked: a bug.
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) if is_over() => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// How long one waits for what is to end.
pub(super) struct Patience<'s> {
    stop: &'s Stop,
    /// Where no signal asks for the end.
    after_end: Duration,
    /// When it was first seen that the run is to end.
    asked: Option<Instant>,
}

impl<'s> Patience<'s> {
    pub(super) fn new(stop: &'s Stop, after_end: Duration) -> Self {
        Self { stop, after_end, asked: None }
    }

    pub(super) fn is_over(&mut self) -> bool {
        let limit = if self.stop.signal().is_some() { AFTER_SIGNAL } else { self.after_end };
        self.stop.is_requested() && self.asked.get_or_insert_with(Instant::now).elapsed() > limit
    }
}
