//! Copying bytes from one open file into another, and into a digest.
//!
//! A small file is copied by its worker alone. A large file gets two more threads: one hashes, one
//! writes to disk. So reading, hashing and writing do not wait for each other. Where the file
//! system can share blocks between two files, no data is copied at all.

use std::thread;

use super::digester::{CHUNK, Digester};
use super::writeback::{Writeback, window};
use crate::model::{Failure, Md5, Side};
use crate::pipeline::execute::pace::Pace;
use crate::pipeline::execute::tools::Tools;
use crate::pipeline::halt::{Doing, Halt, OpResult, may_change};
use crate::stop::Stop;
use crate::tree::{Extent, File, Freshness, Layout};

/// Files of at least this many bytes get threads of their own. The cost of starting a thread is
/// negligible against hashing so much.
const LARGE: u64 = 8 * 1024 * 1024;

/// The maximum of bytes that the kernel copies in one call, so that nobody waits long for the call
/// to return.
const IN_ONE_CALL: u64 = 16 * 1024 * 1024;

/// Whether a copy of `len` bytes may have to be read again at the destination: the digest of shared
/// blocks is taken there.
pub(in crate::pipeline::execute) fn is_read_back(len: u64) -> bool {
    len >= LARGE
}

/// What one worker copies bytes with.
pub(in crate::pipeline::execute) struct Copier<'a> {
    /// A buffer to reuse.
    spare: Vec<u8>,
    hash_copies: bool,
    /// After this many bytes, a part of a large file is written to disk. `None` if that is left to
    /// the kernel.
    window: Option<u64>,
    /// Bytes between two updates of the checkpoint.
    note_every: u64,
    pace: &'a Pace,
    stop: &'a Stop,
    progress: &'a (dyn Fn(u64) + 'a),
}

/// The result of a copy.
#[derive(Debug)]
pub(in crate::pipeline::execute) struct Copied {
    /// Bytes of data that were copied. Holes do not count.
    pub(in crate::pipeline::execute) bytes: u64,
    /// Bytes that were already in the destination file, holes included.
    pub(in crate::pipeline::execute) kept: u64,
    /// Digest of the whole content, holes included. `None` if hashing was not asked for.
    pub(in crate::pipeline::execute) md5: Option<Md5>,
}

/// What the destination file holds before the copy begins, and the function that notes how much of
/// it is on disk.
pub(in crate::pipeline::execute) struct Beginning<'n> {
    durable: u64,
    /// Returns `false` if the number of bytes could not be noted.
    note: Option<&'n dyn Fn(u64) -> bool>,
}

impl<'n> Beginning<'n> {
    pub(in crate::pipeline::execute) fn new(
        durable: u64,
        note: &'n Option<impl Fn(u64) -> bool>,
    ) -> Self {
        Self { durable, note: note.as_ref().map(|note| note as _) }
    }

    /// Empties the file, so that the copy begins anew. It also resets the checkpoint: a later run
    /// must not take the old content for the beginning of the source.
    fn forget(&mut self, dest: &File) -> OpResult<()> {
        if self.note.is_some_and(|note| !note(0)) {
            let reason =
                "the beginning that an interrupted run left is not the source's".to_owned();
            return Err(Halt::Failed(Failure::error(reason)));
        }
        self.durable = 0;
        dest.set_len(0).at_dest("setting the size")
    }
}

/// One file that is being copied into another.
struct Transfer<'m, 's> {
    source: &'m File,
    dest: &'m File,
    digester: Digester<'s>,
    writeback: Writeback,
    beginning: Beginning<'m>,
}

