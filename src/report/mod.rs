//! What a person sees: progress while a run lasts, messages, the plan, the summary.
//!
//! The pipeline knows a [`Monitor`] and nothing else of this; the opslog knows nothing of it at all.

mod console;
mod live;
mod logging;
mod operations;
mod progress;
mod summary;
mod units;

use std::sync::{Arc, Mutex, PoisonError};

pub use console::Console;
pub use live::{InHand, Live, Snapshot};
pub use logging::init as init_logging;
pub use operations::{one_line, print_plan};
pub use progress::Progress;
pub use summary::Ending;

use crate::cli::FormatArg;
use crate::config::{Detail, Output};
use crate::model::{Cause, Escaped, Outcome, RelPath, Summary, Verdict};
use crate::opslog::Record;
use crate::pipeline::Monitor;

/// Failures that the summary names.
const FIRST_FAILURES: usize = 10;

/// Watches one run.
#[derive(Debug)]
pub struct Reporter {
    /// The numbers, for whoever draws them.
    pub live: Arc<Live>,
    console: Console,
    /// Print operations as they end, in this format.
    each: Option<FormatArg>,
    failures: Mutex<Vec<String>>,
}

impl Reporter {
    /// A dry run's operations are printed as a plan at its end, not one by one.
    pub fn new(console: &Console, output: Output, dry_run: bool, workers: usize) -> Self {
        let each = (output.detail == Detail::Verbose && !dry_run).then_some(output.format);
        Self {
            live: Arc::new(Live::new(workers)),
            console: console.clone(),
            each,
            failures: Mutex::default(),
        }
    }

    /// The first failures, as `path: reason`.
    pub fn failures(&self) -> Vec<String> {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Monitor for Reporter {
    fn counted(&self, part: &Summary) {
        self.live.counted(part);
    }

    fn planned(&self, bytes: u64) {
        self.live.planned(bytes);
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

    fn recorded(&self, outcome: &Outcome) {
        if let Some(format) = self.each {
            self.console
                .print(&one_line(&Record::of(outcome), &outcome.path, format));
        }
        let Verdict::Failed(failure) = &outcome.verdict else {
            return;
        };
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < FIRST_FAILURES {
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
