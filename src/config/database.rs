//! The database that was named, and the time for which rows are kept in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{Checked, wrong};
use super::log_dir::LogDirChoice;
use crate::ledger::Dsn;
use crate::model::shown;
use crate::time::parse_duration;

const DAY: u64 = 24 * 3600;

/// The largest age. A date cannot express an older time.
const OLDEST: Duration = Duration::from_secs(1000 * 365 * DAY);

/// The value of `--db-dsn`. `None` if none was given.
pub fn database(dsn: Option<&str>) -> Checked<Option<Dsn>> {
    // The value of a Secret or a file ends in a newline, and an unwanted variable is set but empty.
    let dsn = dsn.map(str::trim_end).filter(|dsn| !dsn.is_empty());
    match dsn.map(str::parse).transpose() {
        Ok(dsn) => Ok(dsn),
        Err(error) => wrong(format!("--db-dsn (or HA_SYNC_DB_DSN): {error}")),
    }
}

/// Refuses a database inside a tree: it would be carried over while it is written to, or be deleted
/// as missing at the source.
pub(super) fn check_database_apart(
    dsn: Option<&Dsn>,
    log_dir: &LogDirChoice,
    roots: &[(&str, &Path)],
) -> Checked<()> {
    let Some(Dsn::Sqlite(file)) = dsn else { return Ok(()) };
    let Some(folder) = resolved_folder(file) else { return Ok(()) };
    // A log directory takes part in no sync, so a database may lie in it.
    let mut logs: Vec<&PathBuf> = Vec::new();
    match log_dir {
        LogDirChoice::Given(path) => logs.push(path),
        LogDirChoice::Default { system, user } => logs.extend(Some(system).into_iter().chain(user)),
    }
    if logs
        .into_iter()
        .filter_map(|logs| logs.canonicalize().ok())
        .any(|logs| folder.starts_with(logs))
    {
        return Ok(());
    }
    match roots.iter().find(|(_, root)| folder.starts_with(root)) {
        Some((flag, _)) => wrong(format!(
            "--db-dsn sqlite:{} lies inside {flag}: give a file outside of both trees, or in the log directory",
            shown(file)
        )),
        None => Ok(()),
    }
}

fn resolved_folder(file: &Path) -> Option<PathBuf> {
    let folder =
        file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder.canonicalize().ok()
}

/// The value of `--db-retain-days`.
pub(super) fn retain_days(days: u32) -> Checked<Duration> {
    match days {
        0 => wrong(
            "--db-retain-days 0 would keep nothing: give 1 or more, or leave it out to keep everything",
        ),
        days => Ok(Duration::from_secs(u64::from(days) * DAY).min(OLDEST)),
    }
}

/// The value of `--older-than`: `90s`, `30m`, `12h`, `30d` or `4w`. A bare number is refused: it
/// might be meant in days.
pub fn parse_age(text: &str) -> Checked<Duration> {
    let has_unit = text.contains(|c: char| c.is_ascii_alphabetic());
    let age = parse_duration(text).filter(|age| has_unit && *age < OLDEST);
    age.ok_or(()).or_else(|()| {
        wrong(format!("--older-than {text:?}: give a number and s, m, h, d or w, such as 30d"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_a_tree_is_refused_but_for_one_in_a_log_directory_be_it_the_default() {
        let tree = tempfile::tempdir().unwrap();
        let tree = tree.path().canonicalize().unwrap();
        let logs = tree.join("logs");
        std::fs::create_dir(&logs).unwrap();
        let elsewhere = PathBuf::from("/nonexistent");
        let choices = [
            LogDirChoice::Given(logs.clone()),
            LogDirChoice::Default { system: logs.clone(), user: None },
            LogDirChoice::Default { system: elsewhere.clone(), user: Some(logs.clone()) },
        ];
        for choice in choices {
            let check =
                |file| check_database_apart(Some(&Dsn::Sqlite(file)), &choice, &[("--src", &tree)]);
            assert!(check(logs.join("rows")).is_ok(), "{choice:?}");
            assert!(check(tree.join("rows")).is_err(), "{choice:?}");
            assert!(check(elsewhere.join("rows")).is_ok(), "{choice:?}");
        }
    }

    #[test]
    fn an_age_has_a_number_and_a_unit() {
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1800),
            ("12h", 43_200),
            ("30d", 30 * DAY),
            ("30 days", 30 * DAY),
            ("4w", 28 * DAY),
            ("0d", 0),
        ] {
            assert_eq!(parse_age(text).unwrap().as_secs(), seconds, "{text}");
        }
        for bad in ["", "30", "d", "-1d", "1.5d", "1month", "99999999999999999999d", "9999999999w"]
        {
            assert!(parse_age(bad).is_err(), "{bad:?}");
        }
    }
}
