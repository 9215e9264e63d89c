//! What a person sees: progress while a run lasts, messages, the plan, the summary.
//!
//! Of all this, the pipeline knows [`Monitor`] and nothing else. The opslog knows nothing of it.

mod console;
mod highlights;
mod history;
mod live;
mod logging;
mod operations;
mod progress;
mod summary;
mod units;

use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender, bounded};

pub use console::Console;
pub use highlights::Highlights;
pub use history::history_table;
pub use live::{InHand, Live, Snapshot};
pub use logging::init as init_logging;
pub use operations::{one_line, print_plan, spared_line};
pub use progress::Progress;
pub use summary::Ending;
pub(crate) use units::counted;

use crate::config::{Detail, Format, Output};
use crate::locked::{locked, unlocked};
use crate::model::{Cause, Escaped, Outcome, RelPath, Summary, Verdict};
use crate::opslog::Record;
use crate::pipeline::Monitor;
use crate::stop::Stop;

/// The number of paths of each kind that the summary names.
const NAMED: usize = 10;

/// The largest number of lines that wait to be printed.
const LINES_WAITING: usize = 1024;

/// The monitor of one run.
#[derive(Debug)]
pub struct Reporter {
    /// The numbers, for the thread that draws them.
    pub live: Arc<Live>,
    printer: Option<Printer>,
    told: Mutex<Highlights>,
    stop: Stop,
}

/// Prints operations as they end, on a thread of its own. A terminal that was stopped, or a pipe
/// that nobody empties, holds the run up as it should. But it never keeps the run from ending when
/// it is told to.
#[derive(Debug)]
struct Printer {
    console: Console,
    format: Format,
    lines: Sender<String>,
    thread: JoinHandle<()>,
}

impl Reporter {
    /// A reporter for a run with so many `workers`. The operations of a dry run are printed as a
    /// plan at its end, not one by one.
    pub fn new(
        console: &Console,
        output: Output,
        dry_run: bool,
        workers: usize,
        stop: &Stop,
    ) -> Self {
        let prints = output.detail == Detail::Verbose && !dry_run;
        let printer = prints.then(|| Printer::start(console, output.format));
        Self {
            live: Arc::new(Live::new(workers)),
            printer,
            told: Mutex::default(),
            stop: stop.clone(),
        }
    }

    /// Ends printing, and returns the highlights.
    pub fn finish(self) -> Highlights {
        if let Some(Printer { console, lines, thread, .. }) = self.printer {
            drop(lines);
            let mut patience = PRINT_PATIENCE;
            while !thread.is_finished() && patience > Duration::ZERO {
                thread::sleep(PRINTED_POLL);
                patience = if self.stop.is_requested() {
                    patience.saturating_sub(PRINTED_POLL)
                } else {
                    patience
                };
            }
            if !thread.is_finished() {
                console.close();
            }
        }
        unlocked(self.told)
    }

    /// The highlights until now, for a run whose end cannot be waited for.
    pub fn highlights_so_far(&self) -> Highlights {
        locked(&self.told).clone()
    }

    /// Queues a line, and waits for the printer as long as the run goes on. Once a stop is
    /// requested, it waits for `PRINT_PATIENCE` in all; then standard output counts as closed.
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

/// The time for which a run that was told to end waits for its last lines to be printed.
const PRINT_PATIENCE: Duration = Duration::from_millis(500);

/// The time between two looks at the stop flag while the printer is waited for.
const PRINTED_POLL: Duration = Duration::from_millis(20);

impl Printer {
    fn start(console: &Console, format: Format) -> Self {
        let (lines, waiting) = bounded::<String>(LINES_WAITING);
        let to = console.clone();
        let thread = thread::spawn(move || {
            for first in &waiting {
                // All lines that are there go out in one write.
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

    /// There are too many of them to be shown one by one.
    fn equal(&self, _: &dyn Fn() -> RelPath) {}

    fn spared(&self, path: &RelPath, reason: &str) {
        if let Some(printer) = &self.printer {
            self.print(printer, spared_line(path, reason, printer.format));
        }
        let spared = &mut locked(&self.told).spared;
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
        let failures = &mut locked(&self.told).failures;
        if failures.len() < NAMED {
            let word = match failure.cause {
                Cause::Error => "failed",
                Cause::Conflict => "conflict",
                Cause::Deferred => "deferred",
            };
            failures.push(format!(
                "{word:<8}  {}: {}",
                outcome.path,
                Escaped(failure.reason.as_bytes())
            ));
        }
    }

    fn scanned(&self) {
        self.live.scanned();
    }

    fn warn(&self, message: &str) {
        tracing::warn!("{}", Escaped(message.as_bytes()));
    }
}
