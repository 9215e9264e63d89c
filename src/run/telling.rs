//! Telling: what a run reports at its end. The plan, the summary, and what went wrong.

use std::io;
use std::path::Path;

use super::active::Run;
use super::ending::{Carried, Ended, EndedEarly, ended_early, fate, finish_opslog};
use super::exit::Exit;
use super::held::Held;
use super::ledger::{LedgerSession, Settled};
use super::patience::{SEALING, within};
use super::supervise::Hanging;
use crate::config::{Detail, Format};
use crate::model::{Escaped, Summary, shown};
use crate::opslog::{RunStatus, SealedOpslog, keep_entries};
use crate::pipeline::Synced;
use crate::report::{Console, Ending, Highlights, print_plan};

impl Run<'_> {
    /// Ends a run some of whose threads can't be waited for.
    pub(super) fn end_without(
        &self,
        Hanging { in_hand, counts, highlights, opslog, was_lost }: Hanging,
        session: LedgerSession,
        console: &Console,
    ) -> Carried {
        let synced = Synced { counts, withheld: None, result: Ok(()) };
        let Held { lock, stop } = self.held;
        let EndedEarly { exit, why } = ended_early(&synced, lock.as_ref(), stop, was_lost);
        let fate = fate(lock.as_ref());
        let at =
            if in_hand.is_empty() { String::new() } else { format!(" ({})", in_hand.join(", ")) };
        let error = format!("{why}; what hangs in a system call{at} was not waited for, {fate}");
        let (counts, message, retired) = (synced.counts.clone(), error.clone(), self.retired);
        let sealed = opslog.and_then(|opslog| {
            within(SEALING, move || finish_opslog(opslog, exit, &counts, Some(&message), retired))
        });
        let settled =
            sealed.unwrap_or_else(|| self.unsealed()).map(|opslog| session.settle(opslog, false));
        Carried {
            exit: self.tell(
                console,
                &highlights,
                &synced,
                Ended { exit, error: Some(error) },
                settled,
            ),
            hangs: true,
        }
    }

    /// The error of an opslog that could not be sealed because its directory hangs.
    pub(super) fn unsealed(&self) -> io::Result<SealedOpslog> {
        let (dir, fate) = (shown(self.dir.path()), fate(self.held.lock.as_ref()));
        Err(io::Error::other(format!("{dir} does not answer, {fate}; the next run recovers it")))
    }

    /// Keeps the counts of entries for the progress of the next run. A dry run, or one that did not
    /// come to its end, is not a measure for that.
    pub(super) fn keep_entries(&self, exit: Exit, counts: &Summary) {
        if self.config.dry_run || exit.status() == RunStatus::Failed {
            return;
        }
        // A failure costs the next run its percentage and nothing else. A full disk is reported for
        // the opslog beside it.
        let _unmeasured = keep_entries(self.dir, &self.config.key, counts);
    }

    /// Prints plan and summary, and returns what the process ends with.
    pub(super) fn tell(
        &self,
        console: &Console,
        highlights: &Highlights,
        Synced { counts, withheld, .. }: &Synced,
        Ended { exit, error }: Ended,
        settled: io::Result<Settled>,
    ) -> Exit {
        let (settled, unsealed) = match settled {
            Ok(settled) => (settled, None),
            Err(cause) => {
                (Settled::default(), Some(format!("the opslog could not be sealed: {cause}")))
            }
        };
        let exit = if unsealed.is_some() { exit.or_fatal() } else { exit };
        let error =
            error.into_iter().chain(unsealed).reduce(|first, second| format!("{first}; {second}"));
        if let Some(error) = &error {
            tracing::error!("{}", Escaped(error.as_bytes()));
        }
        if self.config.output.detail == Detail::Quiet {
            if let Some(withheld) = withheld {
                tracing::error!("{}", Escaped(withheld.to_string().as_bytes()));
            }
            for failure in &highlights.failures {
                tracing::error!("{failure}");
            }
            return exit;
        }
        let ending = Ending {
            key: &self.config.key,
            run_id: &self.id.to_string(),
            dry_run: self.config.dry_run,
            status: exit.status(),
            exit_code: exit.code(),
            took: self.clock.elapsed(),
            counts,
            told: highlights,
            error: error.as_deref(),
            withheld: withheld.as_ref(),
            opslog: settled.opslog.as_deref(),
            recorded: settled.recorded.as_deref(),
            current_since: settled.current_since.as_deref(),
        };
        console.print(&match self.config.output.format {
            Format::Text => ending.to_text(),
            Format::Json => ending.to_json(),
        });
        match console.failure() {
            Some(error) => {
                tracing::error!("what was printed is not complete: {error}");
                exit.or_fatal()
            }
            None => exit,
        }
    }

    /// Prints a dry run's operations, read back from its opslog. A dry run that was cut short does
    /// not have a plan.
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
