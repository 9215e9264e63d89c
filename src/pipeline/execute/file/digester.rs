//! The MD5 of a stream of buffers: computed in the calling thread, or for a large file in a second
//! one.
//!
//! The caller hands buffers over and gets them back. So the thread that reads and writes can fill
//! the next buffer while this one is hashed. What is digested is exactly what was written: it is
//! not read again.

use std::panic::resume_unwind;
use std::thread::{Builder, Scope, ScopedJoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use md5::{Digest as _, Md5 as Hasher};

use crate::model::Md5;

/// Bytes of a buffer. This size fits the second-level cache, and a larger one gains nothing.
pub(in crate::pipeline::execute) const CHUNK: usize = 256 * 1024;

/// Buffers on their way between the two threads. They hold as much data as is hashed while the
/// other thread waits for its time slice on a busy processor.
const BUFFERS: usize = 16;

/// The maximum of zeros in one message, so that every message is hashed in a moment.
const ZEROS_AT_ONCE: u64 = 1024 * 1024;

/// One block of zeros, for hashing holes.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// Digests what it is given. Where no digest is wanted, it only hands out buffers.
pub(in crate::pipeline::execute) struct Digester<'s> {
    /// A free buffer.
    spare: Vec<u8>,
    how: How<'s>,
}

enum How<'s> {
    Not,
    Here(Box<Hasher>),
    Beside { blocks: Sender<Block>, free: Receiver<Vec<u8>>, thread: ScopedJoinHandle<'s, Hasher> },
}

enum Block {
    Data(Vec<u8>, usize),
    Zeros(u64),
}

impl<'s> Digester<'s> {
    /// Hashes in the calling thread. `spare` may be a buffer to reuse.
    pub(in crate::pipeline::execute) fn here(is_wanted: bool, spare: Vec<u8>) -> Self {
        let how = if is_wanted { How::Here(Box::new(Hasher::new())) } else { How::Not };
        Self { spare, how }
    }

    /// Hashes in a second thread, or in the calling one if no thread can be started.
    pub(in crate::pipeline::execute) fn beside<'e>(
        is_wanted: bool,
        spare: Vec<u8>,
        threads: &'s Scope<'s, 'e>,
    ) -> Self {
        let (blocks, waiting) = bounded(BUFFERS);
        let (empty, free) = bounded(BUFFERS);
        let spawn = || {
            Builder::new().name("md5".into()).spawn_scoped(threads, move || hash(&waiting, &empty))
        };
        match is_wanted.then(spawn) {
            Some(Ok(thread)) => Self { spare, how: How::Beside { blocks, free, thread } },
            // The lack of a thread must not fail the copy.
            Some(Err(_)) | None => Self::here(is_wanted, spare),
        }
    }

    /// A buffer to fill.
    pub(in crate::pipeline::execute) fn buffer(&mut self) -> Vec<u8> {
        let buffer = match &self.how {
            How::Beside { free, .. } => free.recv().unwrap_or_default(),
            How::Not | How::Here(_) => std::mem::take(&mut self.spare),
        };
        if buffer.len() == CHUNK { buffer } else { vec![0; CHUNK] }
    }

    /// Adds the first `len` bytes of a buffer.
    pub(in crate::pipeline::execute) fn digest(&mut self, buffer: Vec<u8>, len: usize) {
        match &mut self.how {
            How::Not => self.spare = buffer,
            How::Here(hasher) => {
                hasher.update(&buffer[..len]);
                self.spare = buffer;
            }
            How::Beside { blocks, .. } => send(blocks, Block::Data(buffer, len)),
        }
    }

    /// Adds zeros. Returns how many of `len` were taken, because there may be more than can be
    /// hashed in a moment.
    pub(in crate::pipeline::execute) fn digest_zeros(&mut self, len: u64) -> u64 {
        let taken = len.min(ZEROS_AT_ONCE);
        match &mut self.how {
            How::Not => return len,
            How::Here(hasher) => hash_zeros(hasher, taken),
            How::Beside { blocks, .. } => send(blocks, Block::Zeros(taken)),
        }
        taken
    }

    /// The digest, if it was wanted, and a buffer to reuse.
    pub(in crate::pipeline::execute) fn finish(self) -> (Option<Md5>, Vec<u8>) {
        let hasher = match self.how {
            How::Not => None,
            How::Here(hasher) => Some(*hasher),
            How::Beside { blocks, thread, .. } => {
                drop(blocks);
                Some(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            }
        };
        (hasher.map(|hasher| Md5(hasher.finalize().into())), self.spare)
    }
}

/// The life of the hashing thread: it ends when no more blocks can come.
fn hash(blocks: &Receiver<Block>, empty: &Sender<Vec<u8>>) -> Hasher {
    let mut hasher = Hasher::new();
    for _ in 0..BUFFERS {
        give_back(empty, Vec::new());
    }
    for block in blocks {
        match block {
            Block::Data(buffer, len) => {
                hasher.update(&buffer[..len]);
                give_back(empty, buffer);
            }
            Block::Zeros(len) => hash_zeros(&mut hasher, len),
        }
    }
    hasher
}

fn hash_zeros(hasher: &mut Hasher, mut len: u64) {
    while len > 0 {
        let block = len.min(ZEROS.len() as u64);
        hasher.update(&ZEROS[..block as usize]);
        len -= block;
    }
}

fn send(blocks: &Sender<Block>, block: Block) {
    // If the thread is gone, it has panicked. `finish` finds out.
    let _told_at_the_end = blocks.send(block);
}

fn give_back(empty: &Sender<Vec<u8>>, buffer: Vec<u8>) {
    // This fails if the caller needs no more buffers.
    let _unused = empty.send(buffer);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(mut digester: Digester<'_>) -> Option<Md5> {
        for len in [1, CHUNK, 3, 0] {
            let mut buffer = digester.buffer();
            buffer[..len].fill(b'x');
            digester.digest(buffer, len);
        }
        let mut zeros = 3 * ZEROS_AT_ONCE + 5;
        while zeros > 0 {
            zeros -= digester.digest_zeros(zeros);
        }
        let buffer = digester.buffer();
        digester.digest(buffer, 0);
        digester.finish().0
    }

    #[test]
    fn a_digest_is_the_same_here_and_beside() {
        let here = digest_of(Digester::here(true, Vec::new()));
        let beside =
            std::thread::scope(|threads| digest_of(Digester::beside(true, Vec::new(), threads)));
        let mut content = vec![b'x'; CHUNK + 4];
        content.resize(content.len() + 3 * ZEROS_AT_ONCE as usize + 5, 0);
        let whole = Md5(Hasher::digest(&content).into());
        assert_eq!((here, beside), (Some(whole), Some(whole)));
        assert_eq!(digest_of(Digester::here(false, Vec::new())), None);
    }
}
