//! Done: how an operation ends with success.

use crate::model::{Effect, Leave};

/// How an operation ended with success.
pub(super) enum Done {
    /// The destination was changed, or would be in a real run.
    Changed(Effect),
    /// The destination was changed, and the worker that changed it has recorded that.
    Recorded,
    /// A fresh look, or the contents, showed that the name has to stay as it is.
    Left(Leave),
    /// In a dry run: the entries are equal except for their content, which was not read.
    ToCompare { close: bool },
    /// The entry that the operation was about is gone.
    Gone,
    /// A leftover temporary was removed.
    Swept,
}
