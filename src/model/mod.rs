//! The nouns of a sync. They know no verbs: nothing here lists, copies, logs or prints.

mod decision;
mod entry;
mod name;
mod outcome;
mod rel_path;
mod summary;
mod timestamp;

pub use decision::{Action, Decision, Joined, Side};
pub use entry::{Entry, EntryKind};
pub use name::Name;
pub use outcome::{Cause, Change, Effect, Failure, Fault, Md5, Outcome, Subject, Verdict};
pub use rel_path::{Escaped, RelPath, shown};
pub use summary::Summary;
pub use timestamp::Timestamp;
