//! The lock file: an advisory lock that the kernel releases when its holder ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

use super::Holder;

/// For the owner and the group only: whoever may read it could hold the lock, and keep every run from beginning.
const FILE_MODE: u32 = 0o640;

/// A lock that is held as long as this lives.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

/// How asking for the lock went.
#[derive(Debug)]
pub enum AskedForFile {
    /// It is ours.
    Held(FileLock),
    /// Somebody else has it; who, if the file tells.
    Taken(Option<Holder>),
}

impl FileLock {
    /// Asks once.
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

    /// Gives the lock back. The file stays: removing it would let two processes lock two files of one name.
    pub fn release(mut self) -> io::Result<()> {
        self.file.rewind()?;
        self.file.set_len(0)?;
        self.file.unlock()
    }
}

/// Who holds a lock file now, and who that is, if the file tells. Nothing: nobody does.
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

/// A regular file and nothing else: a fifo would be waited for, and what a symlink leads to be emptied.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = options.custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

fn named_in(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}
