//! What the last run of a pair and direction saw, kept beside the opslogs: they do not stay long enough to tell.
//!
//! It is what the next run's progress is measured by and nothing else, so whatever is wrong with it means that
//! there is none.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use serde::{Deserialize, Serialize};

use super::log_dir::{FILE_MODE, LogDir};
use crate::model::Summary;

#[derive(Serialize, Deserialize)]
struct Last {
    /// Entries of both trees.
    entries: u64,
}

/// Entries of both trees that the last whole run saw; nothing: that is not known.
pub fn last_entries(dir: &LogDir, pair: &str, direction: &str) -> Option<u64> {
    let text = fs::read(dir.last_file(pair, direction)).ok()?;
    serde_json::from_slice::<Last>(&text).ok().map(|last| last.entries)
}

/// Keeps what a run saw that went over both trees.
pub fn keep_entries(dir: &LogDir, pair: &str, direction: &str, counts: &Summary) -> io::Result<()> {
    let last = Last { entries: counts.source_entries + counts.dest_entries };
    let path = dir.last_file(pair, direction);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
    file.write_all(&serde_json::to_vec(&last)?)
}
