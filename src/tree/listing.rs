//! The listing of one directory: every name with its entry, in name order.
//!
//! In come the parts that were read ([`super::part`]), out go names and entries in byte order, each name once. The parts
//! are neither copied nor moved: what is sorted is where each entry is.

use super::part::Part;
use crate::model::{Entry, Name};

/// The entries of one directory, in name order.
#[derive(Debug, Default)]
pub struct Listing {
    parts: Vec<Part>,
    order: Vec<At>,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
struct At {
    part: u32,
    index: u32,
}

impl Listing {
    /// Puts the parts of one directory together. A name that was listed twice, as happens where a directory
    /// changes while it is read, stays once.
    pub fn of(parts: Vec<Part>) -> Self {
        let name = |at: &At| parts[at.part as usize].name(at.index as usize);
        // Growing step by step would hold a directory of millions twice.
        let mut order = Vec::with_capacity(parts.iter().map(Part::len).sum());
        for (part, within) in (0..).zip(&parts) {
            order.extend((0..within.len() as u32).map(|index| At { part, index }));
        }
        order.sort_unstable_by(|left, right| name(left).cmp(name(right)));
        order.dedup_by(|left, right| name(left) == name(right));
        Self { parts, order }
    }

    /// Whether this directory holds this tool's logs and must be left alone.
    pub fn is_log_dir(&self) -> bool {
        self.parts.iter().any(|part| part.is_log_dir)
    }

    /// Whether a file that was removed here is still open on an NFS client: it stands here under another name.
    pub fn has_open_files(&self) -> bool {
        self.parts.iter().any(|part| part.has_open_files)
    }

    /// Temporaries that stand here, of whatever run.
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
