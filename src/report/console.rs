//! The two output streams, so that what is printed never tears the bars apart.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use console::Term;
use indicatif::{MultiProgress, ProgressDrawTarget};
use tracing_subscriber::fmt::MakeWriter;

/// Standard output and standard error, with bars or without. Clones are the same console.
#[derive(Clone, Debug)]
pub struct Console {
    bars: Option<MultiProgress>,
    /// Why standard output takes nothing any more.
    closed: Arc<OnceLock<io::Error>>,
}

impl Console {
    /// `bars`: there will be some on standard error.
    pub fn new(bars: bool) -> Self {
        // Ten times a second: quick enough to be alive, slow enough to read.
        let bars = bars.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        Self { bars, closed: Arc::default() }
    }

    /// Where bars are added; nothing where there are none.
    pub fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    /// Columns of the terminal that the bars are on, as wide as it is just now.
    pub(super) fn width() -> usize {
        Term::stderr().size().1.into()
    }

    /// Prints text that ends its own lines to standard output.
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

    /// Prints nothing more: whoever was to read standard output does not.
    pub fn close(&self) {
        // Whatever closed it before is as good a reason.
        let _known = self.closed.set(io::ErrorKind::BrokenPipe.into());
    }

    /// Whether standard output still takes anything.
    pub fn is_open(&self) -> bool {
        self.closed.get().is_none()
    }

    /// What was lost on the way to standard output. That nobody reads on (`ha-sync … | head`) is no loss.
    pub fn failure(&self) -> Option<&io::Error> {
        self.closed.get().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }

    /// Takes the bars off the terminal while something else is written there.
    fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

/// Messages go to standard error, one event at a time.
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
