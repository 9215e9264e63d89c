//! All opslogs that wait in a log directory go into the database: those of every pair, the oldest
//! first.
//!
//! Opslogs of runs that named another database, or none, are left out: nobody would look for them
//! in this one. Each opslog is given so much time and no more, and one that fails costs the others
//! nothing. If the database cannot be reached, they all stay.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::access::{Access, Failure};
use super::dsn::Dsn;
use super::flush::Flushed;
use crate::model::shown;
use crate::opslog::{LogDir, OpslogReader, SEALED, is_in_hand};

/// How much time a flush is given.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For one opslog.
    pub each: Duration,
    /// For all of them.
    pub total: Duration,
}

/// Which opslogs are flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those for this database, and those that do not say for which one they are.
    Ours,
    /// All of them.
    Everybodys,
}

/// What waited, and what became of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FlushReport {
    /// Opslogs that are in.
    pub flushed: u64,
    /// Their operations.
    pub rows: u64,
    /// Opslogs that are damaged and were set aside.
    pub set_aside: u64,
    /// Opslogs that still wait.
    pub left: u64,
    /// Opslogs for other databases: how many, by the name of the database.
    pub foreign: BTreeMap<String, u64>,
    /// The database could not be reached, or a signal asked for the end.
    pub unreachable: bool,
}

/// Added to the limit of an opslog: a thread notices by itself that its time is over, before it is
/// left to itself.
const SLACK: Duration = Duration::from_secs(2);

/// Flushes the opslogs that wait. What cannot be flushed is logged and stays. Fails if the
/// directory cannot be read.
pub fn flush_pending(
    access: &mut Access,
    dir: &LogDir,
    limits: Limits,
    scope: Scope,
) -> std::io::Result<FlushReport> {
    Ok(flush_each(access, dir.opslogs(SEALED)?, limits, scope))
}

/// Flushes these opslogs. What cannot be flushed is logged and stays.
pub fn flush_each(
    access: &mut Access,
    mut opslogs: Vec<PathBuf>,
    limits: Limits,
    scope: Scope,
) -> FlushReport {
    let begun = Instant::now();
    let mut report = FlushReport::default();
    // By name they would be in the order of their pairs, and a slow first pair would use up the
    // time of the others.
    opslogs.sort_by(|left, right| began(left).cmp(&began(right)));
    for path in opslogs {
        // The run that holds it prints, compares and flushes it itself. If a file cannot be asked
        // for that, the flush below says so.
        if is_in_hand(&path).unwrap_or(false) {
            continue;
        }
        if scope == Scope::Ours
            && let Some(database) = other_database(&path, access.dsn())
        {
            *report.foreign.entry(database).or_default() += 1;
            continue;
        }
        let limit = limits.each.min(limits.total.saturating_sub(begun.elapsed()));
        if report.unreachable || limit.is_zero() {
            report.left += 1;
            continue;
        }
        match flush_one(access, &path, limit) {
            Ok(Flushed::All { rows }) => {
                report.flushed += 1;
                report.rows += rows;
            }
            Ok(Flushed::SetAside { path, reason }) => {
                report.set_aside += 1;
                tracing::warn!(
                    "an opslog is damaged ({reason}) and was set aside: {}",
                    shown(&path)
                );
            }
            Ok(Flushed::Gone) => {}
            Err(failure) => {
                report.left += 1;
                report.unreachable =
                    matches!(failure, Failure::Unreachable(_) | Failure::Interrupted);
                tell(access, &path, &failure);
            }
        }
    }
    report
}

/// The database that an opslog is for. `None` if it is this one, or the opslog does not say. A
/// damaged opslog is everybody's.
fn other_database(opslog: &Path, dsn: &Dsn) -> Option<String> {
    let (header, _) = OpslogReader::open(opslog).ok()?;
    header.database.filter(|database| *database != dsn.to_string())
}

/// When its run began, as its name says. Pair and direction come first and may hold dashes, too.
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
