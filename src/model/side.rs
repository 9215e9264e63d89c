//! Side: which of the two trees something is about.

/// One of the two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The tree that is read.
    Source,
    /// The tree that is changed.
    Dest,
}

impl Side {
    /// The side's name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "the source",
            Self::Dest => "the destination",
        }
    }
}
