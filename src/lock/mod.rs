//! The lock of a pair: one holder at a time, whichever direction it runs in. On one machine the
//! lock is a file, in a cluster a Lease.
//!
//! The lock keeps two runs out of each other's way. It is not a fence: what the pipeline does stays
//! safe even if two holders are alive.

mod file;
mod holder;
mod lease;

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

pub use self::file::{AskedForFile, FileLock, holder_of};
pub use self::holder::{Holder, host};
pub use self::lease::{
    ApiAccess, Applicant, AskedForLease, FoundLease, Lease, LeaseChoice, LeaseError, Removed,
    SHORTEST, Unlock,
};
use crate::stop::Stop;

/// The time between two attempts of a run that waits for a lock file.
const POLL: Duration = Duration::from_millis(200);

/// The kind of lock that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockChoice {
    /// No lock: the user sees to it that no two runs overlap.
    None,
    /// A file in the log directory.
    File,
    /// A Lease.
    Lease(LeaseChoice),
}

/// The lock of a pair, held by this process.
#[derive(Debug)]
pub enum PairLock {
    /// Held as long as this process lives.
    File(FileLock),
    /// Held as long as it can be renewed.
    Lease(Lease),
}

/// What came of asking for the lock.
#[derive(Debug)]
pub enum Asked {
    /// This process holds it.
    Held(PairLock),
    /// Another process holds it. `None` if it is not known which.
    Taken(Option<Holder>),
    /// The run was asked to stop first.
    Interrupted,
}

/// The reason why the lock cannot be acquired although nobody holds it.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The lock file cannot be used.
    #[error("the lock file {} cannot be used: {error}. {}", crate::model::shown(path), hint(error))]
    File {
        /// The path of the lock file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// The Lease cannot be acquired.
    #[error(transparent)]
    Lease(#[from] LeaseError),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "Make room there",
        io::ErrorKind::ReadOnlyFilesystem => {
            "Remount it read-write, or give another place with --log-dir"
        }
        io::ErrorKind::Other => "Remove it",
        _ => "Check its permissions",
    }
}

/// Asks for a lock file until it is held, `patience` is over or a stop is requested.
pub fn acquire_file(
    path: &Path,
    holder: &Holder,
    patience: Duration,
    stop: &Stop,
) -> Result<Asked, LockError> {
    let begun = Instant::now();
    loop {
        match FileLock::try_acquire(path, holder) {
            Ok(AskedForFile::Held(file)) => return Ok(Asked::Held(PairLock::File(file))),
            Ok(AskedForFile::Taken(_)) if stop.is_requested() => return Ok(Asked::Interrupted),
            Ok(AskedForFile::Taken(_)) if begun.elapsed() < patience => thread::sleep(POLL),
            Ok(AskedForFile::Taken(holder)) => return Ok(Asked::Taken(holder)),
            Err(error) => return Err(LockError::File { path: path.to_owned(), error }),
        }
    }
}

/// Asks for a Lease until it is held, `patience` is over or a signal comes.
pub fn acquire_lease(
    choice: &LeaseChoice,
    applicant: Applicant<'_>,
    patience: Duration,
    stop: &Stop,
) -> Result<Asked, LockError> {
    Ok(match lease::acquire(choice, applicant, patience, stop)? {
        AskedForLease::Held(lease) => Asked::Held(PairLock::Lease(lease)),
        AskedForLease::Taken(holder) => Asked::Taken(Some(holder)),
        AskedForLease::Interrupted => Asked::Interrupted,
    })
}

impl PairLock {
    /// Releases the lock. The error is a message: why that did not work, and what becomes of the
    /// lock.
    pub fn release(self) -> Result<(), String> {
        match self {
            Self::File(file) => file.release().map_err(|error| {
                format!(
                    "the lock file could not be released ({error}); it is free when this process has ended"
                )
            }),
            Self::Lease(lease) => lease.release(),
        }
    }

    /// The reason why the lock is not held any more. Only meaningful once it is lost.
    pub fn loss(&self) -> String {
        match self {
            Self::File(_) => "it is not held any more".to_owned(),
            Self::Lease(lease) => lease.loss(),
        }
    }

    /// Drops the lock without releasing it: a thread that makes changes under it may still be
    /// running, or the lock is not held any more.
    pub fn abandon(self) {
        match self {
            // `close` would hang, too, if the file system that hangs is that of the log directory.
            Self::File(file) => std::mem::forget(file),
            Self::Lease(lease) => drop(lease),
        }
    }

    /// What becomes of the lock if it is not released, for messages.
    pub fn fate(&self) -> &'static str {
        match self {
            Self::File(_) => "the lock is free when this process has ended",
            Self::Lease(_) => "the Lease is left to expire",
        }
    }
}
