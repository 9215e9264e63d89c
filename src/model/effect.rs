//! Effect: what one operation did to the destination, in the terms of the opslog's columns.

use super::{Change, Md5, Subject};

/// What an operation did, or was to do, to the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Create, update or delete.
    pub change: Change,
    /// What was carried or deleted.
    pub subject: Subject,
    /// The destination's size in bytes before. `None` for a create, or if it was not a file.
    pub size_before: Option<u64>,
    /// The destination's size in bytes after. `None` if it is not a file.
    pub size_after: Option<u64>,
    /// Digest of the destination before; `None` if the comparison did not compute it.
    pub md5_before: Option<Md5>,
    /// Digest of what was carried; `None` if it was not computed.
    pub md5_after: Option<Md5>,
    /// Bytes of content that were transferred. In a dry run, the most that would be.
    pub bytes: u64,
}

impl Effect {
    /// An effect without sizes, digests and bytes.
    pub fn new(change: Change, subject: Subject) -> Self {
        let (size_before, size_after, md5_before, md5_after) = (None, None, None, None);
        Self { change, subject, size_before, size_after, md5_before, md5_after, bytes: 0 }
    }

    /// Whether the contents were found equal, so that only metadata was carried.
    pub fn is_metadata_only(&self) -> bool {
        self.bytes == 0 && self.md5_before.is_some() && self.md5_before == self.md5_after
    }
}
