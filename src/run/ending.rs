//! Ending: how a run ends. Its exit, what ended it early, what becomes of its lock and its opslog.

use std::io;
use std::time::SystemTime;

use super::exit::Exit;
use crate::config::{Config, Detail, Format, IfLocked};
use crate::lock::{Holder, PairLock};
use crate::model::Summary;
use crate::opslog::{Footer, OpslogWriter, SealedOpslog};
use crate::pipeline::Synced;
use crate::report::Console;
use crate::stop::Stop;
use crate::time::to_rfc3339;

/// The result of a run that was begun.
pub(super) struct Carried {
    pub(super) exit: Exit,
    /// Whether some of its threads have not ended.
    pub(super) hangs: bool,
}

/// How a run ended.
pub(super) struct Ended {
    pub(super) exit: Exit,
    /// What ended it early; `None` if it came to its end.
    pub(super) error: Option<String>,
}

/// How a run ended that did not come to its end.
pub(super) struct EndedEarly {
    pub(super) exit: Exit,
    pub(super) why: String,
}

/// Decides how the run ended, and what ended it early.
pub(super) fn judge(
    Synced { counts, withheld, result }: &Synced,
    lock: Option<&PairLock>,
    stop: &Stop,
    was_lost: bool,
) -> Ended {
    let told = result.as_ref().err().map(ToString::to_string);
    // The thread that would report the error may hang, so the flag is asked, too.
    let fatal = told.or_else(|| stop.halted_by().map(str::to_owned));
    let (exit, error) = match (stop.signal(), fatal) {
        (Some(signal), fatal) => {
            let also = fatal.map_or_else(String::new, |error| format!("; {error}"));
            (
                Exit::Interrupted(signal),
                Some(format!("interrupted by {}{also}", signal_name(signal))),
            )
        }
        (None, Some(error)) => (Exit::Fatal, Some(error)),
        (None, None) if was_lost => {
            let why = lock.map_or_else(String::new, PairLock::loss);
            let lost = "the lock was lost, and nothing more was begun at the destination";
            (Exit::LockLost, Some(format!("{lost}: {why}")))
        }
        (None, None) if withheld.is_some() => (Exit::Withheld, None),
        (None, None) if counts.is_partial() => (Exit::Partial, None),
        (None, None) => (Exit::Done, None),
    };
    Ended { exit, error }
}

/// A signal as a person knows it.
fn signal_name(signal: usize) -> String {
    let name = |signal| signal_hook::low_level::signal_name(signal);
    match i32::try_from(signal).ok().and_then(name) {
        Some("SIGINT") => "Ctrl-C (SIGINT)".to_owned(),
        Some(name) => name.to_owned(),
        None => format!("signal {signal}"),
    }
}

/// The same for a run that did not come to its end, whatever the reason.
pub(super) fn ended_early(
    synced: &Synced,
    lock: Option<&PairLock>,
    stop: &Stop,
    was_lost: bool,
) -> EndedEarly {
    match judge(synced, lock, stop, was_lost) {
        Ended { error: None, .. } => {
            EndedEarly { exit: Exit::Fatal, why: "the run could not go on".to_owned() }
        }
        Ended { exit, error: Some(why) } => EndedEarly { exit, why },
    }
}

/// What becomes of a lock that is not given back, in words.
pub(super) fn fate(lock: Option<&PairLock>) -> &'static str {
    lock.map_or("there is no lock to release", PairLock::fate)
}

/// Reports that another run holds the pair's lock, and returns the exit that the user wants then.
pub(super) fn leave_to(
    holder: Option<&Holder>,
    config: &Config,
    console: &Console,
    stop: &Stop,
) -> Exit {
    if let Some(signal) = stop.signal() {
        return Exit::Interrupted(signal);
    }
    let who = holder.map_or_else(|| "another run".to_owned(), ToString::to_string);
    let (exit, what) = match config.if_locked {
        IfLocked::Skip => (Exit::Done, "skipped"),
        IfLocked::Wait(_) | IfLocked::Fail => (Exit::Locked, "not run"),
    };
    let pair = &config.key.pair;
    match (config.output.format, config.output.detail) {
        (_, Detail::Quiet) => {}
        (Format::Text, _) => {
            console.print(&format!("{pair}: {what}, the pair is locked by {who}\n"));
        }
        (Format::Json, _) => {
            let line = serde_json::json!({ "type": "locked", "pair": pair, "holder": holder, "exit_code": exit.code() });
            console.print(&format!("{line}\n"));
        }
    }
    exit
}

/// Seals the opslog with the footer of a run that ended like this.
pub(super) fn finish_opslog(
    opslog: OpslogWriter,
    exit: Exit,
    counts: &Summary,
    error: Option<&str>,
    retired: u64,
) -> io::Result<SealedOpslog> {
    let footer = Footer {
        ended_at: to_rfc3339(SystemTime::now()),
        status: exit.status(),
        operations: opslog.operations(),
        counts: counts.clone(),
        retired_unflushed: retired,
        error_message: error.map(str::to_owned),
    };
    opslog.finish(footer)
}
