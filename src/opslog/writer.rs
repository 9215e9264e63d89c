//! Writing an opslog: a header that is on disk before anything is changed, a line for each
//! outcome, a footer, and the name that says that it is whole.
//!
//! While it is written the file is called `….jsonl.part` and the writer holds a lock on it:
//! whoever finds a `.part` that nobody locks has found a dead run's. Lines reach the kernel at
//! least every second, so a run that is killed lacks the lines of its last second at most; a power
//! cut can take what the kernel had not written yet.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::format::{Footer, Header, Line, Record};
use super::log_dir::{FILE_MODE, LogDir, PART, SEALED};
use crate::model::Outcome;
use crate::pipeline::Recorder;
use crate::time::to_file_stamp;

/// Lines that are gathered for one write.
const BUFFER: usize = 128 * 1024;

/// Lines wait no longer than this for more.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// An opslog that is being written.
#[derive(Debug)]
pub struct OpslogWriter {
    dir: LogDir,
    stem: String,
    file: BufWriter<File>,
    line: Vec<u8>,
    operations: u64,
    flushed: Instant,
}

impl OpslogWriter {
    /// Begins the opslog of a run. When this returns, the header is on disk.
    pub fn create(dir: &LogDir, header: Header, started: SystemTime) -> io::Result<Self> {
        let short_id =
            header.run_id.rsplit('-').next().map_or("", |last| &last[last.len().saturating_sub(8)..]);
        let stem =
            format!("opslog-{}-{}-{}-{short_id}", header.pair, header.direction, to_file_stamp(started));
        let path = dir.path().join(format!("{stem}{PART}"));
        let file = OpenOptions::new().append(true).create_new(true).mode(FILE_MODE).open(path)?;
        file.lock()?;
        let (file, line) = (BufWriter::with_capacity(BUFFER, file), Vec::new());
        let mut writer = Self { dir: dir.clone(), stem, file, line, operations: 0, flushed: Instant::now() };
        writer.write(&Line::Header(header))?;
        writer.flush()?;
        writer.file.get_ref().sync_all()?;
        dir.sync()?;
        Ok(writer)
    }

    /// Operations written so far.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Ends the opslog: from now on it is whole. Returns where it lies.
    pub fn finish(mut self, footer: Footer) -> io::Result<PathBuf> {
        self.write(&Line::Footer(footer))?;
        self.flush()?;
        self.file.get_ref().sync_all()?;
        let sealed = self.dir.path().join(format!("{}{SEALED}", self.stem));
        fs::rename(self.dir.path().join(format!("{}{PART}", self.stem)), &sealed)?;
        self.dir.sync()?;
        Ok(sealed)
    }

    fn write(&mut self, line: &Line<'_>) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.file.write_all(&self.line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushed = Instant::now();
        self.file.flush()
    }
}

impl Recorder for OpslogWriter {
    fn record(&mut self, outcome: &Outcome) -> io::Result<()> {
        self.write(&Line::Operation(Record::of(outcome)))?;
        self.operations += 1;
        if self.flushed.elapsed() >= FLUSH_EVERY { self.flush() } else { Ok(()) }
    }

    fn idle(&mut self) -> io::Result<()> {
        self.flush()
    }
}
