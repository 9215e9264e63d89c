//! The two output streams. What is printed never tears the progress bars apart.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use console::Term;
use indicatif::{MultiProgress, ProgressDrawTarget};
use tracing_subscriber::fmt::MakeWriter;

/// Standard output and standard error, with bars or without. Clones share one console.
#[derive(Clone, Debug)]
pub struct Console {
    bars: Option<MultiProgress>,
    /// The error after which nothing more is written to standard output.
    closed: Arc<OnceLock<io::Error>>,
}

impl Console {
    /// `bars`: whether there will be bars on standard error.
    pub fn new(bars: bool) -> Self {
        // Ten times a second: fast enough to look alive, slow enough to read.
        let bars =
            bars.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        Self { bars, closed: Arc::default() }
    }

    /// The place where bars are added. `None` if this console has no bars.
    pub fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    /// The number of columns that the bars' terminal has right now.
    pub(super) fn width() -> usize {
        Term::stderr().size().1.into()
    }

    /// Prints text to standard output. Its lines have their ends already.
    pub fn print(&self, text: &str) {
        if !self.is_open() {
            return;
        }
        let printed = self.aside(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
        });
        if let Err(error) = printed {
            // The first reason is the one that counts.
            let _known = self.closed.set(error);
        }
    }

    /// Closes standard output, because its reader does not read any more. Nothing more is printed.
    pub fn close(&self) {
        // An earlier reason is as good as this one.
        let _known = self.closed.set(io::ErrorKind::BrokenPipe.into());
    }

    /// Whether standard output is still written to.
    pub fn is_open(&self) -> bool {
        self.closed.get().is_none()
    }

    /// The error of a write to standard output. `None` if all was written, or if the reader has
    /// gone (`ha-sync … | head`), which is not an error.
    pub fn failure(&self) -> Option<&io::Error> {
        self.closed.get().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }

    /// Removes the bars from the terminal while something else is written there.
    fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

/// Log messages go to standard error, one event a write.
impl<'a> MakeWriter<'a> for Console {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Console {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.aside(|| io::stderr().write_all(event)).map(|()| event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
