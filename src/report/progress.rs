//! Progress while a run lasts: bars on a terminal, else a line every 30 seconds.
//!
//! One thread looks at the numbers and draws; the run's own threads never wait for a terminal.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use indicatif::{ProgressBar, ProgressStyle};

use super::console::Console;
use super::live::{Live, Snapshot};
use super::units::{Bytes, Count, per_second};

/// How often bars are drawn.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// How often a line is logged.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// Files in hand that are shown, however many workers there are.
const SHOWN_IN_HAND: usize = 4;

/// Rates are those of about the last three seconds.
const RATE_OVER: usize = 30;

/// The thread that shows progress.
#[derive(Debug)]
pub struct Progress {
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl Progress {
    /// Shows `live` as bars if the console has them, else as log lines.
    ///
    /// Where no thread can be had for it, the run goes on unseen.
    pub fn start(live: &Arc<Live>, console: &Console, workers: usize) -> Option<Self> {
        let (end, ended) = bounded(0);
        let live = Arc::clone(live);
        let bars = console.bars().map(|_| Bars::new(console, workers));
        let every = if bars.is_some() { DRAW_EVERY } else { LOG_EVERY };
        let thread = thread::Builder::new().name("progress".into()).spawn(move || {
            let mut rates = Rates::default();
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let now = live.snapshot();
                match &bars {
                    Some(bars) => bars.draw(&now, rates.update(&now)),
                    None => tracing::info!("{}", line(&now)),
                }
            }
            if let Some(bars) = bars {
                bars.clear();
            }
        });
        thread.ok().map(|thread| Self { end, thread })
    }

    /// Takes the bars off the terminal; when this returns, nothing more is drawn.
    pub fn finish(self) {
        drop(self.end);
        // A panic while drawing costs the bars and nothing else.
        let _drawn = self.thread.join();
    }
}

/// Entries and bytes a second.
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    entries: u64,
    bytes: u64,
}

/// The last few seconds.
#[derive(Debug, Default)]
struct Rates(VecDeque<(Duration, u64, u64)>);

impl Rates {
    fn update(&mut self, now: &Snapshot) -> Rate {
        let entries = now.counts.source_entries + now.counts.dest_entries;
        self.0.push_back((now.elapsed, entries, now.moved_bytes));
        if self.0.len() > RATE_OVER {
            self.0.pop_front();
        }
        let (then, entries_then, bytes_then) = self.0[0];
        let passed = now.elapsed.saturating_sub(then);
        Rate {
            entries: per_second(entries - entries_then, passed),
            bytes: per_second(now.moved_bytes - bytes_then, passed),
        }
    }
}

struct Bars {
    scan: ProgressBar,
    work: ProgressBar,
    in_hand: Vec<ProgressBar>,
}

impl Bars {
    fn new(console: &Console, workers: usize) -> Self {
        // A template that is fixed in the source; the plain style is as good as any if it did not parse.
        let style =
            ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let line = || {
            let bar = ProgressBar::new(0).with_style(style.clone());
            console.bars().map_or_else(ProgressBar::hidden, |bars| bars.add(bar))
        };
        let (scan, work) = (line(), line());
        Self { scan, work, in_hand: (0..workers.min(SHOWN_IN_HAND)).map(|_| line()).collect() }
    }

    fn draw(&self, now: &Snapshot, rate: Rate) {
        self.scan.set_message(scan_line(now, rate.entries));
        self.work.set_message(work_line(now, rate.bytes));
        for (index, bar) in self.in_hand.iter().enumerate() {
            bar.set_message(now.in_hand.get(index).map_or(String::new(), |one| {
                let moved = one.moved.min(one.bytes);
                format!(
                    "       {:>9} of {:>9}  {}",
                    Bytes(moved).to_string(),
                    Bytes(one.bytes).to_string(),
                    one.path
                )
            }));
        }
    }

    fn clear(self) {
        for bar in [self.scan, self.work].into_iter().chain(self.in_hand) {
            bar.finish_and_clear();
        }
    }
}

fn scan_line(now: &Snapshot, rate: u64) -> String {
    let (source, dest) = (Count(now.counts.source_entries), Count(now.counts.dest_entries));
    let pace = if now.scanned { "complete".into() } else { format!("{}/s", Count(rate)) };
    format!("scan   {source} at the source, {dest} at the destination, {pace}")
}

fn work_line(now: &Snapshot, rate: u64) -> String {
    // Until the scan is complete the plan still grows.
    let so_far = if now.scanned { "" } else { " so far" };
    let failed = match now.counts.failed + now.counts.conflicts {
        0 => String::new(),
        failed => format!(", {} failed", Count(failed)),
    };
    format!(
        "work   {} of {}{so_far}, {} of {}, {}/s{failed}",
        Count(now.done),
        Count(now.planned),
        Bytes(now.done_bytes),
        Bytes(now.planned_bytes),
        Bytes(rate),
    )
}

fn line(now: &Snapshot) -> String {
    let entries = now.counts.source_entries + now.counts.dest_entries;
    format!(
        "{}; {}",
        scan_line(now, per_second(entries, now.elapsed)),
        work_line(now, per_second(now.moved_bytes, now.elapsed))
    )
}
