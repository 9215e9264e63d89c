//! Owner: the user and the group that own an entry.

use super::Entry;

/// A user and a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Owner {
    /// The owner of an entry.
    pub fn of(entry: &Entry) -> Self {
        Self { uid: entry.uid, gid: entry.gid }
    }
}
