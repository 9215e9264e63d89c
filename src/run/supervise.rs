//! Supervise: the pipeline works on a thread of its own, and this module waits for it, but not for
//! ever.
//!
//! A run that is to end waits for what is in hand. But a system call on a dead server does not come
//! back, and a thread cannot be taken out of such a call. So after a while the run ends without the
//! threads that hang. What they were doing is not lost to anybody: it is as if the process had been
//! killed. What has an outcome is in the opslog, which is taken away from them and sealed like any
//! other.

use std::io;
use std::sync::{Arc, Mutex, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use super::patience::{POLL, Patience, SEALING};
use crate::bounded::{begin, wait};
use crate::locked::locked;
use crate::model::{Outcome, Summary};
use crate::opslog::OpslogWriter;
use crate::pipeline::{self, Options, Recorder, Synced, Trees};
use crate::report::{Highlights, Reporter};
use crate::stop::Stop;

/// How long a run that ends for another reason than a signal is waited for. There is no hurry then.
const AFTER_END: Duration = Duration::from_secs(60);

/// How the pipeline ended.
pub(super) enum Supervised {
    /// All its threads have ended.
    Whole { synced: Synced, highlights: Highlights, opslog: OpslogWriter },
    /// Some of its threads hang.
    Hanging(Hanging),
}

/// What is known of a run whose threads hang.
pub(super) struct Hanging {
    /// The paths that the threads are working on, as far as that is known.
    pub(super) in_hand: Vec<String>,
    pub(super) counts: Summary,
    pub(super) highlights: Highlights,
    /// `None` if it can't be taken away. Then the next run recovers it.
    pub(super) opslog: Option<OpslogWriter>,
    /// Whether it was the loss of the lock that ended the run.
    pub(super) was_lost: bool,
}

/// The opslog, until it is taken away.
#[derive(Clone)]
struct Shared(Arc<Mutex<Option<OpslogWriter>>>);

/// Runs the pipeline to its end, or for as long as it is waited for.
pub(super) fn supervise(
    trees: Trees,
    options: Options,
    reporter: Reporter,
    stop: &Stop,
    opslog: OpslogWriter,
) -> io::Result<Supervised> {
    let (opslog, reporter) = (Shared(Arc::new(Mutex::new(Some(opslog)))), Arc::new(reporter));
    let (mut recorder, monitor, asked) = (opslog.clone(), Arc::clone(&reporter), stop.clone());
    let done = begin("sync", move || {
        let synced = pipeline::sync(&trees, &options, &*monitor, &asked, &mut recorder);
        drop((recorder, monitor, trees)); // Whoever gets the result is their only owner.
        synced
    })?;
    let mut patience = Patience::new(stop, AFTER_END);
    Ok(match wait(&done, || patience.next()) {
        Ok(synced) => Supervised::Whole {
            synced,
            highlights: Arc::into_inner(reporter)
                .map_or_else(Highlights::default, Reporter::finish),
            opslog: opslog
                .take()
                .ok_or_else(|| io::Error::other("internal error: the opslog is gone"))?,
        },
        Err(_) => {
            let was_lost = stop.forbids_changes();
            // A call that comes back after all finds that nothing may be changed any more, since
            // the opslog would not know of it.
            stop.forbid_changes();
            Supervised::Hanging(Hanging::of(&reporter, &opslog, was_lost))
        }
    })
}

impl Hanging {
    fn of(reporter: &Reporter, opslog: &Shared, was_lost: bool) -> Self {
        let now = reporter.live.snapshot();
        let in_hand = now.in_hand.iter().map(|one| one.path.to_string()).collect();
        Self {
            in_hand,
            counts: now.counts,
            highlights: reporter.highlights_so_far(),
            opslog: opslog.take(),
            was_lost,
        }
    }
}

impl Shared {
    /// Takes the opslog away. `None` if a thread writes to it and does not come back.
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
        match &mut *locked(&self.0) {
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
        self.write(OpslogWriter::idle)
    }
}
