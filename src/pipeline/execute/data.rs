//! Moving bytes: from one open file into another, and into a digest.

use md5::{Digest, Md5 as Hasher};

use super::step::{Doing, Halt, Step};
use crate::model::{Md5, Side};
use crate::stop::Stop;
use crate::tree::{Extent, File, Layout};

/// Bytes moved between two looks at the flag to stop. Larger gains nothing: it fits the second-level cache.
const CHUNK: usize = 256 * 1024;

/// A block of a hole, for the digest.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// What one worker moves bytes with.
pub(super) struct Mover<'a> {
    buffer: Vec<u8>,
    hash_copies: bool,
    stop: &'a Stop,
    moved: &'a (dyn Fn(u64) + 'a),
}

/// What was moved.
#[derive(Debug)]
pub(super) struct Moved {
    /// Bytes of data; holes don't count.
    pub(super) bytes: u64,
    /// Digest of the whole content, holes included, if it was asked for.
    pub(super) md5: Option<Md5>,
}

impl<'a> Mover<'a> {
    /// `moved` hears of progress, in bytes.
    pub(super) fn new(hash_copies: bool, stop: &'a Stop, moved: &'a (dyn Fn(u64) + 'a)) -> Self {
        Self { buffer: vec![0; CHUNK], hash_copies, stop, moved }
    }

    /// Copies `len` bytes into an empty file. Holes stay holes, where there are some.
    ///
    /// Without a digest the kernel copies by itself where it can. The size is set last and only
    /// where the end is a hole: a file that had its full size at once would, cut short, look complete.
    pub(super) fn copy(&mut self, source: &File, dest: &File, len: u64, layout: Layout) -> Step<Moved> {
        let mut hasher = self.hash_copies.then(Hasher::new);
        let (mut bytes, mut position) = (0, 0);
        while position < len {
            let data = if layout == Layout::Sparse {
                source.next_data(position, len).at_source("looking for holes in the source")?
            } else {
                Some(Extent { start: position, end: len })
            };
            let data = data.unwrap_or(Extent { start: len, end: len });
            if let Some(hasher) = &mut hasher {
                self.digest_hole(data.start - position, hasher)?;
            }
            self.copy_extent(source, dest, data, hasher.as_mut())?;
            bytes += data.end - data.start;
            position = data.end;
            if data.start == data.end {
                dest.set_len(len).at_dest("setting the size")?;
            }
        }
        Ok(Moved { bytes, md5: hasher.map(finish) })
    }

    /// The digest of a file on that side that has `len` bytes.
    pub(super) fn digest(&mut self, file: &File, side: Side, len: u64) -> Step<Md5> {
        let mut hasher = Hasher::new();
        let mut position = 0;
        while position < len {
            let read = self.read(file, side, Extent { start: position, end: len })?;
            hasher.update(&self.buffer[..read]);
            position += read as u64;
        }
        Ok(finish(hasher))
    }

    fn copy_extent(
        &mut self,
        source: &File,
        dest: &File,
        data: Extent,
        mut hasher: Option<&mut Hasher>,
    ) -> Step<()> {
        let mut position = data.start;
        if hasher.is_none() {
            position = self.copy_in_kernel(source, dest, data)?;
        }
        while position < data.end {
            let read = self.read(source, Side::Source, Extent { start: position, end: data.end })?;
            let bytes = &self.buffer[..read];
            if let Some(hasher) = &mut hasher {
                hasher.update(bytes);
            }
            dest.write_all_at(bytes, position).at_dest("writing the data")?;
            position += read as u64;
        }
        Ok(())
    }

    /// Returns how far it came: the rest has to be read and written.
    fn copy_in_kernel(&self, source: &File, dest: &File, data: Extent) -> Step<u64> {
        let mut position = data.start;
        while position < data.end {
            self.go_on()?;
            match source.copy_range_to(dest, position, data.end - position).at_dest("copying the data")? {
                Some(copied) => {
                    position += copied;
                    (self.moved)(copied);
                }
                None => break,
            }
        }
        Ok(position)
    }

    /// Fills the buffer once, from somewhere in `extent`. A file that ends early was cut while it was read.
    fn read(&mut self, file: &File, side: Side, extent: Extent) -> Step<usize> {
        self.go_on()?;
        let wanted = usize::try_from(extent.end - extent.start).unwrap_or(CHUNK).min(CHUNK);
        let read = file.read_at(&mut self.buffer[..wanted], extent.start).on(side, "reading the data")?;
        if read == 0 {
            return Err(Halt::SourceChanged);
        }
        (self.moved)(read as u64);
        Ok(read)
    }

    fn digest_hole(&self, mut len: u64, hasher: &mut Hasher) -> Step<()> {
        while len > 0 {
            self.go_on()?;
            let block = len.min(ZEROS.len() as u64);
            hasher.update(&ZEROS[..block as usize]);
            len -= block;
        }
        Ok(())
    }

    fn go_on(&self) -> Step<()> {
        if self.stop.is_requested() { Err(Halt::Stopped) } else { Ok(()) }
    }
}

fn finish(hasher: Hasher) -> Md5 {
    Md5(hasher.finalize().into())
}
