//! Writing an opslog: a header that is on disk before anything is changed, a line for each outcome,
//! a footer, and the name that says that it is whole.
//!
//! While it is written, the file is called `….jsonl.part` and the writer holds a lock on it. So a
//! `.part` that nobody locks is that of a dead run. Lines reach the kernel at least every second,
//! so a run that is killed lacks the lines of its last second at most. A power cut can take what
//! the kernel had not written yet.
//!
//! A process that slept for long may wake up and find that another one took it for dead, and sealed
//! its file or already flushed it. Then it writes everything once more under another name. The run
//! id is the same, so whoever reads both files knows.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::format::{Footer, Header, Line, Record};
use super::log_dir::{FILE_MODE, LogDir, PART, SEALED};
use crate::model::Outcome;
use crate::time::to_file_stamp;

/// Bytes of lines that are gathered for one write.
const BUFFER: usize = 128 * 1024;

/// How long lines are gathered before they are written, at most.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// An opslog that its run has written and is not done with. As long as this value lives, no other
/// run flushes it.
#[derive(Debug)]
pub struct SealedOpslog {
    /// Where it is.
    pub path: PathBuf,
    /// The writer's lock, which is still held.
    _lock: File,
}

/// Whether the run that wrote a sealed opslog is not done with it yet.
pub fn is_in_hand(path: &Path) -> io::Result<bool> {
    Ok(matches!(File::open(path)?.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

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
        let short_id = header
            .run_id
            .rsplit('-')
            .next()
            .map_or("", |last| &last[last.len().saturating_sub(8)..]);
        let stem = format!("{}-{}-{short_id}", header.key().opslog_stem(), to_file_stamp(started));
        let file = begin(dir, &stem)?;
        let (file, line) = (BufWriter::with_capacity(BUFFER, file), Vec::new());
        let mut writer =
            Self { dir: dir.clone(), stem, file, line, operations: 0, flushed: Instant::now() };
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

    /// Ends the opslog. When this returns, it is whole, sealed and on disk.
    pub fn finish(mut self, footer: Footer) -> io::Result<SealedOpslog> {
        self.flush()?;
        if !self.is_in_place()? {
            self.write_again()?;
        }
        self.write(&Line::Footer(footer))?;
        self.flush()?;
        self.file.get_ref().sync_all()?;
        let sealed = self.dir.path().join(format!("{}{SEALED}", self.stem));
        fs::rename(self.dir.path().join(format!("{}{PART}", self.stem)), &sealed)?;
        self.dir.sync()?;
        Ok(SealedOpslog { path: sealed, _lock: self.file.into_inner()? })
    }

    /// Whether the name still leads to this file.
    fn is_in_place(&self) -> io::Result<bool> {
        let ours = self.file.get_ref().metadata()?;
        match fs::metadata(self.dir.path().join(format!("{}{PART}", self.stem))) {
            Ok(found) => Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Copies what was written, without the footer of whoever sealed it meanwhile. The copy needs
    /// another name: a process that flushes the old file deletes it in the end.
    fn write_again(&mut self) -> io::Result<()> {
        self.stem.push_str("-again");
        let again = BufWriter::with_capacity(BUFFER, begin(&self.dir, &self.stem)?);
        let mut written = BufReader::new(std::mem::replace(&mut self.file, again).into_inner()?);
        written.rewind()?;
        self.line.clear();
        while written.read_until(b'\n', &mut self.line)? > 0 {
            match serde_json::from_slice(&self.line)? {
                Line::Header(_) | Line::Operation(_) => self.file.write_all(&self.line)?,
                Line::Footer(_) => {}
            }
            self.line.clear();
        }
        Ok(())
    }

    /// Writes the line of one operation. If the last write to the file was a second ago or longer,
    /// all waiting lines reach the file with this call.
    pub fn record(&mut self, outcome: &Outcome) -> io::Result<()> {
        self.write(&Line::Operation(Record::of(outcome)))?;
        self.operations += 1;
        if self.flushed.elapsed() >= FLUSH_EVERY { self.flush() } else { Ok(()) }
    }

    /// Writes out the lines that wait in memory. The caller has nothing else to do.
    pub fn idle(&mut self) -> io::Result<()> {
        self.flush()
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

/// Makes a new file. It is locked, so that nobody takes it for that of a dead run.
fn begin(dir: &LogDir, stem: &str) -> io::Result<File> {
    let path = dir.path().join(format!("{stem}{PART}"));
    let file =
        OpenOptions::new().read(true).append(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.lock()?;
    Ok(file)
}
