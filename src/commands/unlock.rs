//! `ha-sync unlock`: removes the Lease of a pair whose holder is gone for good.
//!
//! It shows who holds the lock, since when, and when the Lease was last renewed. Then it asks. It
//! removes only what it has shown: a Lease that was renewed or taken in between stays. A lock file
//! needs none of this: the kernel releases it.

use std::error::Error;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use super::fail;
use crate::cli::UnlockArgs;
use crate::config::{Detail, Format, Output, ProgressStyle, lock_choice, log_dir, pair_name};
use crate::lock::{FoundLease, LeaseChoice, LeaseError, LockChoice, Removed, Unlock, holder_of};
use crate::model::{lease_name, lock_file, shown};
use crate::report::{Console, init_logging};
use crate::run::Exit;
use crate::run::prepare::open_log_dir;
use crate::time::to_rfc3339;

type Ended = Result<Exit, (Exit, Box<dyn Error>)>;

/// Removes the Lease of a pair. Exit code 75: the Lease stays, because it is in use.
pub fn unlock(args: &UnlockArgs) -> ExitCode {
    match unlock_pair(args) {
        Ok(exit) => exit.code().into(),
        Err((exit, error)) => fail(&*error, exit),
    }
}

fn unlock_pair(args: &UnlockArgs) -> Ended {
    let usage = |error| (Exit::Usage, Box::from(error));
    let pair = pair_name(&args.pair).map_err(usage)?;
    let choice = lock_choice(&args.lock).map_err(usage)?;
    let console = Console::new(false);
    let output = Output {
        format: Format::Text,
        progress: ProgressStyle::None,
        log_format: args.log_format.into(),
        detail: Detail::Normal,
    };
    init_logging(&console, output).map_err(|error| (Exit::Fatal, error.into()))?;
    let said = match choice {
        LockChoice::None => {
            return Err((
                Exit::Usage,
                "--lock=none is not a lock: there is nothing to remove".into(),
            ));
        }
        LockChoice::File => tell_of_file(args, &pair),
        LockChoice::Lease(choice) => remove_lease(args, &pair, &choice),
    };
    let (exit, text) = said?;
    console.print(&format!("{text}\n"));
    match console.failure() {
        Some(error) => Err((Exit::Fatal, io::Error::from(error.kind()).into())),
        None => Ok(exit),
    }
}

type Said = Result<(Exit, String), (Exit, Box<dyn Error>)>;

fn tell_of_file(args: &UnlockArgs, pair: &str) -> Said {
    let dir = open_log_dir(&log_dir(args.log_dir.as_deref()))
        .map_err(|error| (error.exit(), Box::from(error)))?;
    let path = dir.path().join(lock_file(pair));
    let held = holder_of(&path)
        .map_err(|error| (Exit::Fatal, format!("{}: {error}", shown(&path)).into()))?;
    Ok(match held {
        None => (
            Exit::Done,
            format!(
                "{pair}: not locked. (A lock file is released by the kernel when its holder ends)"
            ),
        ),
        Some(holder) => {
            let who = holder.map_or_else(
                || "a process that it does not name".to_owned(),
                |holder| holder.to_string(),
            );
            (
                Exit::Locked,
                format!(
                    "{pair}: locked by {who}. The kernel releases a lock file when its holder ends: end that process, and \
                     there is nothing to remove"
                ),
            )
        }
    })
}

fn remove_lease(args: &UnlockArgs, pair: &str, choice: &LeaseChoice) -> Said {
    let mut unlock = Unlock::new(choice, pair).map_err(failed)?;
    let said = look_and_remove(args, pair, choice, &mut unlock);
    unlock.finish();
    said
}

fn failed(error: LeaseError) -> (Exit, Box<dyn Error>) {
    let exit = if error.is_configuration() { Exit::Usage } else { Exit::Fatal };
    (exit, Box::from(error))
}

fn look_and_remove(
    args: &UnlockArgs,
    pair: &str,
    choice: &LeaseChoice,
    unlock: &mut Unlock,
) -> Said {
    let Some(found) = unlock.look().map_err(failed)? else {
        let (name, namespace) = (lease_name(pair), &choice.namespace);
        return Ok((
            Exit::Done,
            format!("{pair}: not locked, there is no Lease {name} in the namespace {namespace}"),
        ));
    };
    let shown = describe(pair, &found);
    if found.is_fresh && !args.force {
        return Ok((
            Exit::Locked,
            format!(
                "{shown}\n{pair}: its holder seems to be alive, so the Lease stays. End the holder, or say --force: then it loses \
                 the Lease and ends with exit code 4"
            ),
        ));
    }
    if !args.yes && !agrees(&shown).map_err(|error| (Exit::Usage, error.into()))? {
        return Ok((Exit::Locked, format!("{pair}: left as it is")));
    }
    Ok(match unlock.remove(&found).map_err(failed)? {
        Removed::Gone if args.yes => {
            (Exit::Done, format!("{shown}\n{pair}: the Lease was removed"))
        }
        Removed::Gone => (Exit::Done, format!("{pair}: the Lease was removed")),
        Removed::Changed => (
            Exit::Locked,
            format!("{pair}: the Lease was renewed or taken in this moment, and stays"),
        ),
    })
}

fn describe(pair: &str, found: &FoundLease) -> String {
    if found.holder.holder.is_empty() {
        let name = lease_name(pair);
        return format!(
            "{pair}: held by nobody: the Lease {name} names no holder, and the next run takes it"
        );
    }
    let renewed = match (found.renewed, found.age) {
        (Some(renewed), Some(age)) => format!("{}, {} s ago", to_rfc3339(renewed), age.as_secs()),
        (Some(renewed), None) => to_rfc3339(renewed),
        (None, _) => "at a time that it does not tell".to_owned(),
    };
    let state = if found.is_fresh {
        "its holder seems to be alive"
    } else {
        "stale, the next run takes it over"
    };
    let holds = match found.duration {
        Some(duration) => format!("it holds for {} s after that", duration.as_secs()),
        None => "it does not tell for how long it holds".to_owned(),
    };
    format!("{pair}: held by {}\n  last renewed {renewed}; {holds}: {state}", found.holder)
}

/// Asks the user on the terminal. The error is a message: there is no terminal, or it failed.
fn agrees(shown: &str) -> Result<bool, String> {
    if !io::stdin().is_terminal() {
        return Err(format!("{shown}\nsay --yes to remove it: there is no terminal to ask on"));
    }
    let mut answer = String::new();
    let asked =
        write!(io::stderr(), "{shown}\nRemove it? [y/N] ").and_then(|()| io::stderr().flush());
    let read = asked.and_then(|()| io::stdin().lock().read_line(&mut answer));
    read.map_err(|error| error.to_string())?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
