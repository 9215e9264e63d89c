//! Attending the pipeline: it works on a thread of its own, and this one waits for it, but not for ever.
//!
//! A run that is to end waits for what is in hand. A system call on a dead server does not come back, though, and no
//! thread can be taken out of it: so after a while the run is ended without those that hang. What they were at is
//! nobody's loss, it is as if the process had been killed; what has an outcome is in the opslog, which is taken away from them and
//! sealed like any other.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::model::{Outcome, Summary, shown};
use crate::opslog::OpslogWriter;
use crate::pipeline::{self, Options, Recorder, Synced, Trees};
use crate::report::{Reporter, Told};
use crate::stop::Stop;

/// How long one who was asked to end by a signal is waited for. With the flush and the release of the lock it fits well into
/// the 60 s that the manifests give.
const AFTER_SIGNAL: Duration = Duration::from_secs(10);

/// The same where the run ends for another reason: nobody is in a hurry.
const AFTER_END: Duration = Duration::from_secs(60);

/// What keeps a run from beginning for longer than this is told.
const TOLD_AFTER: Duration = Duration::from_secs(10);

/// How often one who waits looks whether the run is to end.
const POLL: Duration = Duration::from_millis(100);

/// How long the opslog is waited for where something hangs: it may be what hangs.
pub(super) const SEALING: Duration = Duration::from_secs(5);

/// How the pipeline ended.
pub(super) enum Ended {
    /// With all its threads.
    Whole { synced: Synced, told: Told, opslog: OpslogWriter },
    /// Without some of them.
    Hanging(Hanging),
}

/// What is known where threads hang.
pub(super) struct Hanging {
    /// What they are at, as far as that is known.
    pub(super) in_hand: Vec<String>,
    pub(super) counts: Summary,
    pub(super) told: Told,
    /// Nothing: it can't be had, and is recovered by the next run.
    pub(super) opslog: Option<OpslogWriter>,
    /// Whether it was the loss of the lock that ended the run.
    pub(super) was_lost: bool,
}

/// The opslog, until it is taken away.
#[derive(Clone)]
struct Shared(Arc<Mutex<Option<OpslogWriter>>>);

/// Runs the pipeline to its end, or for as long as it is waited for.
pub(super) fn attend(
    trees: Trees,
    options: Options,
    reporter: Reporter,
    stop: &Stop,
    opslog: OpslogWriter,
) -> io::Result<Ended> {
    let (opslog, reporter) = (Shared(Arc::new(Mutex::new(Some(opslog)))), Arc::new(reporter));
    let (tell, done) = bounded(1);
    let (mut recorder, monitor, asked) = (opslog.clone(), Arc::clone(&reporter), stop.clone());
    thread::Builder::new().name("sync".into()).spawn(move || {
        let synced = pipeline::sync(&trees, &options, &*monitor, &asked, &mut recorder);
        drop((recorder, monitor, trees)); // Whoever hears of the end is alone with them.
        // Nobody may wait any more.
        let _heard = tell.send(synced);
    })?;
    let mut patience = Patience::new(stop, AFTER_END);
    Ok(match wait(&done, || patience.is_over()) {
        Some(synced) => Ended::Whole {
            synced,
            told: Arc::into_inner(reporter).map_or_else(Told::default, Reporter::finish),
            opslog: opslog.take().ok_or_else(|| io::Error::other("internal error: the opslog is gone"))?,
        },
        None => {
            let was_lost = stop.forbids_changes();
            // What comes back after all finds that nothing may be changed any more: the opslog would not know of it.
            stop.forbid_changes();
            Ended::Hanging(Hanging::of(&reporter, &opslog, was_lost))
        }
    })
}

/// Does something with a folder that has nothing in hand at the destination, on a thread that may be left to itself, and
/// waits for it until the run is to end. Nothing: it hangs. Whoever waits for long is told for what.
pub(super) fn until_ended<T: Send + 'static>(
    path: &Path,
    stop: &Stop,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Option<T>> {
    let done = begin("look", work)?;
    let (begun, mut is_told, mut patience) = (Instant::now(), false, Patience::new(stop, AFTER_SIGNAL));
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

fn begin<T: Send + 'static>(
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
fn wait<T>(done: &Receiver<T>, mut is_over: impl FnMut() -> bool) -> Option<T> {
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
struct Patience<'s> {
    stop: &'s Stop,
    /// Where no signal asks for the end.
    after_end: Duration,
    /// When it was first seen that the run is to end.
    asked: Option<Instant>,
}

impl<'s> Patience<'s> {
    fn new(stop: &'s Stop, after_end: Duration) -> Self {
        Self { stop, after_end, asked: None }
    }

    fn is_over(&mut self) -> bool {
        let limit = if self.stop.signal().is_some() { AFTER_SIGNAL } else { self.after_end };
        self.stop.is_requested() && self.asked.get_or_insert_with(Instant::now).elapsed() > limit
    }
}

impl Hanging {
    fn of(reporter: &Reporter, opslog: &Shared, was_lost: bool) -> Self {
        let now = reporter.live.snapshot();
        let in_hand = now.in_hand.iter().map(|one| one.path.to_string()).collect();
        Self { in_hand, counts: now.counts, told: reporter.told_so_far(), opslog: opslog.take(), was_lost }
    }
}

impl Shared {
    /// Nothing: somebody writes to it and does not come back.
    fn take(&self) -> Option<OpslogWriter> {
        let begun = Instant::now();
        loop {
            match self.0.try_lock() {
                Ok(mut opslog) => return opslog.take(),
                Err(TryLockError::Poisoned(opslog)) => return opslog.into_inner().take(),
                Err(TryLockError::WouldBlock) if begun.elapsed() < SEALING => thread::sleep(POLL),
                Err(TryLockError::WouldBlock) => return None,
            }
        }
    }

    fn write(&self, write: impl FnOnce(&mut OpslogWriter) -> io::Result<()>) -> io::Result<()> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(opslog) => write(opslog),
            None => Err(io::Error::other("the run has ended without waiting for this")),
        }
    }
}

impl Recorder for Shared {
    fn record(&mut self, outcome: &Outcome) -> io::Result<()> {
        self.write(|opslog| opslog.record(outcome))
    }

    fn idle(&mut self) -> io::Result<()> {
        self.write(Recorder::idle)
    }
}
