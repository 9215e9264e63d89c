//! The directory that holds the opslogs and the lock files. It has a tag, so that it is never
//! synced itself, whatever path or mount it is seen through.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::tree::LOG_DIR_TAG;

/// Opslogs name every file of the trees, so only their owner and group may read them.
const DIR_MODE: u32 = 0o750;
pub(super) const FILE_MODE: u32 = 0o640;

const TAG_TEXT: &str = "This directory holds the operation logs of ha-sync.\n\
                        A directory with this file in it is left out of every sync; do not remove it.\n";

/// What the name of an opslog ends in while it is written, and what it ends in when it is damaged.
pub(super) const PART: &str = ".jsonl.part";
pub(super) const CORRUPT: &str = ".jsonl.corrupt";
/// What the name of an opslog ends in when it is whole.
pub const SEALED: &str = ".jsonl";

/// An existing, tagged log directory.
#[derive(Clone, Debug)]
pub struct LogDir {
    path: PathBuf,
}

impl LogDir {
    /// Opens the directory, and makes it and its tag if they are missing.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(DIR_MODE).create(path)?;
        let tag = path.join(LOG_DIR_TAG);
        if !tag.try_exists()? {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o644)
                .open(&tag)?;
            file.write_all(TAG_TEXT.as_bytes())?;
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Opens a log directory that is there. A mistyped path does not become one, nor does a folder
    /// of other files: both are errors.
    pub fn existing(path: &Path) -> io::Result<Self> {
        if !path.is_dir() {
            return Err(io::Error::other("there is none, the first run makes it"));
        }
        let dir = Self { path: path.to_owned() };
        let is_one = path.join(LOG_DIR_TAG).try_exists()? || !dir.opslogs("")?.is_empty();
        if is_one || fs::read_dir(path)?.next().is_none() {
            return Ok(dir);
        }
        Err(io::Error::other(format!(
            "no run has used it: it lacks {LOG_DIR_TAG} and holds other files"
        )))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The opslogs whose names end in `suffix`, sorted by name: of each pair and direction the
    /// oldest first.
    pub fn opslogs(&self, suffix: &str) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_opslog = name
                .to_str()
                .is_some_and(|name| name.starts_with("opslog-") && name.ends_with(suffix));
            if is_opslog && entry.file_type()?.is_file() {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }

    /// Makes changes of the directory itself (a new name, a renaming) survive a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}
