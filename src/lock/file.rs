//! The lock file: an advisory lock. The kernel releases it when its holder ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

use super::holder::Holder;

/// Only the owner and the group may open the file: everybody who may read it could lock it and so
/// keep every run from beginning.
const FILE_MODE: u32 = 0o640;

/// A lock file that is locked as long as this value lives.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

/// What came of asking for the lock.
#[derive(Debug)]
pub enum AskedForFile {
    /// This process holds it.
    Held(FileLock),
    /// Another process holds it. `None` if the file does not name it.
    Taken(Option<Holder>),
}

impl FileLock {
    /// Asks once for the lock, and writes `holder` into the file if it is free.
    pub fn try_acquire(path: &Path, holder: &Holder) -> io::Result<AskedForFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let mut file = open(&mut options, path)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                file.write_all(&serde_json::to_vec(holder)?)?;
                Ok(AskedForFile::Held(Self { file }))
            }
            Err(TryLockError::WouldBlock) => Ok(AskedForFile::Taken(named_in(&mut file))),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Releases the lock. The file stays: if it were removed, two processes could lock two files of
    /// one name.
    pub fn release(mut self) -> io::Result<()> {
        self.file.rewind()?;
        self.file.set_len(0)?;
        self.file.unlock()
    }
}

/// The process that holds a lock file now. `None` if nobody does, `Some(None)` if the file does not
/// name its holder.
pub fn holder_of(path: &Path) -> io::Result<Option<Option<Holder>>> {
    let mut file = match open(OpenOptions::new().read(true), path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(named_in(&mut file))),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Opens a regular file and nothing else: opening a fifo would block, and the target of a symlink
/// would be emptied.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = options.custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

fn named_in(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}
