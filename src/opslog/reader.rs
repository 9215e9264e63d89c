//! Reading an opslog in constant memory, and telling a torn tail from damage.
//!
//! A run that was killed leaves a last line that is not whole. That line is cut off, and what was
//! read before it stands. Anything unreadable that is followed by more lines is damage, and nobody
//! should guess at it.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::check::check;
use super::format::{FORMAT, Footer, Header, Line, Record};

/// Bytes of a line, at most. A path of 2 MiB, every byte of it escaped, would still fit.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// An opslog whose header was read.
///
/// ```
/// use ha_sync::opslog::{End, OpslogReader};
///
/// // What a run that was killed leaves: its last line is torn.
/// let lines = concat!(
///     r#"{"type":"header","format":1,"run_id":"01a22fa0-a78d-724f-917e-0124c080924c","#,
///     r#""pair":"media","direction":"dell-to-hp","src":"/mnt/dell","dest":"/mnt/hp","#,
///     r#""started_at":"2026-12-01T03:23:07.537Z","dry_run":false,"version":"0.1.0","#,
///     r#""host":"node-1","pid":7,"database":"none","options":{}}"#, "\n",
///     r#"{"type":"operation","operation":"create","filepath":"film.mkv","kind":"file","#,
///     r#""size_after":3,"bytes":3,"started_at":"2026-12-01T03:23:07.542Z","#,
///     r#""ended_at":"2026-12-01T03:23:07.542Z","status":"success"}"#, "\n",
///     r#"{"type":"operation","oper"#,
/// );
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("opslog-media.jsonl.part");
/// std::fs::write(&path, lines)?;
///
/// let (header, reader) = OpslogReader::open(&path)?;
/// let mut paths = Vec::new();
/// let end = reader.read(|record| Ok(paths.push(record.filepath.to_string())))?;
/// assert_eq!((header.pair.as_str(), paths), ("media", vec!["film.mkv".to_owned()]));
/// // The whole lines stand; what follows them is cut off.
/// let torn = r#"{"type":"operation","oper"#.len();
/// assert_eq!(end, End::Torn { valid_len: (lines.len() - torn) as u64 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OpslogReader {
    file: BufReader<File>,
    line: Vec<u8>,
    /// Bytes of whole, readable lines so far.
    valid_len: u64,
    /// The number of the current line, counted from 1.
    number: u64,
}

/// How an opslog ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With its footer.
    Sealed(Box<Footer>),
    /// Without a footer. The first `valid_len` bytes are whole lines.
    Torn {
        /// Bytes to keep.
        valid_len: u64,
    },
}

/// Why an opslog cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It cannot be read at all.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It ends before the header does: the run was killed before it changed anything.
    #[error("the file has no header")]
    NoHeader,
    /// A line in the middle is not what it should be.
    #[error("line {line} is damaged: {reason}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// It ends without its footer.
    #[error("its last line is torn")]
    Torn,
    /// Lines are missing or doubled.
    #[error("it holds {holds} operations, its last line says {says}")]
    Count {
        /// Lines of operations.
        holds: u64,
        /// What the footer says.
        says: u64,
    },
    /// It was written by a later release.
    #[error(
        "the file has format {0}, this release reads up to {FORMAT}; use the release that wrote it or a newer one"
    )]
    Newer(u32),
}

impl OpslogReader {
    /// Opens an opslog and reads its header.
    pub fn open(path: &Path) -> Result<(Header, Self), Damage> {
        let file = BufReader::with_capacity(128 * 1024, File::open(path)?);
        let mut reader = Self { file, line: Vec::new(), valid_len: 0, number: 0 };
        if !reader.next_line()? {
            return Err(Damage::NoHeader);
        }
        // The version first: what else a newer header holds is unknown.
        let version =
            serde_json::from_slice::<Version>(&reader.line).map_or(0, |version| version.format);
        if version > FORMAT {
            return Err(Damage::Newer(version));
        }
        let is_last = reader.is_at_end()?;
        match decode(&reader.line) {
            Ok(Line::Header(header)) => {
                reader.accept();
                Ok((header, reader))
            }
            Ok(_) => Err(reader.damage("an opslog begins with its header".into())),
            Err(_) if is_last => Err(Damage::NoHeader),
            Err(reason) => Err(reader.damage(reason)),
        }
    }

    /// Finds out whether a sealed opslog is torn, or lines of it are missing, doubled or split,
    /// before anybody uses the first line. That shows only at the end of the file. The check costs
    /// little: no line but the last one is decoded.
    pub fn check(&mut self) -> Result<(), Damage> {
        let mut holds = 0;
        while self.next_line()? {
            if self.is_at_end()? {
                let Ok(Line::Footer(footer)) = decode(&self.line) else { break };
                if footer.operations != holds {
                    return Err(Damage::Count { holds, says: footer.operations });
                }
                self.file.seek(SeekFrom::Start(self.valid_len))?;
                self.number = 1;
                return Ok(());
            }
            let line = self.line.trim_ascii();
            if !line.starts_with(b"{") || !line.ends_with(b"}") {
                return Err(self.damage("it is not a JSON object".into()));
            }
            holds += 1;
        }
        Err(Damage::Torn)
    }

    /// Reads all operations, in the order of the file, and tells how the file ends.
    pub fn read(
        mut self,
        mut each: impl FnMut(Record<'_>) -> io::Result<()>,
    ) -> Result<End, Damage> {
        while self.next_line()? {
            let is_last = self.is_at_end()?;
            match decode(&self.line) {
                Ok(Line::Operation(record)) => each(record)?,
                Ok(Line::Footer(footer)) if is_last => return Ok(End::Sealed(Box::new(footer))),
                Ok(Line::Footer(_)) => {
                    return Err(self.damage("something follows the footer".into()));
                }
                Ok(Line::Header(_)) => return Err(self.damage("a second header".into())),
                Err(_) if is_last => break,
                Err(reason) => return Err(self.damage(reason)),
            }
            self.accept();
        }
        Ok(End::Torn { valid_len: self.valid_len })
    }

    /// Reads one line with its newline. `false` if there is no further whole line.
    fn next_line(&mut self) -> Result<bool, Damage> {
        self.line.clear();
        self.number += 1;
        (&mut self.file).take(LONGEST_LINE).read_until(b'\n', &mut self.line)?;
        if self.line.len() as u64 == LONGEST_LINE && self.line.last() != Some(&b'\n') {
            return Err(self.damage("it does not end".into()));
        }
        Ok(self.line.last() == Some(&b'\n'))
    }

    fn accept(&mut self) {
        self.valid_len += self.line.len() as u64;
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(self.file.fill_buf()?.is_empty())
    }

    fn damage(&self, reason: String) -> Damage {
        Damage::Line { line: self.number, reason }
    }
}

/// A line whose values make sense, or what is wrong with it.
fn decode(line: &[u8]) -> Result<Line<'_>, String> {
    let line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    check(&line).map(|()| line).map_err(str::to_owned)
}

#[derive(serde::Deserialize)]
struct Version {
    format: u32,
}
