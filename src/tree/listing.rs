//! The listing of one directory: every name with its entry, in name order.
//!
//! In come the parts that were read ([`super::listing_part`]), out go names and entries in byte
//! order, each name once. The parts are neither copied nor moved: what is sorted is the position of
//! each entry.

use super::listing_part::ListingPart;
use crate::model::{Entry, Name};

/// The entries of one directory, in name order.
#[derive(Debug, Default)]
pub struct Listing {
    parts: Vec<ListingPart>,
    order: Vec<At>,
}

/// The position of an entry.
#[derive(Clone, Copy, Debug)]
struct At {
    part: u32,
    index: u32,
}

impl Listing {
    /// Puts the parts of one directory together. A name that was listed twice stays once: that
    /// happens if a directory changes while it is read.
    pub fn of(parts: Vec<ListingPart>) -> Self {
        let name = |at: &At| parts[at.part as usize].name(at.index as usize);
        // A vector that grows would hold a directory of millions twice while it is moved.
        let mut order = Vec::with_capacity(parts.iter().map(ListingPart::len).sum());
        for (part, within) in (0..).zip(&parts) {
            order.extend((0..within.len() as u32).map(|index| At { part, index }));
        }
        order.sort_unstable_by(|left, right| name(left).cmp(name(right)));
        order.dedup_by(|left, right| name(left) == name(right));
        Self { parts, order }
    }

    /// Whether this is a log directory of this tool, which must not be synced.
    pub fn is_log_dir(&self) -> bool {
        self.parts.iter().any(|part| part.is_log_dir)
    }

    /// Whether a file that was removed here is still open on an NFS client. Such a file stays in
    /// its directory under another name.
    pub fn has_open_files(&self) -> bool {
        self.parts.iter().any(|part| part.has_open_files)
    }

    /// The names of this tool's temporaries in this directory, of whatever run.
    pub fn temporaries(&self) -> impl Iterator<Item = &Name> {
        self.parts.iter().flat_map(|part| &part.temporaries)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The name and entry at `index`, in name order.
    pub fn get(&self, index: usize) -> (&[u8], &Entry) {
        let At { part, index } = self.order[index];
        let part = &self.parts[part as usize];
        (part.name(index as usize), part.entry(index as usize))
    }
}
