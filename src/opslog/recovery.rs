//! Opslogs that a killed run left unfinished, and opslogs that are too old to keep.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::format::{Footer, Line};
use super::log_dir::{CORRUPT, LogDir, PART, SEALED};
use super::reader::{Damage, End, OpslogReader};
use super::words::RunStatus;
use crate::model::{RunKey, Summary};
use crate::time::to_rfc3339;

/// What became of an unfinished opslog.
#[derive(Debug, PartialEq, Eq)]
pub enum Recovered {
    /// It is sealed as a failed run, with so many operations.
    Sealed {
        /// Where it is now.
        path: PathBuf,
        /// Lines of operations in it.
        operations: u64,
    },
    /// It is damaged in the middle and was set aside.
    SetAside {
        /// Where it is now.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// What came of a pass over the log directory.
#[derive(Debug)]
pub struct Tidied<T> {
    /// What was done.
    pub done: Vec<T>,
    /// What could not be done, and why. A failure stops nothing else.
    pub failed: Vec<(PathBuf, io::Error)>,
}

/// A `.part` without a readable header does not say which run it is of. From this age on, it
/// belongs to nobody.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Seals the unfinished opslogs of a pair and direction whose writers are dead.
///
/// Whoever holds the pair's lock knows that no living run writes one; `min_age` is for callers that
/// do not hold it. The lock on the file itself is tested in any case. Fails if the directory cannot
/// be read.
pub fn recover(dir: &LogDir, key: &RunKey, min_age: Duration) -> io::Result<Tidied<Recovered>> {
    each(dir.opslogs(PART)?, |path| {
        let is_ours = is_of(path, key) && age(path)? >= min_age;
        if is_ours { recover_one(dir, path, key) } else { Ok(None) }
    })
}

/// Deletes opslogs that are older than `keep`, and returns them. None of them is completely in a
/// database. Fails if the directory cannot be read.
pub fn retire(dir: &LogDir, keep: Duration) -> io::Result<Tidied<PathBuf>> {
    let opslogs = [dir.opslogs(SEALED)?, dir.opslogs(CORRUPT)?].concat();
    each(opslogs, |path| {
        if age(path)? <= keep {
            return Ok(None);
        }
        fs::remove_file(path).map(|()| Some(path.to_owned()))
    })
}

/// Tidies every path. A path that is gone was tidied by another run in the same directory.
fn each<T>(
    paths: Vec<PathBuf>,
    mut tidy: impl FnMut(&Path) -> io::Result<Option<T>>,
) -> io::Result<Tidied<T>> {
    let mut tidied = Tidied { done: Vec::new(), failed: Vec::new() };
    for path in paths {
        match tidy(&path) {
            Ok(done) => tidied.done.extend(done),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tidied.failed.push((path, error)),
        }
    }
    Ok(tidied)
}

fn recover_one(dir: &LogDir, path: &Path, key: &RunKey) -> io::Result<Option<Recovered>> {
    let file = OpenOptions::new().append(true).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None), // Its writer is alive.
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let (header, reader) = match OpslogReader::open(path) {
        Ok(opened) => opened,
        Err(Damage::Io(error)) => return Err(error),
        Err(_) if age(path)? < ABANDONED => return Ok(None),
        // The run was killed before its header was whole, and so before it did anything.
        Err(Damage::NoHeader) => return fs::remove_file(path).map(|()| None),
        Err(damage) => return put_aside(path, &damage).map(Some),
    };
    // The names of pair and direction may hold dashes: only the header tells them apart.
    if header.key() != *key {
        return Ok(None);
    }
    let mut counts = Summary::default();
    let mut operations = 0;
    let end = reader.read(|record| {
        record.add_to(&mut counts);
        operations += 1;
        Ok(())
    });
    match end {
        Ok(End::Sealed(_)) => {}
        Ok(End::Torn { valid_len }) => {
            file.set_len(valid_len)?;
            write_footer(&file, counts, operations)?;
        }
        Err(Damage::Io(error)) => return Err(error),
        Err(damage) => return put_aside(path, &damage).map(Some),
    }
    seal(dir, path, operations).map(Some)
}

fn put_aside(path: &Path, damage: &Damage) -> io::Result<Recovered> {
    set_aside(path).map(|path| Recovered::SetAside { path, reason: damage.to_string() })
}

/// Keeps a damaged opslog for a person to look at, under a name that no run takes up. Returns its
/// new path.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = with_suffix(path, CORRUPT);
    fs::rename(path, &aside)?;
    Ok(aside)
}

fn write_footer(mut file: &File, counts: Summary, operations: u64) -> io::Result<()> {
    let footer = Footer {
        ended_at: to_rfc3339(SystemTime::now()),
        status: RunStatus::Failed,
        operations,
        counts,
        retired_unflushed: 0,
        // Only the run knew what it was.
        error_message: Some(
            "the run was killed, or could not write down its end (a full disk?): what it did last may be missing here. \
             Sealed by the next run"
                .into(),
        ),
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
    Ok(Recovered::Sealed { path: sealed, operations })
}

fn is_of(path: &Path, key: &RunKey) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(&format!("{}-", key.opslog_stem())))
}

/// Time since the last change; zero if that is in the future.
fn age(path: &Path) -> io::Result<Duration> {
    Ok(fs::metadata(path)?.modified()?.elapsed().unwrap_or_default())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.strip_suffix(PART).or_else(|| name.strip_suffix(SEALED)).unwrap_or(name);
    path.with_file_name(format!("{stem}{suffix}"))
}
