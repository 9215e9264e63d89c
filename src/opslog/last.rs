//! The totals of the last run of a pair and direction, read off the end of its opslog.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::format::{Footer, Line, RunStatus};
use super::log_dir::{LogDir, SEALED};
use super::reader::OpslogReader;
use crate::model::Summary;

/// A footer is shorter.
const TAIL: u64 = 64 * 1024;

/// Opslogs that are looked at, newest first, before it is given up.
const LOOKED_AT: usize = 20;

/// The counts of the newest run of that pair and direction that went over both trees and changed them.
pub fn last_counts(dir: &LogDir, pair: &str, direction: &str) -> io::Result<Option<Summary>> {
    let prefix = format!("opslog-{pair}-{direction}-");
    let is_ours = |path: &&std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
    };
    let opslogs = dir.opslogs(SEALED)?;
    let newest_first = opslogs.iter().filter(is_ours).rev().take(LOOKED_AT);
    // Whichever can't be read is no reason to stop: the one before it is as good a guess.
    Ok(newest_first.filter_map(|path| counts(path, pair, direction)).next())
}

fn counts(path: &Path, pair: &str, direction: &str) -> Option<Summary> {
    let (header, _) = OpslogReader::open(path).ok()?;
    let footer = footer(path).ok()??;
    let is_alike = header.pair == pair && header.direction == direction && !header.dry_run;
    (is_alike && footer.status != RunStatus::Failed).then_some(footer.counts)
}

fn footer(path: &Path) -> io::Result<Option<Footer>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let last = tail.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(match serde_json::from_slice(last) {
        Ok(Line::Footer(footer)) => Some(footer),
        _ => None,
    })
}
