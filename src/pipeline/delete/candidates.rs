//! Candidates for deletion: what only the destination has, kept until all copies have their
//! results.
//!
//! The input is batches, in whatever order the scan finds them. The output is the same batches, the
//! deepest first. They are put into buckets by depth as they come, so nothing has to be sorted
//! later, and a directory comes out after everything below it. Beyond a few megabytes the buckets'
//! contents go, block by block, into an unlinked file on a local disk. For each block only its
//! place in the file stays in memory.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use tempfile::SpooledTempFile;

use crate::locked::locked;
use crate::model::{RelPath, Timestamp};
use crate::pipeline::node::Candidate;

/// Candidates of one directory that are checked and deleted together. This is enough to make it
/// cheap to open the directory and to ask the source about it. It is few enough that the answers
/// are still fresh.
pub(in crate::pipeline) const BATCH: usize = 64;

/// Bytes of one block, and bytes of all blocks that stay in memory.
const BLOCK: usize = 64 * 1024;
const IN_MEMORY: usize = 8 * 1024 * 1024;

/// Candidates that are named if all are withheld.
const EXAMPLES: usize = 5;

/// Candidates of one directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pipeline) struct Batch {
    /// The directory at the destination.
    pub(in crate::pipeline) directory: RelPath,
    /// How many names of its path the source has, too: all of them, or those before the first one
    /// that is missing.
    pub(in crate::pipeline) shared: usize,
    pub(in crate::pipeline) candidates: Vec<Candidate>,
}

/// What the buckets hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pipeline) enum Item {
    /// Candidates that are to be deleted.
    Delete(Batch),
    /// A directory that stays: its mtime is set when everything in it is done.
    Restore { directory: RelPath, mtime: Timestamp },
}

/// The buckets while many threads fill them.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Candidates(Mutex<Collected>);

/// All buckets, by depth.
#[derive(Debug)]
pub(in crate::pipeline) struct Collected {
    buckets: BTreeMap<usize, Bucket>,
    /// Bytes in the buckets' open blocks.
    open_bytes: usize,
    file: SpooledTempFile,
    file_len: u64,
    /// How many candidates there are.
    pub(in crate::pipeline) count: u64,
    /// The paths of the first few.
    pub(in crate::pipeline) examples: Vec<RelPath>,
    /// The error by which items were lost; `None` if all are there.
    pub(in crate::pipeline) lost: Option<io::Error>,
}

/// The items of one depth: closed blocks in the file, by offset and length, and one block that is
/// still open.
#[derive(Debug, Default)]
struct Bucket {
    closed: Vec<(u64, usize)>,
    open: Vec<u8>,
}

impl Item {
    /// The number of names in the path of what is changed.
    fn depth(&self) -> usize {
        match self {
            Self::Delete(batch) => batch.directory.names().count() + 1,
            Self::Restore { directory, .. } => directory.names().count(),
        }
    }
}

impl Candidates {
    /// Keeps an item. If that fails, the item is lost, and [`Collected::lost`] tells it.
    pub(in crate::pipeline) fn push(&self, item: &Item) {
        locked(&self.0).push(item);
    }

    /// Takes all buckets and leaves none.
    pub(in crate::pipeline) fn take(&self) -> Collected {
        std::mem::take(&mut locked(&self.0))
    }
}

impl Default for Collected {
    fn default() -> Self {
        Self {
            buckets: BTreeMap::new(),
            open_bytes: 0,
            file: SpooledTempFile::new_in(IN_MEMORY, spill_dir()),
            file_len: 0,
            count: 0,
            examples: Vec::new(),
            lost: None,
        }
    }
}

impl Collected {
    fn push(&mut self, item: &Item) {
        if let Item::Delete(Batch { directory, candidates, .. }) = item {
            self.count += candidates.len() as u64;
            let wanted = EXAMPLES - self.examples.len().min(EXAMPLES);
            self.examples
                .extend(candidates.iter().take(wanted).map(|one| directory.join(&one.name)));
        }
        if self.lost.is_none() {
            self.lost = self.store(item).err();
        }
    }

    fn store(&mut self, item: &Item) -> io::Result<()> {
        let bucket = self.buckets.entry(item.depth()).or_default();
        let before = bucket.open.len();
        bucket.open = postcard::to_extend(item, std::mem::take(&mut bucket.open))
            .map_err(io::Error::other)?;
        let after = bucket.open.len();
        self.open_bytes += after - before;
        if after >= BLOCK {
            self.open_bytes -= after;
            bucket.close(&mut self.file, &mut self.file_len)?;
        }
        // Many buckets with little in each: a very deep tree.
        if self.open_bytes >= IN_MEMORY {
            self.open_bytes = 0;
            self.buckets
                .values_mut()
                .try_for_each(|bucket| bucket.close(&mut self.file, &mut self.file_len))?;
        }
        Ok(())
    }

