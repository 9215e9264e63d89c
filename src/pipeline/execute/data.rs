//! Moving bytes: from one open file into another, and into a digest.
//!
//! A small file is moved by its worker alone. A large one gets threads beside it, one that hashes and one that
//! writes to disk, so that reading, hashing and writing do not wait for each other; or its blocks are shared,
//! where the file system can, and nothing is moved at all.

use std::thread;

use super::behind::{Behind, window};
use super::digester::{CHUNK, Digester};
use super::step::{Doing, Halt, Step, may_change};
use crate::model::{Failure, Md5, Side};
use crate::pipeline::pace::Pace;
use crate::pipeline::stage::Stage;
use crate::stop::Stop;
use crate::tree::{Extent, File, Freshness, Layout};

/// Files of this many bytes get threads beside them: starting one is nothing against hashing so much.
const LARGE: u64 = 8 * 1024 * 1024;

/// Bytes that the kernel copies in one call at most, so that nobody waits long for it to return.
const IN_ONE_CALL: u64 = 16 * 1024 * 1024;

/// Whether what was copied of a file of so many bytes may have to be read again: the digest of shared blocks is
/// taken at the destination.
pub(super) fn is_read_back(len: u64) -> bool {
    len >= LARGE
}

/// What one worker moves bytes with.
pub(super) struct Mover<'a> {
    /// A buffer to use again.
    spare: Vec<u8>,
    hash_copies: bool,
    /// Bytes after which a large file is written to disk; nothing: that is left to the kernel.
    window: Option<u64>,
    /// Bytes between two notes of how far a copy is.
    note_every: u64,
    pace: &'a Pace,
    stop: &'a Stop,
    moved: &'a (dyn Fn(u64) + 'a),
}

/// What was moved.
#[derive(Debug)]
pub(super) struct Moved {
    /// Bytes of data; holes don't count.
    pub(super) bytes: u64,
    /// Bytes that were there before, holes included.
    pub(super) kept: u64,
    /// Digest of the whole content, holes included, if it was asked for.
    pub(super) md5: Option<Md5>,
}

/// What is there before a copy begins, and whoever is to be told how much of it is on disk.
pub(super) struct Beginning<'n> {
    durable: u64,
    /// `false`: it could not be noted.
    note: Option<&'n dyn Fn(u64) -> bool>,
}

impl<'n> Beginning<'n> {
    pub(super) fn new(durable: u64, note: &'n Option<impl Fn(u64) -> bool>) -> Self {
        Self { durable, note: note.as_ref().map(|note| note as _) }
    }

    /// Begins anew: what is there must not be taken for the beginning by a later run, either.
    fn forget(&mut self, dest: &File) -> Step<()> {
        if self.note.is_some_and(|note| !note(0)) {
            let reason = "the beginning that an interrupted run left is not the source's".to_owned();
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
    behind: Behind,
    beginning: Beginning<'m>,
}

impl<'a> Mover<'a> {
    /// `moved` hears of progress, in bytes.
    pub(super) fn new(stage: &'a Stage<'a>, moved: &'a (dyn Fn(u64) + 'a)) -> Self {
        let (hash_copies, window) = (stage.options.hash_copies, window(stage.options));
        let note_every = stage.options.continue_above / 4;
        Self {
            spare: Vec::new(),
            hash_copies,
            window,
            note_every,
            pace: &stage.pace,
            stop: stage.stop,
            moved,
        }
    }

    /// Makes a file of `len` bytes of one that is empty, or that is the beginning of it. Holes stay holes, where there are some.
    ///
    /// The size is set last and only where the end is a hole: a file that had its full size at once
    /// would, cut short, look complete.
    pub(super) fn copy(
        &mut self,
        source: &File,
        dest: &File,
        len: u64,
        layout: Layout,
        mut beginning: Beginning<'_>,
    ) -> Step<Moved> {
        let (hash, spare) = (self.hash_copies, std::mem::take(&mut self.spare));
        if !is_read_back(len) {
            let (digester, behind) = (Digester::here(hash, spare), Behind::none());
            return self.move_all(Move { source, dest, digester, behind, beginning }, len, layout);
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
            let behind = match self.window {
                Some(window) => Behind::start(dest, beginning.durable, window, threads),
                None => Behind::none(),
            };
            self.move_all(Move { source, dest, digester, behind, beginning }, len, layout)
        })
    }

