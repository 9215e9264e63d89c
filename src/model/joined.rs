//! Joined: what the two trees hold under one name. It is the join's output and the classification's
//! input.

/// What the two trees hold under one name. At least one of them holds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined<E> {
    /// Only the source has the name.
    SourceOnly(E),
    /// Only the destination has it.
    DestOnly(E),
    /// Both have it. The source's comes first.
    Both(E, E),
}

impl<E> Joined<E> {
    /// Puts together what two lookups of one name found; `None` if neither found it.
    pub fn new(source: Option<E>, dest: Option<E>) -> Option<Self> {
        match (source, dest) {
            (Some(source), Some(dest)) => Some(Self::Both(source, dest)),
            (Some(source), None) => Some(Self::SourceOnly(source)),
            (None, Some(dest)) => Some(Self::DestOnly(dest)),
            (None, None) => None,
        }
    }

    /// What the source has; `None` if it lacks the name.
    pub fn source(self) -> Option<E> {
        match self {
            Self::SourceOnly(source) | Self::Both(source, _) => Some(source),
            Self::DestOnly(_) => None,
        }
    }

    /// What the destination has; `None` if it lacks the name.
    pub fn dest(self) -> Option<E> {
        match self {
            Self::DestOnly(dest) | Self::Both(_, dest) => Some(dest),
            Self::SourceOnly(_) => None,
        }
    }

    /// The same, borrowed.
    pub fn as_ref(&self) -> Joined<&E> {
        match self {
            Self::SourceOnly(source) => Joined::SourceOnly(source),
            Self::DestOnly(dest) => Joined::DestOnly(dest),
            Self::Both(source, dest) => Joined::Both(source, dest),
        }
    }
}

impl<E: Clone> Joined<&E> {
    /// The same, owned.
    pub fn cloned(self) -> Joined<E> {
        match self {
            Self::SourceOnly(source) => Joined::SourceOnly(source.clone()),
            Self::DestOnly(dest) => Joined::DestOnly(dest.clone()),
            Self::Both(source, dest) => Joined::Both(source.clone(), dest.clone()),
        }
    }
}
