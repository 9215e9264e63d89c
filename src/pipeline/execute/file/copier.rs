//! Moving bytes: from one open file into another, and into a digest.
//!
//! A small file is moved by its worker alone. A large one gets threads beside it, one that hashes and one that
//! writes to disk, so that reading, hashing and writing do not wait for each other; or its blocks are shared,
//! where the file system can, and nothing is moved at all.

use std::thread;

use super::digester::{CHUNK, Digester};
use super::writeback::{Writeback, window};
use crate::model::{Failure, Md5, Side};
use crate::pipeline::execute::pace::Pace;
use crate::pipeline::execute::tools::Tools;
use crate::pipeline::halt::{Doing, Halt, OpResult, may_change};
use crate::stop::Stop;
use crate::tree::{Extent, File, Freshness, Layout};

/// Files of this many bytes get threads beside them: starting one is nothing against hashing so much.
const LARGE: u64 = 8 * 1024 * 1024;

/// Bytes that the kernel copies in one call at most, so that nobody waits long for it to return.
const IN_ONE_CALL: u64 = 16 * 1024 * 1024;

/// Whether what was copied of a file of so many bytes may have to be read again: the digest of shared blocks is
/// taken at the destination.
pub(in crate::pipeline::execute) fn is_read_back(len: u64) -> bool {
    len >= LARGE
}

/// What one worker moves bytes with.
pub(in crate::pipeline::execute) struct Copier<'a> {
    /// A buffer to use again.
    spare: Vec<u8>,
    hash_copies: bool,
    /// Bytes after which a large file is written to disk; nothing: that is left to the kernel.
    window: Option<u64>,
    /// Bytes between two notes of how far a copy is.
    note_every: u64,
    pace: &'a Pace,
    stop: &'a Stop,
    progress: &'a (dyn Fn(u64) + 'a),
}

/// What was moved.
#[derive(Debug)]
pub(in crate::pipeline::execute) struct Copied {
    /// Bytes of data; holes don't count.
    pub(in crate::pipeline::execute) bytes: u64,
    /// Bytes that were there before, holes included.
    pub(in crate::pipeline::execute) kept: u64,
    /// Digest of the whole content, holes included, if it was asked for.
    pub(in crate::pipeline::execute) md5: Option<Md5>,
}

/// What is there before a copy begins, and whoever is to be told how much of it is on disk.
pub(in crate::pipeline::execute) struct Beginning<'n> {
    durable: u64,
    /// `false`: it could not be noted.
    note: Option<&'n dyn Fn(u64) -> bool>,
}

impl<'n> Beginning<'n> {
    pub(in crate::pipeline::execute) fn new(
        durable: u64,
        note: &'n Option<impl Fn(u64) -> bool>,
    ) -> Self {
        Self { durable, note: note.as_ref().map(|note| note as _) }
    }

    /// Begins anew: what is there must not be taken for the beginning by a later run, either.
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

/// One file on its way into another.
struct Move<'m, 's> {
    source: &'m File,
    dest: &'m File,
    digester: Digester<'s>,
    writeback: Writeback,
    beginning: Beginning<'m>,
}

impl<'a> Copier<'a> {
    /// `progress` hears of progress, in bytes.
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

    /// Makes a file of `len` bytes of one that is empty, or that is the beginning of it. Holes stay holes, where there are some.
    ///
    /// The size is set last and only where the end is a hole: a file that had its full size at once
    /// would, cut short, look complete.
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
            return self.move_all(
                Move { source, dest, digester, writeback, beginning },
                len,
                layout,
            );
        }
        if beginning.durable == 0
            && let Some(shared) = self.share(source, dest, len, layout)?
        {
            return Ok(shared);
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
            self.move_all(Move { source, dest, digester, writeback, beginning }, len, layout)
        })
    }

    /// Digests what is there already, if both sides hold the same.
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

    /// The digest of a file on that side that has `len` bytes.
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

    /// Has both files share their blocks; nothing: that cannot be done here. The digest is that of what arrived.
    fn share(
        &mut self,
        source: &File,
        dest: &File,
        len: u64,
        layout: Layout,
    ) -> OpResult<Option<Copied>> {
        // A sparse one goes the other way, to count its data.
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

    fn move_all(&mut self, mut work: Move<'_, '_>, len: u64, layout: Layout) -> OpResult<Copied> {
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
            self.move_extent(&mut work, data)?;
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

    fn move_extent(&self, work: &mut Move<'_, '_>, data: Extent) -> OpResult<()> {
        let mut position = data.start;
        if !self.hash_copies {
            position = self.move_in_kernel(work, data)?;
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

    /// The copy has come up to `position`: what is on disk is noted now and then.
    fn copied(&self, work: &mut Move<'_, '_>, position: u64) -> OpResult<()> {
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

    /// Returns how far it came: the rest has to be read and written.
    fn move_in_kernel(&self, work: &mut Move<'_, '_>, data: Extent) -> OpResult<u64> {
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
        // A digest was asked for.
        md5.ok_or(Halt::SourceChanged)
    }

    /// Fills the buffer once, from somewhere in `extent`. A file that ends early was cut while it was read.
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

    /// How many bytes to move now, `most` at most, once the pace allows it.
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
