//! How an operation ended well.

use crate::model::{Effect, Leave};

/// How an operation ended well.
pub(super) enum Done {
    /// The destination was changed, or would be in a real run.
    Changed(Effect),
    /// The destination was changed, and whoever did it has recorded that.
    Recorded,
    /// A fresh look, or the contents, showed that the name stays as it is.
    Left(Leave),
    /// Dry run: equal but for the content, which was not looked at.
    ToCompare { close: bool },
    /// What the operation was about is gone.
    Gone,
    /// A leftover temporary was removed.
    Swept,
}
