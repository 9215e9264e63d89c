//! What one operation did to the destination, in the terms of the opslog's columns.

use super::{Change, Md5, Subject};

/// What an operation did, or was to do, to the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Create, update or delete.
    pub change: Change,
    /// What was carried or deleted.
    pub subject: Subject,
    /// The destination's size in bytes before; nothing for a create or where it was no file.
    pub size_before: Option<u64>,
    /// The destination's size in bytes after; nothing where it is no file.
    pub size_after: Option<u64>,
    /// Digest of the destination before, where the comparison computed it.
    pub md5_before: Option<Md5>,
    /// Digest of what was carried, where it was computed.
    pub md5_after: Option<Md5>,
    /// Bytes of content that were transferred; in a dry run, that would be at most.
    pub bytes: u64,
}

impl Effect {
    /// An effect without sizes, digests and bytes.
    pub fn new(change: Change, subject: Subject) -> Self {
        let (size_before, size_after, md5_before, md5_after) = (None, None, None, None);
        Self { change, subject, size_before, size_after, md5_before, md5_after, bytes: 0 }
    }

    /// Whether content was found equal, so that only metadata was carried.
    pub fn is_metadata_only(&self) -> bool {
        self.bytes == 0 && self.md5_before.is_some() && self.md5_before == self.md5_after
    }
}
