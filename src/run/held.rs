//! Held: what a run holds while it lasts. That is the pair's lock, if one was wanted, and the flag
//! that ends the run.

use std::path::Path;

use super::ending::{Carried, ended_early, fate};
use super::exit::{Exit, StartError};
use super::patience::until_ended;
use crate::lock::PairLock;
use crate::model::{Escaped, Summary};
use crate::pipeline::Synced;
use crate::stop::Stop;

/// The lock and the flag.
pub(super) struct Held {
    /// `None` if no lock was wanted.
    pub(super) lock: Option<PairLock>,
    pub(super) stop: Stop,
}

impl Held {
    /// Does something with a folder whose server may be gone. Fails if the run has to end before
    /// that answers.
    pub(super) fn answered<T: Send + 'static>(
        &self,
        path: &Path,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StartError> {
        let root = |error| StartError::Root { path: path.to_owned(), error };
        until_ended(path, &self.stop, work).map_err(root)?.ok_or_else(|| {
            let nothing = Synced { counts: Summary::default(), withheld: None, result: Ok(()) };
            let ended =
                ended_early(&nothing, self.lock.as_ref(), &self.stop, self.stop.forbids_changes());
            let (path, fate) = (path.to_owned(), fate(self.lock.as_ref()));
            StartError::Hangs { path, ended: ended.why, fate, exit: ended.exit }
        })
    }

    /// Gives the lock back if every thread of the run has ended and the lock was not lost.
    pub(super) fn end(self, carried: &Result<Carried, StartError>) {
        let Self { lock: Some(lock), stop } = self else { return };
        if matches!(carried, Ok(Carried { hangs: true, .. }) | Err(StartError::Hangs { .. })) {
            lock.abandon();
        } else if stop.forbids_changes() {
            if !matches!(carried, Ok(Carried { exit: Exit::LockLost, .. })) {
                tracing::warn!("the lock was lost, too: {}", Escaped(lock.loss().as_bytes()));
            }
            lock.abandon();
        } else if let Err(why) = lock.release() {
            tracing::warn!("{}", Escaped(why.as_bytes()));
        }
    }
}
