//! Prepare: what comes before a run. The log directory, the lock, and what earlier runs left
//! behind.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::exit::StartError;
use crate::config::{Config, IfLocked, LogDirChoice};
use crate::lock::{Applicant, Asked, Holder, LockChoice, PairLock, acquire_file, acquire_lease};
use crate::model::shown;
use crate::opslog::{LogDir, Recovered, Tidied, recover, retire};
use crate::pipeline::missing_file;
use crate::stop::Stop;
use crate::tree::Tree;

/// Opens the log directory. If none was given and the system's can't be used, takes the user's.
pub(crate) fn open_log_dir(choice: &LogDirChoice) -> Result<LogDir, StartError> {
    chosen_log_dir(choice, LogDir::open)
}

/// Opens the log directory that runs have used. Does not make one: this is for commands that only
/// look.
pub(crate) fn existing_log_dir(choice: &LogDirChoice) -> Result<LogDir, StartError> {
    chosen_log_dir(choice, LogDir::existing)
}

fn chosen_log_dir(
    choice: &LogDirChoice,
    open: impl Fn(&Path) -> io::Result<LogDir>,
) -> Result<LogDir, StartError> {
    let open = |path: &Path| {
        open(path).map_err(|error| StartError::LogDir { path: path.to_owned(), error })
    };
    match choice {
        LogDirChoice::Given(path) => open(path),
        LogDirChoice::Default { system, user } => match (open(system), user) {
            (Err(refused), Some(user)) => {
                let dir = open(user)?;
                tracing::info!("{refused}; using {} instead", shown(dir.path()));
                Ok(dir)
            }
            (result, _) => result,
        },
    }
}

/// Opens a root. Refuses a root that is not what the user says it has to be.
pub(super) fn open_root(config: &Config, path: &Path) -> Result<Tree, StartError> {
    let tree =
        Tree::open(path).map_err(|error| StartError::Root { path: path.to_owned(), error })?;
    if config.require_mount {
        check_mounted(&tree)?;
    }
    if let Some(missing) = config.require_file.as_ref().and_then(|name| missing_file(&tree, name)) {
        let hint = "Mount the disk that holds it, on the server too, or make it once by hand on both sides";
        return Err(StartError::Refused(format!("{missing}. {hint}")));
    }
    Ok(tree)
}

fn check_mounted(tree: &Tree) -> Result<(), StartError> {
    let path = tree.path().display();
    match tree.root().is_mount_point() {
        Ok(true) => Ok(()),
        Ok(false) => Err(StartError::Refused(format!(
            "{path} is not a mount point. Mount what should be there"
        ))),
        Err(error) => Err(StartError::Refused(format!("{path} cannot be looked at: {error}"))),
    }
}

/// The answer to the request for the lock.
pub(super) enum Lock {
    /// No other run is active. `None` if no lock was wanted.
    Ours(Option<PairLock>),
    /// Another run holds the lock. `None` if its holder is not known.
    Taken(Option<Holder>),
}

/// Asks for the pair's lock, as patiently as the user wants.
pub(super) fn take_lock(
    config: &Config,
    dir: &LogDir,
    run_id: &str,
    stop: &Stop,
) -> Result<Lock, StartError> {
    let patience = match config.if_locked {
        IfLocked::Wait(patience) => patience,
        IfLocked::Skip | IfLocked::Fail => Duration::ZERO,
    };
    let key = &config.key;
    let asked = match &config.lock {
        LockChoice::None => return Ok(Lock::Ours(None)),
        LockChoice::File => {
            let path = dir.path().join(key.lock_file());
            acquire_file(&path, &Holder::this_process(&key.direction), patience, stop)?
        }
        LockChoice::Lease(choice) => {
            acquire_lease(choice, Applicant { key, run_id }, patience, stop)?
        }
    };
    Ok(match asked {
        Asked::Held(lock) => Lock::Ours(Some(lock)),
        Asked::Taken(holder) => Lock::Taken(holder),
        Asked::Interrupted => Lock::Taken(None),
    })
}

/// What was found in the log directory and put in order.
#[derive(Debug, Default)]
pub(super) struct TidiedLogDir {
    /// Opslogs of killed runs. They are sealed now.
    pub(super) recovered: Vec<PathBuf>,
    /// Number of opslogs that were deleted by age.
    pub(super) retired: u64,
}

/// Puts the log directory in order. What can't be done there is reported and does not stop the run.
pub(super) fn tidy(config: &Config, dir: &LogDir) -> TidiedLogDir {
    // Without a lock, a `.part` may belong to a living run whose lock is not seen here (another NFS
    // client).
    let min_age =
        if config.lock == LockChoice::None { Duration::from_secs(3600) } else { Duration::ZERO };
    let recovered = recover(dir, &config.key, min_age);
    let recovered: Vec<PathBuf> =
        told(recovered, "recovered").into_iter().filter_map(tell_recovered).collect();
    let Some(keep) = config.log_retention else { return TidiedLogDir { recovered, retired: 0 } };
    let retired = told(retire(dir, keep), "deleted by age");
    for path in &retired {
        tracing::warn!(
            "deleted an opslog by age, though not all of it is in a database: {}",
            shown(path)
        );
    }
    TidiedLogDir { recovered, retired: retired.len() as u64 }
}

/// Returns what was done, and reports what failed.
fn told<T>(tidied: io::Result<Tidied<T>>, what: &str) -> Vec<T> {
    match tidied {
        Ok(Tidied { done, failed }) => {
            for (path, error) in failed {
                tracing::warn!("the opslog {} could not be {what}: {error}", shown(&path));
            }
            done
        }
        Err(error) => {
            tracing::warn!("opslogs could not be {what}: {error}");
            Vec::new()
        }
    }
}

/// Reports a recovered opslog. Returns its path if it is whole now.
fn tell_recovered(recovered: Recovered) -> Option<PathBuf> {
    match recovered {
        Recovered::Sealed { path, operations } => {
            tracing::info!(
                "sealed the opslog of a run that was killed or could not write down its end, {operations} operations: {}",
                shown(&path)
            );
            Some(path)
        }
        Recovered::SetAside { path, reason } => {
            tracing::warn!("an opslog is damaged ({reason}) and was set aside: {}", shown(&path));
            None
        }
    }
}
