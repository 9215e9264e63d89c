//! Decision: the result of comparing one name.

use super::{Entry, Failure};

/// What is to be done about one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// The source's version has to be carried over.
    Carry(Carry<&'a Entry>),
    /// A directory on both sides, or one to be made: compare what is below.
    Descend,
    /// Only the destination has the name, and holds this.
    OnlyAtDest(&'a Entry),
    /// The name stays as it is on both sides.
    Leave(Leave),
    /// Nothing may be concluded or done about the name: it is in conflict, or could not be looked
    /// at.
    Fail(Failure),
}

/// Why a name stays as it is, without being a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Both sides hold the same.
    InSync {
        /// The mtimes differ by no more than the threshold. An edit within the threshold would not
        /// be seen.
        close: bool,
    },
    /// The destination holds the newer version; the opposite direction carries it.
    NewerAtDest,
    /// Something is to be done, but a file on one of the sides changed too recently to be touched.
    TooYoung,
    /// A fifo, socket or device stands on at least one side.
    Special,
    /// Another file system begins here on at least one side.
    MountPoint,
}

/// How a file or symlink of the source gets to the destination. Its size or target is in its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carry<E> {
    /// The destination lacks the name.
    Create {
        /// A file or symlink.
        source: E,
    },
    /// The source's version takes the place of the destination's.
    Replace {
        /// A file or symlink.
        source: E,
        /// A file or symlink.
        dest: E,
    },
    /// Both are files of the same size: hash both, then decide.
    Compare {
        /// A file.
        source: E,
        /// A file of the same size.
        dest: E,
        /// The mtimes are equal, so different contents are a tie. Otherwise the source is newer,
        /// and equal contents mean that only metadata is carried.
        tie: bool,
    },
}

impl<E> Carry<E> {
    /// What the source holds.
    pub fn source(&self) -> &E {
        match self {
            Self::Create { source }
            | Self::Replace { source, .. }
            | Self::Compare { source, .. } => source,
        }
    }

    /// What the destination holds; `None` if it lacks the name.
    pub fn dest(&self) -> Option<&E> {
        match self {
            Self::Create { .. } => None,
            Self::Replace { dest, .. } | Self::Compare { dest, .. } => Some(dest),
        }
    }

    /// Whether contents have to be compared before it is known what to carry.
    pub fn compares(&self) -> bool {
        matches!(self, Self::Compare { .. })
    }
}

impl<E: Clone> Carry<&E> {
    /// The same, owned.
    pub fn cloned(self) -> Carry<E> {
        match self {
            Self::Create { source } => Carry::Create { source: source.clone() },
            Self::Replace { source, dest } => {
                Carry::Replace { source: source.clone(), dest: dest.clone() }
            }
            Self::Compare { source, dest, tie } => {
                Carry::Compare { source: source.clone(), dest: dest.clone(), tie }
            }
        }
    }
}
