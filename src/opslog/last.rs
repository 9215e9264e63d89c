//! What the last run of a pair and direction saw. It is kept beside the opslogs, which do not stay
//! long enough to tell.
//!
//! The progress of the next run is measured by it, and nothing else uses it. So a file with
//! anything wrong in it counts as missing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use serde::{Deserialize, Serialize};

use super::log_dir::{FILE_MODE, LogDir};
use crate::model::{RunKey, Summary};

#[derive(Serialize, Deserialize)]
struct Last {
    /// Entries of both trees.
    entries: u64,
}

/// Entries of both trees that the last whole run saw. `None` if that is not known.
pub fn last_entries(dir: &LogDir, key: &RunKey) -> Option<u64> {
    let text = fs::read(dir.path().join(key.last_file())).ok()?;
    serde_json::from_slice::<Last>(&text).ok().map(|last| last.entries)
}

/// Keeps what a run saw that went over both trees. Fails if the file cannot be written.
pub fn keep_entries(dir: &LogDir, key: &RunKey, counts: &Summary) -> io::Result<()> {
    let last = Last { entries: counts.source_entries + counts.dest_entries };
    let path = dir.path().join(key.last_file());
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
    file.write_all(&serde_json::to_vec(&last)?)
}
