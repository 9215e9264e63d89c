//! Progress while a run lasts: bars on a terminal, otherwise a line every 30 seconds.
//!
//! A thread of its own reads the numbers and draws. The run's threads never wait for a terminal.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use console::measure_text_width;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use indicatif::{ProgressBar, ProgressStyle};

use super::console::Console;
use super::live::{InHand, Live, Snapshot};
use super::units::{Bytes, Count, per_second};

/// The time between two drawings of the bars.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// The time between two log lines.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// The largest number of operations in hand that are shown, however many workers there are.
const SHOWN_IN_HAND: usize = 4;

/// The time over which a rate is taken, or the time since the last look if that is longer.
const RATE_OVER: Duration = Duration::from_secs(3);

/// The columns before the path in a line of an operation in hand.
const BEFORE_PATH: usize = 38;

/// The thread that shows progress.
#[derive(Debug)]
pub struct Progress {
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl Progress {
    /// Shows `live` as bars if the console has them, otherwise as log lines. `expected` is the
    /// number of entries that the last run saw in both trees, if that is known.
    ///
    /// `None` if the thread cannot be started. Then the run goes on without progress.
    pub fn start(
        live: &Arc<Live>,
        console: &Console,
        workers: usize,
        expected: Option<u64>,
    ) -> Option<Self> {
        let (end, ended) = bounded(0);
        let live = Arc::clone(live);
        let bars = console.bars().map(|_| Bars::new(console, workers));
        let every = if bars.is_some() { DRAW_EVERY } else { LOG_EVERY };
        let thread = thread::Builder::new().name("progress".into()).spawn(move || {
            let mut rates = Rates::default();
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let now = live.snapshot();
                let (scan, work) = lines(&now, rates.update(&now), expected);
                match &bars {
                    Some(bars) => bars.draw(scan, work, &now),
                    None => tracing::info!("{scan}; {work}"),
                }
            }
            if let Some(bars) = bars {
                bars.clear();
            }
        });
        thread.ok().map(|thread| Self { end, thread })
    }

    /// Removes the bars from the terminal. Nothing more is drawn once this returns.
    pub fn finish(self) {
        drop(self.end);
        // A panic of the drawing thread costs the bars and nothing else.
        let _drawn = self.thread.join();
    }
}

/// Entries and bytes per second.
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    entries: u64,
    bytes: u64,
}

/// Samples of the last few seconds: elapsed time, entries, bytes.
#[derive(Debug, Default)]
struct Rates(VecDeque<(Duration, u64, u64)>);

impl Rates {
    fn update(&mut self, now: &Snapshot) -> Rate {
        let entries = now.counts.source_entries + now.counts.dest_entries;
        self.0.push_back((now.elapsed, entries, now.moved_bytes));
        let is_old = |then: Duration| now.elapsed.saturating_sub(then) > RATE_OVER;
        while self.0.len() > 2 && is_old(self.0[0].0) {
            self.0.pop_front();
        }
        let (then, entries_then, bytes_then) =
            if self.0.len() > 1 { self.0[0] } else { Default::default() };
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
        // The template is fixed in the source. If it did not parse, the default style would do.
        let style = ProgressStyle::with_template("{wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let line = || {
            let bar = ProgressBar::new(0).with_style(style.clone());
            console.bars().map_or_else(ProgressBar::hidden, |bars| bars.add(bar))
        };
        let (scan, work) = (line(), line());
        Self { scan, work, in_hand: (0..workers.min(SHOWN_IN_HAND)).map(|_| line()).collect() }
    }

    /// Draws the bars. Of the operations in hand it shows the largest: small files come and go
    /// faster than anybody reads.
    fn draw(&self, scan: String, work: String, now: &Snapshot) {
        let width = Console::width();
        self.scan.set_message(scan);
        self.work.set_message(work);
        let mut largest: Vec<&InHand> = now.in_hand.iter().collect();
        largest.sort_by_key(|one| Reverse(one.bytes));
        for (index, bar) in self.in_hand.iter().enumerate() {
            bar.set_message(
                largest.get(index).map_or_else(String::new, |one| in_hand_line(one, width)),
            );
        }
    }

    fn clear(self) {
        for bar in [self.scan, self.work].into_iter().chain(self.in_hand) {
            bar.finish_and_clear();
        }
    }
}

/// The line of the scan and the line of the work.
fn lines(now: &Snapshot, rate: Rate, expected: Option<u64>) -> (String, String) {
    (scan_line(now, rate.entries, expected), work_line(now, rate.bytes))
}

