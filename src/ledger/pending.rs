//! All opslogs that wait in a log directory, into the database: those of every pair, the oldest first.
//!
//! Not those of runs that named another database, or none: in this one nobody would look for them. Each is given so much time and no more, and one that fails costs the others nothing. Where there is no
//! way to the database they all stay.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::access::{Access, Failure};
use super::dsn::Dsn;
use super::flush::Flushed;
use crate::model::shown;
use crate::opslog::{LogDir, OpslogReader, SEALED, is_in_hand};

/// How much time is given.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To one opslog.
    pub each: Duration,
    /// To all of them.
    pub total: Duration,
}

/// Whose opslogs are flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those for this database, and those that do not tell for which.
    Ours,
    /// All of them.
    Everybodys,
}

/// What waited, and what became of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Opslogs that are in.
    pub flushed: u64,
    /// Their operations.
    pub rows: u64,
    /// Opslogs that are damaged and were set aside.
    pub set_aside: u64,
    /// Opslogs that still wait.
    pub left: u64,
    /// Opslogs that are for other databases, by the name of that.
    pub foreign: BTreeMap<String, u64>,
    /// There was no way to the database.
    pub unreachable: bool,
}

/// A thread that is over its time learns of it by itself, before it is left alone.
const SLACK: Duration = Duration::from_secs(2);

/// Flushes what waits. What can't be done is told and stays.
pub fn flush_pending(
    access: &mut Access,
    dir: &LogDir,
    limits: Limits,
    whose: Whose,
) -> std::io::Result<Passed> {
    Ok(flush_each(access, dir.opslogs(SEALED)?, limits, whose))
}

/// Flushes these opslogs. What can't be done is told and stays.
pub fn flush_each(access: &mut Access, mut opslogs: Vec<PathBuf>, limits: Limits, whose: Whose) -> Passed {
    let begun = Instant::now();
    let mut passed = Passed::default();
    // By name they are in the order of their pairs, and a slow first pair would use up the time of the others.
    opslogs.sort_by(|left, right| began(left).cmp(&began(right)));
    for path in opslogs {
        // Its run prints it, compares it and flushes it by itself. One that can't be asked for tells so below.
        if is_in_hand(&path).unwrap_or(false) {
            continue;
        }
        if whose == Whose::Ours
            && let Some(database) = other_database(&path, access.dsn())
        {
            *passed.foreign.entry(database).or_default() += 1;
            continue;
        }
        let limit = limits.each.min(limits.total.saturating_sub(begun.elapsed()));
        if passed.unreachable || limit.is_zero() {
            passed.left += 1;
            continue;
        }
        match flush_one(access, &path, limit) {
            Ok(Flushed::All { rows }) => {
                passed.flushed += 1;
                passed.rows += rows;
            }
            Ok(Flushed::SetAside { path, reason }) => {
                passed.set_aside += 1;
                tracing::warn!("an opslog is damaged ({reason}) and was set aside: {}", shown(&path));
            }
            Ok(Flushed::Gone) => {}
            Err(failure) => {
                passed.left += 1;
                passed.unreachable = matches!(failure, Failure::Unreachable(_) | Failure::Interrupted);
                tell(access, &path, &failure);
            }
        }
    }
    passed
}

/// The database that an opslog is for, where that is not this one. One that is damaged is everybody's.
fn other_database(opslog: &Path, dsn: &Dsn) -> Option<String> {
    let (header, _) = OpslogReader::open(opslog).ok()?;
    header.database.filter(|database| *database != dsn.to_string())
}

/// When its run began, as its name says. Pair and direction, which come first, may hold dashes too.
fn began(opslog: &Path) -> Option<&str> {
    let stem = opslog.file_name()?.to_str()?.strip_suffix(SEALED)?;
    stem.strip_suffix("-again").unwrap_or(stem).rsplit('-').nth(1)
}

/// Flushes one opslog within the limit.
pub fn flush_one(access: &mut Access, opslog: &Path, limit: Duration) -> Result<Flushed, Failure> {
    let path: PathBuf = opslog.to_owned();
    access.call(limit + SLACK, move |ledger| ledger.flush(&path, Instant::now() + limit))
}

fn tell(access: &Access, opslog: &Path, failure: &Failure) {
    let dsn = access.dsn();
    match failure {
        Failure::Unreachable(reason) => {
            tracing::warn!(
                "no way to the database {dsn}: {reason}. Opslogs stay where they are until there is one"
            );
        }
        failure => tracing::warn!(
            "not in the database {dsn} yet: {}: {failure}. It stays and is flushed later",
            shown(opslog)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_when_its_run_began() {
        for name in [
            "opslog-a-b-to-c-20261123T225944Z-799ee731.jsonl",
            "/logs/opslog-a-fwd-20261123T225944Z-799ee731-again.jsonl",
        ] {
            assert_eq!(began(Path::new(name)), Some("20261123T225944Z"), "{name}");
        }
        assert_eq!(began(Path::new("opslog.jsonl")), None);
    }
}
