//! The end of a run: what it comes to, what is printed, and what becomes of its opslog.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::attend::{Hanging, SEALING, within};
use super::exit::Exit;
use super::ledger::{Books, Settled};
use super::{Carried, Run};
use crate::cli::FormatArg;
use crate::config::{Config, Detail, IfLocked};
use crate::lock::{Holder, PairLock};
use crate::model::{Escaped, Summary, shown};
use crate::opslog::{Footer, OpslogWriter, RunStatus, SealedOpslog, keep_entries};
use crate::pipeline::Synced;
use crate::report::{Console, Ending, Told, print_plan};
use crate::stop::Stop;
use crate::time::to_rfc3339;

impl Run<'_> {
    /// Ends the run where some of its threads can't be waited for.
    pub(super) fn end_without(
        &self,
        Hanging { in_hand, counts, told, opslog, was_lost }: Hanging,
        books: Books,
        lock: Option<&PairLock>,
        console: &Console,
        stop: &Stop,
    ) -> Carried {
        let synced = Synced { counts, withheld: None, result: Ok(()) };
        let (exit, ended) = ended_early(&synced, lock, stop, was_lost);
        let fate = fate(lock);
        let at = if in_hand.is_empty() { String::new() } else { format!(" ({})", in_hand.join(", ")) };
        let error = format!("{ended}; what hangs in a system call{at} was not waited for, {fate}");
        let (counts, message, retired) = (synced.counts.clone(), error.clone(), self.retired);
        let sealed = opslog.and_then(|opslog| {
            within(SEALING, move || opslog.finish_as(exit, &counts, Some(&message), retired))
        });
        let settled = sealed.unwrap_or_else(|| self.unsealed(lock)).map(|opslog| books.settle(opslog, false));
        Carried { exit: self.tell(console, &told, &synced, (exit, Some(error)), settled), hangs: true }
    }

    /// What it is written to hangs.
    pub(super) fn unsealed(&self, lock: Option<&PairLock>) -> io::Result<SealedOpslog> {
        let (dir, fate) = (shown(self.dir.path()), fate(lock));
        Err(io::Error::other(format!("{dir} does not answer, {fate}; the next run recovers it")))
    }

    /// For the progress of the next run. A run that did not come to its end, or a dry one, is no measure.
    pub(super) fn keep_entries(&self, exit: Exit, counts: &Summary) {
        if self.config.dry_run || exit.status() == RunStatus::Failed {
            return;
        }
        // It costs the next run a percentage, and the opslog beside it tells of a full disk.
        let _unmeasured = keep_entries(self.dir, &self.config.pair, &self.config.direction, counts);
    }

    /// Prints plan and summary, and returns what the process ends with.
    pub(super) fn tell(
        &self,
        console: &Console,
        told: &Told,
        Synced { counts, withheld, .. }: &Synced,
        (exit, error): (Exit, Option<String>),
        settled: io::Result<Settled>,
    ) -> Exit {
        let (settled, unsealed) = match settled {
            Ok(settled) => (settled, None),
            Err(cause) => (Settled::default(), Some(format!("the opslog could not be sealed: {cause}"))),
        };
        let exit = if unsealed.is_some() { exit.or_fatal() } else { exit };
        let error = error.into_iter().chain(unsealed).reduce(|first, second| format!("{first}; {second}"));
        if let Some(error) = &error {
            tracing::error!("{}", Escaped(error.as_bytes()));
        }
        if self.config.output.detail == Detail::Quiet {
            if let Some(withheld) = withheld {
                tracing::error!("{}", Escaped(withheld.to_string().as_bytes()));
            }
            for failure in &told.failures {
                tracing::error!("{failure}");
            }
            return exit;
        }
        let ending = Ending {
            pair: &self.config.pair,
            direction: &self.config.direction,
            run_id: &self.id.to_string(),
            dry_run: self.config.dry_run,
            status: exit.status(),
            exit_code: exit.code(),
            took: self.clock.elapsed(),
            counts,
            told,
            error: error.as_deref(),
            withheld: withheld.as_ref(),
            opslog: settled.opslog.as_deref(),
            recorded: settled.recorded.as_deref(),
            current_since: settled.current_since.as_deref(),
        };
        console.print(&match self.config.output.format {
            FormatArg::Text => ending.to_text(),
            FormatArg::Json => ending.to_json(),
        });
        match console.failure() {
            Some(error) => {
                tracing::error!("what was printed is not complete: {error}");
                exit.or_fatal()
            }
            None => exit,
        }
    }

    /// A dry run's operations, read back from its opslog; those of one that was cut short are no plan.
    pub(super) fn print_plan(&self, console: &Console, is_cut_short: bool, opslog: &Path) {
        let is_wanted = self.config.dry_run && self.config.output.detail != Detail::Quiet;
        if !is_wanted || is_cut_short {
            return;
        }
        if let Err(damage) = print_plan(console, opslog, self.config.output.format) {
            tracing::error!("the plan cannot be read back from {}: {damage}", shown(opslog));
        }
    }
}

