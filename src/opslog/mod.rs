//! The opslog: the truth about what a run did, one JSON line for each operation.
//!
//! `docs/opslog.md` is the contract for whoever reads it. An opslog is being written
//! (`.jsonl.part`), sealed (`.jsonl`), or set aside as damaged (`.jsonl.corrupt`). This module
//! knows neither the trees nor the database.

mod check;
mod format;
mod last;
mod log_dir;
mod reader;
mod recovery;
mod words;
mod writer;

pub use format::{FORMAT, Footer, Header, Line, Record};
pub use last::{keep_entries, last_entries};
pub use log_dir::{LogDir, SEALED};
pub use reader::{Damage, End, OpslogReader};
pub use recovery::{Recovered, Tidied, recover, retire, set_aside};
pub use words::{FailCause, Kind, Operation, RunStatus, Status};
pub use writer::{OpslogWriter, SealedOpslog, is_in_hand};