impl<'a> Copier<'a> {
    /// `progress` is called with the number of bytes that were just read, copied or shared.
    pub(in crate::pipeline::execute) fn new(
        tools: &'a Tools<'a>,
        progress: &'a (dyn Fn(u64) + 'a),
    ) -> Self {
        let options = tools.context.options;
        let (hash_copies, window) = (options.io.hash_copies, window(&options.io));
        let note_every = options.io.resume_above / 4;
        Self {
            spare: Vec::new(),
            hash_copies,
            window,
            note_every,
            pace: &tools.pace,
            stop: tools.context.stop,
            progress,
        }
    }

    /// Copies `len` bytes into a file that is empty or that holds the beginning of them. Holes stay
    /// holes where the source has them.
    ///
    /// The size is set last, and only if the source ends with a hole. If a file had its full size
    /// at once, a copy that was cut short would look complete.
    pub(in crate::pipeline::execute) fn copy(
        &mut self,
        source: &File,
        dest: &File,
        len: u64,
        layout: Layout,
        mut beginning: Beginning<'_>,
    ) -> OpResult<Copied> {
        let (hash, spare) = (self.hash_copies, std::mem::take(&mut self.spare));
        if !is_read_back(len) {
            let (digester, writeback) = (Digester::here(hash, spare), Writeback::none());
            return self.copy_all(
                Transfer { source, dest, digester, writeback, beginning },
                len,
                layout,
            );
        }
        if beginning.durable == 0
            && let Some(copied) = self.reflink(source, dest, len, layout)?
        {
            return Ok(copied);
        }
        thread::scope(|threads| {
            let mut digester = Digester::beside(hash, spare, threads);
            if hash && !self.digest_beginning(source, dest, beginning.durable, &mut digester)? {
                self.may_change()?;
                beginning.forget(dest)?;
                digester = Digester::beside(hash, Vec::new(), threads);
            }
            let writeback = match self.window {
                Some(window) => Writeback::start(dest, beginning.durable, window, threads),
                None => Writeback::none(),
            };
            self.copy_all(Transfer { source, dest, digester, writeback, beginning }, len, layout)
        })
    }

    /// Digests the first `len` bytes. Returns `false` as soon as the two sides differ in them.
    fn digest_beginning(
        &mut self,
        source: &File,
        dest: &File,
        len: u64,
        digester: &mut Digester<'_>,
    ) -> OpResult<bool> {
        let (mut position, mut held) = (0, vec![0; if len > 0 { CHUNK } else { 0 }]);
        while position < len {
            let mut buffer = digester.buffer();
            let read =
                self.read(source, Side::Source, Extent { start: position, end: len }, &mut buffer)?;
            let mut compared = 0;
            while compared < read {
                let rest =
                    Extent { start: position + compared as u64, end: position + read as u64 };
                let more = self.read(dest, Side::Dest, rest, &mut held)?;
                if held[..more] != buffer[compared..compared + more] {
                    return Ok(false);
                }
                compared += more;
            }
            digester.digest(buffer, read);
            position += read as u64;
        }
        Ok(true)
    }

    /// The digest of a file of `len` bytes at that side.
    pub(in crate::pipeline::execute) fn digest(
        &mut self,
        file: &File,
        side: Side,
        len: u64,
    ) -> OpResult<Md5> {
        let spare = std::mem::take(&mut self.spare);
        if len < LARGE {
            return self.digest_all(file, side, len, Digester::here(true, spare));
        }
        thread::scope(|threads| {
            self.digest_all(file, side, len, Digester::beside(true, spare, threads))
        })
    }

    /// Lets both files share their blocks. `None` if the file system cannot do that here. The
    /// digest is that of what arrived at the destination.
    fn reflink(
        &mut self,
        source: &File,
        dest: &File,
        len: u64,
        layout: Layout,
    ) -> OpResult<Option<Copied>> {
        // A sparse file is copied in the usual way, so that its data is counted.
        self.may_change()?;
        if layout == Layout::Sparse || !source.reflink_to(dest).at_dest("sharing the data")? {
            return Ok(None);
        }
        if dest.look(Freshness::Cached).at_dest("looking at the temporary")?.file_len() != Some(len)
        {
            return Err(Halt::SourceChanged);
        }
        let md5 = match self.hash_copies {
            true => Some(self.digest(dest, Side::Dest, len)?),
            false => {
                (self.progress)(len);
                None
            }
        };
        Ok(Some(Copied { bytes: len, kept: 0, md5 }))
    }

    fn copy_all(
        &mut self,
        mut work: Transfer<'_, '_>,
        len: u64,
        layout: Layout,
    ) -> OpResult<Copied> {
        let kept = work.beginning.durable;
        let (mut bytes, mut position) = (0, kept);
        while position < len {
            let data = if layout == Layout::Sparse {
                work.source.next_data(position, len).at_source("looking for holes in the source")?
            } else {
                Some(Extent { start: position, end: len })
            };
            let data = data.unwrap_or(Extent { start: len, end: len });
            self.digest_hole(data.start - position, &mut work.digester)?;
            self.copy_extent(&mut work, data)?;
            bytes += data.end - data.start;
            position = data.end;
            if data.start == data.end {
                self.may_change()?;
                work.dest.set_len(len).at_dest("setting the size")?;
            }
        }
        work.writeback.finish()?;
        let (md5, spare) = work.digester.finish();
        self.spare = spare;
        Ok(Copied { bytes, kept, md5 })
    }

    fn copy_extent(&self, work: &mut Transfer<'_, '_>, data: Extent) -> OpResult<()> {
        let mut position = data.start;
        if !self.hash_copies {
            position = self.copy_in_kernel(work, data)?;
        }
        while position < data.end {
            let mut buffer = work.digester.buffer();
            let rest = Extent { start: position, end: data.end };
            let read = self.read(work.source, Side::Source, rest, &mut buffer)?;
            self.write(work.dest, &buffer[..read], position)?;
            work.digester.digest(buffer, read);
            position += read as u64;
            self.copied(work, position)?;
        }
        Ok(())
    }

    fn write(&self, dest: &File, mut bytes: &[u8], mut position: u64) -> OpResult<()> {
        while !bytes.is_empty() {
            self.may_change()?;
            let written = dest.write_at(bytes, position).at_dest("writing the data")?;
            (bytes, position) = (&bytes[written..], position + written as u64);
        }
        Ok(())
    }

    /// The copy has reached `position`. Notes now and then how much of it is on disk.
    fn copied(&self, work: &mut Transfer<'_, '_>, position: u64) -> OpResult<()> {
        let Some(durable) = work.writeback.copied(position)? else { return Ok(()) };
        if let Some(note) = work.beginning.note
            && durable - work.beginning.durable >= self.note_every
            && !self.stop.forbids_changes()
            && note(durable)
        {
            work.beginning.durable = durable;
        }
        Ok(())
    }

    /// Returns the position that was reached. The rest has to be read and written.
    fn copy_in_kernel(&self, work: &mut Transfer<'_, '_>, data: Extent) -> OpResult<u64> {
        let mut position = data.start;
        while position < data.end {
            let step = self.take_step(data.end - position, IN_ONE_CALL)?;
            let copied =
                work.source.copy_range_to(work.dest, position, step).at_dest("copying the data")?;
            self.pace.give_back(step.saturating_sub(copied.unwrap_or(0)));
            match copied {
                Some(copied) => {
                    position += copied;
                    (self.progress)(copied);
                    self.copied(work, position)?;
                }
                None => break,
            }
        }
        Ok(position)
    }

    fn digest_all(
        &mut self,
        file: &File,
        side: Side,
        len: u64,
        mut digester: Digester<'_>,
    ) -> OpResult<Md5> {
        let mut position = 0;
        while position < len {
            let mut buffer = digester.buffer();
            let read = self.read(file, side, Extent { start: position, end: len }, &mut buffer)?;
            digester.digest(buffer, read);
            position += read as u64;
        }
        let (md5, spare) = digester.finish();
        self.spare = spare;
        // A digest was asked for, so there is one.
        md5.ok_or(Halt::SourceChanged)
    }

    /// Fills the buffer once, beginning at the start of `extent`. If the file ends before the
    /// extent does, it was truncated while it was read.
    fn read(&self, file: &File, side: Side, extent: Extent, buffer: &mut [u8]) -> OpResult<usize> {
        let wanted = self.take_step(extent.end - extent.start, buffer.len() as u64)?;
        let read = file
            .read_at(&mut buffer[..wanted as usize], extent.start)
            .on(side, "reading the data")?;
        if read == 0 {
            return Err(Halt::SourceChanged);
        }
        self.pace.give_back(wanted - read as u64);
        (self.progress)(read as u64);
        Ok(read)
    }

    fn digest_hole(&self, mut len: u64, digester: &mut Digester<'_>) -> OpResult<()> {
        while len > 0 {
            self.go_on()?;
            len -= digester.digest_zeros(len);
        }
        Ok(())
    }

    /// How many bytes to copy now, `most` at most. Waits until the pace allows them.
    fn take_step(&self, len: u64, most: u64) -> OpResult<u64> {
        let step = self.pace.step(len.min(most));
        if self.pace.pay(step, self.stop) { Ok(step) } else { Err(Halt::Stopped) }
    }

    fn may_change(&self) -> OpResult<()> {
        may_change(self.stop)
    }

    fn go_on(&self) -> OpResult<()> {
        if self.stop.is_requested() { Err(Halt::Stopped) } else { Ok(()) }
    }
}