/// How the run ended, and what ended it early.
pub(super) fn judge(
    Synced { counts, withheld, result }: &Synced,
    lock: Option<&PairLock>,
    stop: &Stop,
    was_lost: bool,
) -> (Exit, Option<String>) {
    let told = result.as_ref().err().map(ToString::to_string);
    // Who could tell it may hang.
    let fatal = told.or_else(|| stop.halted_by().map(str::to_owned));
    match (stop.signal(), fatal) {
        (Some(signal), fatal) => {
            let also = fatal.map_or_else(String::new, |error| format!("; {error}"));
            (Exit::Interrupted(signal), Some(format!("interrupted by signal {signal}{also}")))
        }
        (None, Some(error)) => (Exit::Fatal, Some(error)),
        (None, None) if was_lost => {
            let why = lock.map_or_else(String::new, PairLock::loss);
            (
                Exit::LockLost,
                Some(format!("the lock was lost, and nothing more was begun at the destination: {why}")),
            )
        }
        (None, None) if withheld.is_some() => (Exit::Withheld, None),
        (None, None) if counts.is_partial() => (Exit::Partial, None),
        (None, None) => (Exit::Done, None),
    }
}

/// The same of one that did not come to its end, whatever kept it from that.
pub(super) fn ended_early(
    synced: &Synced,
    lock: Option<&PairLock>,
    stop: &Stop,
    was_lost: bool,
) -> (Exit, String) {
    match judge(synced, lock, stop, was_lost) {
        (_, None) => (Exit::Fatal, "the run could not go on".to_owned()),
        (exit, Some(ended)) => (exit, ended),
    }
}

/// What becomes of a lock that is not given back.
pub(super) fn fate(lock: Option<&PairLock>) -> &'static str {
    lock.map_or("there is no lock to release", PairLock::fate)
}

/// The pair is somebody else's for now.
pub(super) fn leave_to(holder: Option<&Holder>, config: &Config, console: &Console, stop: &Stop) -> Exit {
    if let Some(signal) = stop.signal() {
        return Exit::Interrupted(signal);
    }
    let who = holder.map_or_else(|| "another run".to_owned(), ToString::to_string);
    let (exit, what) = match config.if_locked {
        IfLocked::Skip => (Exit::Done, "skipped"),
        IfLocked::Wait(_) | IfLocked::Fail => (Exit::Locked, "not run"),
    };
    let pair = &config.pair;
    match (config.output.format, config.output.detail) {
        (_, Detail::Quiet) => {}
        (FormatArg::Text, _) => console.print(&format!("{pair}: {what}, the pair is locked by {who}\n")),
        (FormatArg::Json, _) => {
            let line = serde_json::json!({ "type": "locked", "pair": pair, "holder": holder, "exit_code": exit.code() });
            console.print(&format!("{line}\n"));
        }
    }
    exit
}

impl OpslogWriter {
    pub(super) fn finish_as(
        self,
        exit: Exit,
        counts: &Summary,
        error: Option<&str>,
        retired: u64,
    ) -> io::Result<SealedOpslog> {
        let footer = Footer {
            ended_at: to_rfc3339(SystemTime::now()),
            status: exit.status(),
            operations: self.operations(),
            counts: counts.clone(),
            retired_unflushed: retired,
            error_message: error.map(str::to_owned),
        };
        self.finish(footer)
    }
}
