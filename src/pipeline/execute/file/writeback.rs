//! Writing a large file to disk while it is being copied, so that only a bounded part of it waits
//! in memory.
//!
//! Without this, the kernel keeps written data until it fills a good part of the machine's memory.
//! Then it stops every process that writes. In a container with little memory it stops or kills us.
//! So a second thread writes one window to disk while the next window is copied. It also tells the
//! kernel that the data will not be read soon. At most two windows of a file are in memory at any
//! time. Shared blocks need no writing.
//!
//! The thread calls `fdatasync` and not `sync_file_range`. After `fdatasync` the data is durable,
//! also on a server, and a copy that is resumed after an interruption may rely on that.

use std::io;
use std::thread::{Builder, Scope};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::pipeline::halt::{Doing, OpResult};
use crate::pipeline::options::{Fsync, IoOptions};
use crate::tree::{Extent, File};

/// The bytes of all workers' windows together, and the bounds of one worker's window. With smaller
/// windows, a disk or a server waits more often. With larger ones, a worker that is told to stop
/// takes longer.
const WINDOWS: u64 = 64 * 1024 * 1024;
const SMALLEST: u64 = 4 * 1024 * 1024;
const LARGEST: u64 = 32 * 1024 * 1024;

/// The connection to the thread that writes one file to disk.
pub(in crate::pipeline::execute) struct Writeback {
    window: u64,
    /// What was copied and has not been handed to the thread yet.
    copied: Extent,
    thread: Option<Thread>,
}

struct Thread {
    windows: Sender<Extent>,
    written: Receiver<io::Result<Extent>>,
    is_busy: bool,
}

/// The size in bytes of each worker's window. `None` if nothing is to be written to disk early.
pub(in crate::pipeline::execute) fn window(io: &IoOptions) -> Option<u64> {
    let share = WINDOWS / io.workers.max(1) as u64;
    (io.fsync != Fsync::Never).then(|| share.clamp(SMALLEST, LARGEST))
}

impl Writeback {
    /// Leaves all writing to the kernel.
    pub(in crate::pipeline::execute) fn none() -> Self {
        Self { window: u64::MAX, copied: Extent { start: 0, end: 0 }, thread: None }
    }

    /// Starts a second thread that writes `file` to disk, from `start` on. If the thread cannot be
    /// started, writing is left to the kernel.
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

    /// The file has been copied up to `end`. Waits while more than one window is not on disk.
    /// Returns the position up to which the file is on disk, if that has changed.
    pub(in crate::pipeline::execute) fn copied(&mut self, end: u64) -> OpResult<Option<u64>> {
        self.copied.end = end;
        let Some(thread) = &mut self.thread else { return Ok(None) };
        if end - self.copied.start < self.window {
            return Ok(None);
        }
        let durable = thread.wait()?;
        // The thread takes the window at once, because it has nothing else to do.
        thread.is_busy = thread.windows.send(self.copied).is_ok();
        self.copied.start = end;
        Ok(durable)
    }

    /// Waits until the thread has written its window, and returns its error if there was one.
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

/// The life of the writing thread: it ends when no more windows can come.
fn write(file: &File, windows: &Receiver<Extent>, tell: &Sender<io::Result<Extent>>) {
    for window in windows {
        let written = file.sync_data().map(|()| {
            file.forget(window);
            window
        });
        // If the copy was given up, nobody reads the result.
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
