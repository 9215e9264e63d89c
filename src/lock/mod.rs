//! The lock of a pair: one holder at a time, whichever direction it runs in. A file on one machine, a Lease in a cluster.
//!
//! It keeps two runs out of each other's way. It is no fence: what the pipeline does stays safe
//! with two holders alive.

mod file;
mod lease;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

pub use self::file::{AskedForFile, FileLock, holder_of};
pub use self::lease::{
    Applicant, AskedForLease, Found, Lease, LeaseChoice, LeaseError, Removed, SHORTEST, Unlock, Way,
    lease_name,
};
use crate::stop::Stop;
use crate::time::to_rfc3339;

/// How often one who waits for a file asks again.
const POLL: Duration = Duration::from_millis(200);

/// Which lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockChoice {
    /// None: whoever runs this sees to it that no two runs overlap.
    None,
    /// A file in the log directory.
    File,
    /// A Lease.
    Lease(LeaseChoice),
}

/// A pair's lock that is ours.
#[derive(Debug)]
pub enum PairLock {
    /// As long as this process lives.
    File(FileLock),
    /// As long as it can be renewed.
    Lease(Lease),
}

/// How asking for it went.
#[derive(Debug)]
pub enum Asked {
    /// It is ours.
    Held(PairLock),
    /// Somebody else has it; who, if that is known.
    Taken(Option<Holder>),
    /// A signal came first.
    Interrupted,
}

/// Why it can't be had, and nobody has it.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The lock file can't be used.
    #[error("the lock file {} cannot be used: {error}. {}", crate::model::shown(path), hint(error))]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The Lease can't be had.
    #[error(transparent)]
    Lease(#[from] LeaseError),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "Make room there",
        io::ErrorKind::ReadOnlyFilesystem => "Remount it read-write, or give another place with --log-dir",
        io::ErrorKind::Other => "Remove it",
        _ => "Check its permissions",
    }
}

/// Who holds a lock, for the messages of those who don't.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Machine and process: `host/pid`; of a Lease `<pod or host>/<job or pid>/<unique>`.
    pub holder: String,
    /// The direction it runs in.
    pub direction: String,
    /// Since when.
    pub since: String,
}

impl Holder {
    /// This process, from now on.
    pub fn this_process(direction: &str) -> Self {
        Self {
            holder: format!("{}/{}", host(), std::process::id()),
            direction: direction.to_owned(),
            since: to_rfc3339(SystemTime::now()),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{} ({}) since {}", self.holder, self.direction, self.since);
        // Anybody may have written it.
        crate::model::Escaped(text.as_bytes()).fmt(f)
    }
}

/// Asks for a lock file until it is held, the patience is over or the run is to stop.
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

/// Asks for a Lease in the same way.
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
    /// Gives it back. The error says why that did not work, and what comes of it.
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

    /// Why it is not ours any more, when it is not.
    pub fn loss(&self) -> String {
        match self {
            Self::File(_) => "it is not held any more".to_owned(),
            Self::Lease(lease) => lease.loss(),
        }
    }

    /// Does not give it back: whoever changes something under it may still be there, or it is not ours any more.
    pub fn leave(self) {
        match self {
            // Closing would wait for whatever hangs, if that is what the log directory lies on.
            Self::File(file) => std::mem::forget(file),
            Self::Lease(lease) => drop(lease),
        }
    }

    /// What becomes of it when it is not given back.
    pub fn fate(&self) -> &'static str {
        match self {
            Self::File(_) => "the lock is free when this process has ended",
            Self::Lease(_) => "the Lease is left to expire",
        }
    }
}

/// This machine's name.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
