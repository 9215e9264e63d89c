//! Writing a large file to disk while it is being copied, so that only a bounded part of it waits in memory.
//!
//! Without this the kernel keeps what was written until a good part of the machine's memory is full of it, and
//! then stops everybody who writes; in a container with little memory it stops, or kills, us. So a thread beside the
//! copy writes one window to disk while the next one is copied, and tells the kernel that nobody will read it soon.
//! At most two windows of a file are ever in memory. A file system that shares blocks has nothing to write.
//!
//! `fdatasync` it is and not `sync_file_range`: what has been written is durable then, also on a server, which is
//! what a copy that is continued after an interruption may rely on.

use std::io;
use std::thread::{Builder, Scope};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::pipeline::halt::{Doing, OpResult};
use crate::pipeline::options::{Fsync, IoOptions};
use crate::tree::{Extent, File};

/// Bytes of a window for all workers together, and the bounds of one worker's: smaller ones cost a disk or a server a
/// wait for each, larger ones a worker that is told to stop.
const WINDOWS: u64 = 64 * 1024 * 1024;
const SMALLEST: u64 = 4 * 1024 * 1024;
const LARGEST: u64 = 32 * 1024 * 1024;

/// The way to the thread that writes one file to disk.
pub(in crate::pipeline::execute) struct Writeback {
    window: u64,
    /// What was copied and has not been handed over.
    copied: Extent,
    thread: Option<Thread>,
}

struct Thread {
    windows: Sender<Extent>,
    written: Receiver<io::Result<Extent>>,
    is_busy: bool,
}

/// The window for each of these workers. Nothing: the disk is to be left alone.
pub(in crate::pipeline::execute) fn window(io: &IoOptions) -> Option<u64> {
    let share = WINDOWS / io.workers.max(1) as u64;
    (io.fsync != Fsync::Never).then(|| share.clamp(SMALLEST, LARGEST))
}

impl Writeback {
    /// Copies nothing behind.
    pub(in crate::pipeline::execute) fn none() -> Self {
        Self { window: u64::MAX, copied: Extent { start: 0, end: 0 }, thread: None }
    }

    /// Writes `file` to disk in a thread beside this one, from `start` on. Without a thread it is left to the kernel.
    pub(in crate::pipeline::execute) fn start<'s>(
        file: &'s File,
        start: u64,
        window: u64,
        threads: &'s Scope<'s, '_>,
    ) -> Self {
        let (windows, waiting) = bounded(1);
        let (tell, written) = bounded(1);
        let spawned = Builder::new()
            .name("write".into())
            .spawn_scoped(threads, move || write(file, &waiting, &tell));
        let thread = spawned.ok().map(|_| Thread { windows, written, is_busy: false });
        Self { window, copied: Extent { start, end: start }, thread }
    }

    /// The file has been copied up to `end`. Waits while there is more than a window that is not on disk, and
    /// returns up to where the file is, when that has changed.
    pub(in crate::pipeline::execute) fn copied(&mut self, end: u64) -> OpResult<Option<u64>> {
        self.copied.end = end;
        let Some(thread) = &mut self.thread else { return Ok(None) };
        if end - self.copied.start < self.window {
            return Ok(None);
        }
        let durable = thread.wait()?;
        // The thread takes it up at once: it has nothing else to do.
        thread.is_busy = thread.windows.send(self.copied).is_ok();
        self.copied.start = end;
        Ok(durable)
    }

    /// Waits for what is under way, to hear whether it went well.
    pub(in crate::pipeline::execute) fn finish(self) -> OpResult<()> {
        self.thread.map_or(Ok(()), |mut thread| thread.wait().map(|_| ()))
    }
}

impl Thread {
    fn wait(&mut self) -> OpResult<Option<u64>> {
        if !std::mem::take(&mut self.is_busy) {
            return Ok(None);
        }
        let written =
            self.written.recv().unwrap_or_else(|_| Err(io::Error::other("the thread is gone")));
        written.at_dest("writing to disk").map(|window| Some(window.end))
    }
}

/// The thread's life: until nothing more comes.
fn write(file: &File, windows: &Receiver<Extent>, tell: &Sender<io::Result<Extent>>) {
    for window in windows {
        let written = file.sync_data().map(|()| {
            file.forget(window);
            window
        });
        // Nobody asks any more where the copy was given up.
        let _unasked = tell.send(written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::pipeline::options::{Options, Process};

    #[test]
    fn windows_shrink_with_the_number_of_workers_within_bounds() {
        let plain = Options::plain(Process::new(0, true, Timestamp::default())).io;
        let options = |workers, fsync| IoOptions { workers, fsync, ..plain };
        let cases = [(1, 32), (2, 32), (4, 16), (8, 8), (16, 4), (1024, 4)];
        for (workers, mebibytes) in cases {
            assert_eq!(window(&options(workers, Fsync::AtEnd)), Some(mebibytes << 20), "{workers}");
        }
        assert_eq!(window(&options(4, Fsync::Never)), None);
    }
}
