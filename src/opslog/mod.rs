//! The opslog: the truth about what a run did, one JSON line for each operation.
//!
//! `docs/opslog.md` is the contract for whoever reads it. An opslog is being written (`.jsonl.part`),
//! sealed (`.jsonl`) or set aside as damaged (`.jsonl.corrupt`). This module knows neither the
//! trees nor the database.

mod format;
mod last;
mod log_dir;
mod reader;
mod recovery;
mod writer;

pub use format::{FORMAT, FailCause, Footer, Header, Kind, Line, Operation, Record, RunStatus, Status};
pub use last::{keep_entries, last_entries};
pub use log_dir::{LogDir, SEALED};
pub use reader::{Damage, End, OpslogReader};
pub use recovery::{Recovered, Tidied, recover, retire, set_aside};
pub use writer::{OpslogWriter, SealedOpslog, is_in_hand};
