//! What the comparison of one path came to.

use super::Entry;

/// One of the two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The tree that is read.
    Source,
    /// The tree that is changed.
    Dest,
}

impl Side {
    /// How messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "the source",
            Self::Dest => "the destination",
        }
    }
}

/// The entries that the two trees hold under one name, at least one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined<'a> {
    /// Only the source has the name.
    SourceOnly(&'a Entry),
    /// Only the destination has it.
    DestOnly(&'a Entry),
    /// Both have it.
    Both(&'a Entry, &'a Entry),
}

impl<'a> Joined<'a> {
    /// Puts together what two lookups of one name found; nothing when neither found it.
    pub fn new(source: Option<&'a Entry>, dest: Option<&'a Entry>) -> Option<Self> {
        match (source, dest) {
            (Some(source), Some(dest)) => Some(Self::Both(source, dest)),
            (Some(source), None) => Some(Self::SourceOnly(source)),
            (None, Some(dest)) => Some(Self::DestOnly(dest)),
            (None, None) => None,
        }
    }

    /// What the source has.
    pub fn source(self) -> Option<&'a Entry> {
        match self {
            Self::SourceOnly(source) | Self::Both(source, _) => Some(source),
            Self::DestOnly(_) => None,
        }
    }

    /// What the destination has.
    pub fn dest(self) -> Option<&'a Entry> {
        match self {
            Self::DestOnly(dest) | Self::Both(_, dest) => Some(dest),
            Self::SourceOnly(_) => None,
        }
    }
}

/// What is to be done about one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Something has to be carried over.
    Act(Action),
    /// A directory on both sides, or one to be made: compare what is below.
    Descend,
    /// Both sides hold the same.
    InSync {
        /// Their mtimes differ by no more than the threshold: an edit within it would not be seen.
        close: bool,
    },
    /// The destination holds the newer version; the opposite direction carries it.
    KeepDest,
    /// Only the destination has it.
    Extra,
    /// A directory meets something else: both stay as they are.
    Conflict {
        /// The kind at the source, for the report.
        source: &'static str,
        /// The kind at the destination.
        dest: &'static str,
    },
    /// There is something to do, but a file on either side changed too recently to be touched.
    SkipYoung,
    /// A fifo, socket or device on one side at least.
    SkipSpecial,
    /// Another file system begins here on one side at least.
    SkipMountPoint,
    /// One side could not be looked at, so nothing may be concluded about the path or what is below.
    Unknown {
        /// Which side.
        side: Side,
        /// The operating system's error number.
        errno: i32,
    },
}

/// A change to the destination that one worker carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Carry a regular file of this many bytes, over whatever file or symlink stands there.
    CopyFile {
        /// Size of the source in bytes when it was looked at.
        len: u64,
    },
    /// Sizes are equal and the source is newer: hash both sides, then carry metadata only, or copy.
    CompareThenCarry {
        /// Size of both in bytes.
        len: u64,
    },
    /// Sizes and mtimes are equal and the user wants certainty: hash both sides, break the tie if they differ.
    CompareThenBreakTie {
        /// Size of both in bytes.
        len: u64,
    },
    /// Carry a symlink, over whatever file or symlink stands there.
    CopySymlink {
        /// Where it points.
        target: Box<[u8]>,
    },
}
