//! The nouns of a sync, one in each file. They know nothing of what is done with them: no code here
//! lists, copies, logs or prints.

mod change;
mod decision;
mod effect;
mod entry;
mod escaped;
mod failure;
mod joined;
mod md5;
mod name;
mod outcome;
mod owner;
mod rel_path;
mod run_key;
mod side;
mod summary;
mod timestamp;

pub use change::{Change, Subject};
pub use decision::{Carry, Decision, Leave};
pub use effect::Effect;
pub use entry::{Entry, EntryKind};
pub use escaped::{Escaped, shown};
pub use failure::{Cause, Failure, Fault};
pub use joined::Joined;
pub use md5::Md5;
pub use name::Name;
pub use outcome::{Outcome, Verdict};
pub use owner::Owner;
pub use rel_path::{BadPath, RelPath};
pub use run_key::{RunKey, lease_name, lock_file};
pub use side::Side;
pub use summary::Summary;
pub use timestamp::Timestamp;
