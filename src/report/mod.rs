//! What a person sees: progress while a run lasts, messages, the plan, the summary.
//!
//! The pipeline knows a [`Monitor`] and nothing else of this; the opslog knows nothing of it at all.

mod console;
mod history;
mod live;
mod logging;
mod operations;
mod progress;
mod summary;
mod units;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender, bounded};

pub use console::Console;
pub use history::history_table;
pub use live::{InHand, Live, Snapshot};
pub use logging::init as init_logging;
pub use operations::{one_line, print_plan, spared_line};
pub use progress::Progress;
pub use summary::Ending;
pub(crate) use units::counted;

use crate::cli::FormatArg;
use crate::config::{Detail, Output};
use crate::model::{Cause, Escaped, Outcome, RelPath, Summary, Verdict};
use crate::opslog::Record;
use crate::pipeline::Monitor;
use crate::stop::Stop;

/// So many of a kind the summary names.
const NAMED: usize = 10;

/// Operations that wait to be printed.
const LINES_WAITING: usize = 1024;

/// Watches one run.
#[derive(Debug)]
pub struct Reporter {
    /// The numbers, for whoever draws them.
    pub live: Arc<Live>,
    printer: Option<Printer>,
    told: Mutex<Told>,
    stop: Stop,
}

/// The first of what a person should know by name, each as `what  path: reason`.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// What failed.
    pub failures: Vec<String>,
    /// Candidates for deletion that were left alone.
    pub spared: Vec<String>,
}

/// Prints operations as they end, on a thread of its own: a terminal that was stopped, or a pipe that
/// nobody empties, holds the run up as it should, but never keeps it from ending when it is told to.
#[derive(Debug)]
struct Printer {
    console: Console,
    format: FormatArg,
    lines: Sender<String>,
    thread: JoinHandle<()>,
}

impl Reporter {
    /// A dry run's operations are printed as a plan at its end, not one by one.
    pub fn new(console: &Console, output: Output, dry_run: bool, workers: usize, stop: &Stop) -> Self {
        let prints = output.detail == Detail::Verbose && !dry_run;
        let printer = prints.then(|| Printer::start(console, output.format));
        Self { live: Arc::new(Live::new(workers)), printer, told: Mutex::default(), stop: stop.clone() }
    }

    /// Ends printing, and returns what is told by name.
    pub fn finish(self) -> Told {
        if let Some(Printer { console, lines, thread, .. }) = self.printer {
            drop(lines);
            let mut patience = PRINT_PATIENCE;
            while !thread.is_finished() && patience > Duration::ZERO {
                thread::sleep(PRINTED_POLL);
                patience =
                    if self.stop.is_requested() { patience.saturating_sub(PRINTED_POLL) } else { patience };
            }
            if !thread.is_finished() {
                console.close();
            }
        }
        self.told.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is told by name until now, where the end can't be waited for.
    pub fn told_so_far(&self) -> Told {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the printer as long as the run is to go on. What is done after that is printed too, unless nobody
    /// takes it.
    fn print(&self, printer: &Printer, mut line: String) {
        let mut patience = PRINT_PATIENCE;
        while printer.console.is_open() {
            match printer.lines.send_timeout(line, PRINTED_POLL) {
                Err(SendTimeoutError::Timeout(unsent)) => line = unsent,
                Ok(()) | Err(SendTimeoutError::Disconnected(_)) => return,
            }
            if self.stop.is_requested() {
                patience = patience.saturating_sub(PRINTED_POLL);
                if patience.is_zero() {
                    printer.console.close();
                }
            }
        }
    }
}

/// How long a run that was told to end waits for its last lines to be printed.
const PRINT_PATIENCE: Duration = Duration::from_millis(500);

/// How often one who waits for the printer asks whether to go on.
const PRINTED_POLL: Duration = Duration::from_millis(20);

impl Printer {
    fn start(console: &Console, format: FormatArg) -> Self {
        let (lines, waiting) = bounded::<String>(LINES_WAITING);
        let to = console.clone();
        let thread = thread::spawn(move || {
            for first in &waiting {
                // All that is there in one write.
                to.print(&std::iter::once(first).chain(waiting.try_iter()).collect::<String>());
            }
        });
        Self { console: console.clone(), format, lines, thread }
    }
}

impl Monitor for Reporter {
    fn counted(&self, part: &Summary) {
        self.live.counted(part);
    }

    fn planned(&self, operations: u64, bytes: u64) {
        self.live.planned(operations, bytes);
    }

    fn started(&self, worker: usize, path: &RelPath, bytes: u64) {
        self.live.started(worker, path, bytes);
    }

    fn copied(&self, worker: usize, bytes: u64) {
        self.live.copied(worker, bytes);
    }

    fn ended(&self, worker: usize) {
        self.live.ended(worker);
    }

    fn spared(&self, path: &RelPath, reason: &str) {
        if let Some(printer) = &self.printer {
            self.print(printer, spared_line(path, reason, printer.format));
        }
        let spared = &mut self.told.lock().unwrap_or_else(PoisonError::into_inner).spared;
        if spared.len() < NAMED {
            spared.push(format!("spared    {path}: {reason}"));
        }
    }

    fn recorded(&self, outcome: &Outcome) {
        if let Some(printer) = &self.printer {
            self.print(printer, one_line(&Record::of(outcome), &outcome.path, printer.format));
        }
        let Verdict::Failed(failure) = &outcome.verdict else {
            return;
        };
        let failures = &mut self.told.lock().unwrap_or_else(PoisonError::into_inner).failures;
        if failures.len() < NAMED {
            let word = match failure.cause {
                Cause::Error => "failed",
                Cause::Conflict => "conflict",
                Cause::Deferred => "deferred",
            };
            failures.push(format!("{word:<8}  {}: {}", outcome.path, Escaped(failure.reason.as_bytes())));
        }
    }

    fn scanned(&self) {
        self.live.scanned();
    }

    fn warn(&self, message: &str) {
        tracing::warn!("{}", Escaped(message.as_bytes()));
    }
}