    /// Every depth that has items, the deepest first.
    pub(in crate::pipeline) fn depths(&self) -> Vec<usize> {
        self.buckets.keys().rev().copied().collect()
    }

    /// Takes the items of one depth. Yields an error where a block cannot be read back.
    pub(in crate::pipeline) fn bucket(
        &mut self,
        depth: usize,
    ) -> impl Iterator<Item = io::Result<Item>> + Send {
        let Bucket { closed, open } = self.buckets.remove(&depth).unwrap_or_default();
        let file = &mut self.file;
        let blocks = closed.into_iter().map(move |(offset, len)| {
            let mut block = vec![0; len];
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(&mut block)?;
            Ok(block)
        });
        blocks.chain(std::iter::once(Ok(open))).flat_map(|block| {
            match block.and_then(|block| items(&block)) {
                Ok(items) => items.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }
        })
    }
}

/// The items of a block.
fn items(mut block: &[u8]) -> io::Result<Vec<Item>> {
    let mut items = Vec::new();
    while !block.is_empty() {
        let (item, rest) = postcard::take_from_bytes(block).map_err(io::Error::other)?;
        items.push(item);
        block = rest;
    }
    Ok(items)
}

impl Bucket {
    /// Puts the open block into the file.
    fn close(&mut self, file: &mut SpooledTempFile, file_len: &mut u64) -> io::Result<()> {
        file.write_all(&self.open)?;
        self.closed.push((*file_len, self.open.len()));
        *file_len += self.open.len() as u64;
        self.open = Vec::new();
        Ok(())
    }
}

/// Where the file is made if one is needed and `TMPDIR` is not set: the first folder that exists.
/// `/tmp` is often memory, so it comes last.
pub const SPILL_DIRS: [&str; 2] = ["/var/tmp", "/tmp"];

fn spill_dir() -> PathBuf {
    let [on_disk, last] = SPILL_DIRS.map(PathBuf::from);
    let default = || if on_disk.is_dir() { on_disk } else { last };
    std::env::var_os("TMPDIR").map_or_else(default, PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Entry, Name};

    fn batch(directory: &str, names: usize) -> Item {
        let candidate = |index: usize| Candidate {
            name: Name::new(format!("name-{index}").as_bytes()),
            entry: Entry::unreadable(0),
        };
        let candidates = (0..names).map(candidate).collect();
        Item::Delete(Batch { directory: directory.into(), shared: 1, candidates })
    }

    fn emptied(candidates: &Candidates) -> Vec<Item> {
        let mut collected = candidates.take();
        assert!(collected.lost.is_none());
        let depths = collected.depths();
        depths
            .into_iter()
            .flat_map(|depth| collected.bucket(depth).map(Result::unwrap).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn the_deepest_come_out_first_and_a_directory_after_what_is_in_it() {
        let candidates = Candidates::default();
        let restore = Item::Restore { directory: "a".into(), mtime: Timestamp::default() };
        let pushed = [batch("", 1), batch("a/b", 2), restore, batch("a", 3), batch("x/y/z", 1)];
        pushed.iter().for_each(|item| candidates.push(item));
        // Items of one depth come out in the order in which they were put in.
        let expected = [4, 1, 3, 0, 2].map(|index| &pushed[index]);
        assert_eq!(emptied(&candidates).iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn more_than_fits_into_memory_comes_out_whole() {
        let candidates = Candidates::default();
        let names = |index: usize| format!("dir-{index:06}{}", "/sub".repeat(index % 7));
        let batches = 20_000;
        (0..batches).for_each(|index| candidates.push(&batch(&names(index), 40)));
        assert!(candidates.0.lock().unwrap().file.is_rolled(), "it is in the file");
        let mut out = emptied(&candidates);
        let depth = |item: &Item| item.depth();
        assert!(out.is_sorted_by_key(|item| std::cmp::Reverse(depth(item))));
        out.sort_by_key(|item| match item {
            Item::Delete(batch) => batch.directory.clone(),
            Item::Restore { directory, .. } => directory.clone(),
        });
        assert!(out == (0..batches).map(|index| batch(&names(index), 40)).collect::<Vec<_>>());
    }

    #[test]
    fn a_very_deep_tree_stays_within_its_memory() {
        let candidates = Candidates::default();
        let mut path = RelPath::root();
        for _ in 0..6000 {
            path.push(b"d");
            candidates
                .push(&Item::Restore { directory: path.clone(), mtime: Timestamp::default() });
        }
        assert!(candidates.0.lock().unwrap().open_bytes < IN_MEMORY);
        assert_eq!(emptied(&candidates).len(), 6000);
    }

    #[test]
    fn candidates_are_counted_and_the_first_are_named() {
        let candidates = Candidates::default();
        candidates.push(&batch("dir", 3));
        candidates.push(&batch("other", 9));
        let collected = candidates.take();
        assert_eq!(collected.count, 12);
        assert_eq!(collected.examples.len(), EXAMPLES);
        assert_eq!(collected.examples[3], "other/name-0".into());
    }
}