fn scan_line(now: &Snapshot, rate: u64, expected: Option<u64>) -> String {
    let (source, dest) = (now.counts.source_entries, now.counts.dest_entries);
    let pace = match (now.scanned, expected.filter(|expected| *expected > 0)) {
        (true, _) => "complete".to_owned(),
        (false, None) => format!("{}/s", Count(rate)),
        (false, Some(expected)) => {
            format!("{}/s, {} % of last run", Count(rate), percent(source + dest, expected))
        }
    };
    format!("scan   {} at the source, {} at the destination, {pace}", Count(source), Count(dest))
}

fn work_line(now: &Snapshot, rate: u64) -> String {
    // The plan grows until the scan is complete.
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

/// The line of an operation in hand: `      3.20 GiB of  8.00 GiB   40 %  …/the/end/of/its/path`.
fn in_hand_line(one: &InHand, width: usize) -> String {
    let moved = one.moved.min(one.bytes);
    let (done, all) = (Bytes(moved).to_string(), Bytes(one.bytes).to_string());
    let share =
        if one.bytes == 0 { String::new() } else { format!("{} %", percent(moved, one.bytes)) };
    let path = ending(&one.path.to_string(), width.saturating_sub(BEFORE_PATH));
    format!("       {done:>9} of {all:>9}  {share:>5}  {path}")
}

/// The end of a text, in at most so many columns. Of a path, the end tells most.
fn ending(text: &str, columns: usize) -> String {
    if measure_text_width(text) <= columns {
        return text.to_owned();
    }
    let mut rest = text.chars();
    while measure_text_width(rest.as_str()) >= columns.max(1) {
        rest.next();
    }
    format!("…{}", rest.as_str())
}

fn percent(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RelPath, Summary};
    use crate::report::Live;

    fn snapshot(entries: u64, scanned: bool) -> Snapshot {
        let counts =
            Summary { source_entries: entries, dest_entries: entries, ..Summary::default() };
        Snapshot { counts, scanned, ..Live::new(1).snapshot() }
    }

    #[test]
    fn the_scan_is_measured_by_the_last_run_as_long_as_it_lasts() {
        let cases = [
            (
                snapshot(50, false),
                Some(200),
                "50 at the source, 50 at the destination, 7/s, 50 % of last run",
            ),
            (
                snapshot(150, false),
                Some(200),
                "150 at the source, 150 at the destination, 7/s, 150 % of last run",
            ),
            (snapshot(50, false), None, "50 at the source, 50 at the destination, 7/s"),
            (snapshot(50, false), Some(0), "50 at the source, 50 at the destination, 7/s"),
            (snapshot(50, true), Some(200), "50 at the source, 50 at the destination, complete"),
        ];
        for (now, expected, text) in cases {
            assert_eq!(scan_line(&now, 7, expected), format!("scan   {text}"));
        }
    }

    #[test]
    fn a_line_fits_its_terminal_and_shows_the_end_of_a_path() {
        let path = RelPath::from_bytes(
            &b"photos/\x1b[2J\xe5\x86\x99\xe7\x9c\x9f/a-rather-long-name-of-a-picture-from-the-sea.jpg"[..],
        )
        .unwrap();
        for width in [20, 40, 60, 80, 81, 82, 120, 200] {
            let line =
                in_hand_line(&InHand { path: path.clone(), bytes: 3 << 30, moved: 1 << 30 }, width);
            assert!(measure_text_width(&line) <= width.max(BEFORE_PATH + 1), "{width}: {line}");
            assert!(
                line.contains("1.00 GiB of  3.00 GiB   33 %") && !line.contains('\x1b'),
                "{line}"
            );
            assert!(width < 50 || line.ends_with("the-sea.jpg"), "{line}");
        }
    }

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let mut rates = Rates::default();
        let mut last = Rate::default();
        for second in 1..=10 {
            let moved_bytes = if second <= 5 { second * 1000 } else { 5000 + (second - 5) * 10 };
            let elapsed = Duration::from_secs(second);
            last = rates.update(&Snapshot { moved_bytes, elapsed, ..snapshot(0, false) });
        }
        assert_eq!(last.bytes, 10);
        let mut rare = Rates::default();
        for (second, moved_bytes) in [(30, 3000), (60, 3300), (90, 3600)] {
            let elapsed = Duration::from_secs(second);
            last = rare.update(&Snapshot { moved_bytes, elapsed, ..snapshot(0, false) });
        }
        assert_eq!(last.bytes, 10, "of a log line every half minute");
    }
}