    /// Digests what is there already, if both sides hold the same.
    fn digest_beginning(
        &mut self,
        source: &File,
        dest: &File,
        len: u64,
        digester: &mut Digester<'_>,
    ) -> Step<bool> {
        let (mut position, mut held) = (0, vec![0; if len > 0 { CHUNK } else { 0 }]);
        while position < len {
            let mut buffer = digester.buffer();
            let read = self.read(source, Side::Source, Extent { start: position, end: len }, &mut buffer)?;
            let mut compared = 0;
            while compared < read {
                let rest = Extent { start: position + compared as u64, end: position + read as u64 };
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
    pub(super) fn digest(&mut self, file: &File, side: Side, len: u64) -> Step<Md5> {
        let spare = std::mem::take(&mut self.spare);
        if len < LARGE {
            return self.digest_all(file, side, len, Digester::here(true, spare));
        }
        thread::scope(|threads| self.digest_all(file, side, len, Digester::beside(true, spare, threads)))
    }

    /// Has both files share their blocks; nothing: that cannot be done here. The digest is that of what arrived.
    fn share(&mut self, source: &File, dest: &File, len: u64, layout: Layout) -> Step<Option<Moved>> {
        // A sparse one goes the other way, to count its data.
        self.may_change()?;
        if layout == Layout::Sparse || !source.share_with(dest).at_dest("sharing the data")? {
            return Ok(None);
        }
        if dest.look(Freshness::Cached).at_dest("looking at the temporary")?.file_len() != Some(len) {
            return Err(Halt::SourceChanged);
        }
        let md5 = match self.hash_copies {
            true => Some(self.digest(dest, Side::Dest, len)?),
            false => {
                (self.moved)(len);
                None
            }
        };
        Ok(Some(Moved { bytes: len, kept: 0, md5 }))
    }

    fn move_all(&mut self, mut work: Move<'_, '_>, len: u64, layout: Layout) -> Step<Moved> {
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
        work.behind.finish()?;
        let (md5, spare) = work.digester.finish();
        self.spare = spare;
        Ok(Moved { bytes, kept, md5 })
    }

    fn move_extent(&self, work: &mut Move<'_, '_>, data: Extent) -> Step<()> {
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

    fn write(&self, dest: &File, mut bytes: &[u8], mut position: u64) -> Step<()> {
        while !bytes.is_empty() {
            self.may_change()?;
            let written = dest.write_at(bytes, position).at_dest("writing the data")?;
            (bytes, position) = (&bytes[written..], position + written as u64);
        }
        Ok(())
    }

    /// The copy has come up to `position`: what is on disk is noted now and then.
    fn copied(&self, work: &mut Move<'_, '_>, position: u64) -> Step<()> {
        let Some(durable) = work.behind.copied(position)? else { return Ok(()) };
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
    fn move_in_kernel(&self, work: &mut Move<'_, '_>, data: Extent) -> Step<u64> {
        let mut position = data.start;
        while position < data.end {
            let step = self.take_step(data.end - position, IN_ONE_CALL)?;
            let copied = work.source.copy_range_to(work.dest, position, step).at_dest("copying the data")?;
            self.pace.give_back(step.saturating_sub(copied.unwrap_or(0)));
            match copied {
                Some(copied) => {
                    position += copied;
                    (self.moved)(copied);
                    self.copied(work, position)?;
                }
                None => break,
            }
        }
        Ok(position)
    }

    fn digest_all(&mut self, file: &File, side: Side, len: u64, mut digester: Digester<'_>) -> Step<Md5> {
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
    fn read(&self, file: &File, side: Side, extent: Extent, buffer: &mut [u8]) -> Step<usize> {
        let wanted = self.take_step(extent.end - extent.start, buffer.len() as u64)?;
        let read = file.read_at(&mut buffer[..wanted as usize], extent.start).on(side, "reading the data")?;
        if read == 0 {
            return Err(Halt::SourceChanged);
        }
        self.pace.give_back(wanted - read as u64);
        (self.moved)(read as u64);
        Ok(read)
    }

    fn digest_hole(&self, mut len: u64, digester: &mut Digester<'_>) -> Step<()> {
        while len > 0 {
            self.go_on()?;
            len -= digester.digest_zeros(len);
        }
        Ok(())
    }

    /// How many bytes to move now, `most` at most, once the pace allows it.
    fn take_step(&self, len: u64, most: u64) -> Step<u64> {
        let step = self.pace.step(len.min(most));
        if self.pace.pay(step, self.stop) { Ok(step) } else { Err(Halt::Stopped) }
    }

    fn may_change(&self) -> Step<()> {
        may_change(self.stop)
    }

    fn go_on(&self) -> Step<()> {
        if self.stop.is_requested() { Err(Halt::Stopped) } else { Ok(()) }
    }
}
