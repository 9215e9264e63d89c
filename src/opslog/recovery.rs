//! Opslogs that a killed run left unfinished, and opslogs that are too old to keep.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::format::{Footer, Line, RunStatus};
use super::log_dir::{CORRUPT, LogDir, PART, SEALED};
use super::reader::{Damage, End, OpslogReader};
use crate::model::Summary;
use crate::time::to_rfc3339;

/// What became of an unfinished opslog.
#[derive(Debug, PartialEq, Eq)]
pub enum Recovered {
    /// It is sealed as a failed run with this many operations.
    Sealed {
        /// Where it lies now.
        path: PathBuf,
        /// Lines of operations in it.
        operations: u64,
    },
    /// It is damaged in the middle and set aside.
    SetAside {
        /// Where it lies now.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Seals the unfinished opslogs of a pair and direction whose writers are dead.
///
/// Whoever holds the pair's lock knows that no living run writes one; `min_age` is for those who
/// don't. The lock on the file itself is asked in any case.
pub fn recover(dir: &LogDir, pair: &str, direction: &str, min_age: Duration) -> io::Result<Vec<Recovered>> {
    let mut recovered = Vec::new();
    for path in dir.opslogs(PART)? {
        if is_of(&path, pair, direction) && age(&path)? >= min_age {
            recovered.extend(recover_one(dir, &path, pair, direction)?);
        }
    }
    Ok(recovered)
}

fn recover_one(dir: &LogDir, path: &Path, pair: &str, direction: &str) -> io::Result<Option<Recovered>> {
    let file = OpenOptions::new().append(true).open(path)?;
    if file.try_lock().is_err() {
        return Ok(None); // Its writer lives.
    }
    let mut counts = Summary::default();
    let mut operations = 0;
    let read = OpslogReader::open(path).and_then(|(header, reader)| {
        let end = reader.read(|record| {
            record.add_to(&mut counts);
            operations += 1;
            Ok(())
        })?;
        Ok((header, end))
    });
    let reason = match read {
        // The names of pair and direction may hold dashes: only the header tells them apart.
        Ok((header, _)) if header.pair != pair || header.direction != direction => return Ok(None),
        Ok((_, End::Sealed(_))) => return seal(dir, path, operations).map(Some),
        Ok((_, End::Torn { valid_len })) => {
            file.set_len(valid_len)?;
            write_footer(&file, counts, operations)?;
            return seal(dir, path, operations).map(Some);
        }
        // Killed before its header was whole, and so before it did anything.
        Err(Damage::NoHeader) => return fs::remove_file(path).map(|()| None),
        Err(Damage::Io(error)) => return Err(error),
        Err(damage) => damage.to_string(),
    };
    let aside = with_suffix(path, CORRUPT);
    fs::rename(path, &aside)?;
    Ok(Some(Recovered::SetAside { path: aside, reason }))
}

fn write_footer(mut file: &File, counts: Summary, operations: u64) -> io::Result<()> {
    let footer = Footer {
        ended_at: to_rfc3339(SystemTime::now()),
        status: RunStatus::Failed,
        operations,
        counts,
        retired_unflushed: 0,
        error_message: Some("the run was killed; recovered by the next one".into()),
    };
    let mut line = serde_json::to_vec(&Line::Footer(footer))?;
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_all()
}

fn seal(dir: &LogDir, path: &Path, operations: u64) -> io::Result<Recovered> {
    let sealed = with_suffix(path, SEALED);
    fs::rename(path, &sealed)?;
    dir.sync()?;
    Ok(Recovered::Sealed {
        path: sealed,
        operations,
    })
}

/// Deletes opslogs that are older than `keep` and returns them: none of them has reached a database.
pub fn retire(dir: &LogDir, keep: Duration) -> io::Result<Vec<PathBuf>> {
    let mut retired = Vec::new();
    for suffix in [SEALED, CORRUPT] {
        for path in dir.opslogs(suffix)? {
            if age(&path)? > keep {
                fs::remove_file(&path)?;
                retired.push(path);
            }
        }
    }
    Ok(retired)
}

fn is_of(path: &Path, pair: &str, direction: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(&format!("opslog-{pair}-{direction}-")))
}

/// Time since the last change; nothing for one in the future.
fn age(path: &Path) -> io::Result<Duration> {
    Ok(fs::metadata(path)?.modified()?.elapsed().unwrap_or_default())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    path.with_file_name(format!("{}{suffix}", name.strip_suffix(PART).unwrap_or(name)))
}
