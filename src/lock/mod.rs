//! The lock of a pair: one holder at a time, whichever direction it runs in.
//!
//! It keeps two runs out of each other's way. It is no fence: what the pipeline does stays safe
//! with two holders alive.

mod file;
pub mod lease;

use std::fmt;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

pub use self::file::{Asked, FileLock};
use crate::stop::Stop;
use crate::time::to_rfc3339;

/// How often one who waits asks again.
const POLL: Duration = Duration::from_millis(200);

/// Who holds a lock, for the messages of those who don't.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Machine and process: `host/pid`.
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
        write!(f, "{} ({}) since {}", self.holder, self.direction, self.since)
    }
}

/// Asks for the lock until it is held, the patience is over or the run is to stop.
pub fn acquire(path: &Path, holder: &Holder, patience: Duration, stop: &Stop) -> io::Result<Asked> {
    let begun = Instant::now();
    loop {
        match FileLock::try_acquire(path, holder)? {
            Asked::Taken(_) if begun.elapsed() < patience && !stop.is_requested() => thread::sleep(POLL),
            asked => return Ok(asked),
        }
    }
}

/// This machine's name.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
