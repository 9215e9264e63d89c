//! Run: one run from beginning to end. Its steps: flush what waits → lock → recover → header →
//! announce → pipeline → seal → plan → flush → summary → release → exit code.
//!
//! The lock is released only when every thread of the pipeline has ended: a thread that hangs may
//! still change something when it wakes up. A lock that was lost is left alone, because it is
//! another run's by now.

mod active;
mod ending;
mod exit;
mod fd_budget;
mod header;
mod held;
pub(crate) mod ledger;
mod patience;
pub(crate) mod prepare;
mod supervise;
mod telling;

use std::path::Path;

use uuid::Uuid;

use self::active::{Roots, Run};
use self::ending::leave_to;
pub use self::exit::{Exit, StartError};
use self::held::Held;
use self::ledger::LedgerSession;
use self::prepare::{Lock, TidiedLogDir, open_log_dir, open_root, take_lock, tidy};
use crate::config::Config;
use crate::opslog::LogDir;
use crate::report::Console;
use crate::stop::Stop;

/// Runs one sync.
pub fn run(config: &Config, console: &Console, stop: &Stop) -> Result<Exit, StartError> {
    let choice = config.log_dir.clone();
    let unlocked = Held { lock: None, stop: stop.clone() };
    let dir = unlocked.answered(config.log_dir.first(), move || open_log_dir(&choice))??;
    let mut session = LedgerSession::open(config, &dir, stop);
    session.flush_pending(&dir);
    let id = Uuid::now_v7();
    let held = match take_lock(config, &dir, &id.to_string(), stop)? {
        Lock::Ours(lock) => Held { lock, stop: stop.clone() },
        Lock::Taken(holder) => return Ok(leave_to(holder.as_ref(), config, console, stop)),
    };
    let carried = prepare(config, &dir, &held).and_then(|prepared| {
        let Prepared { found: TidiedLogDir { recovered, retired }, roots } = prepared;
        session.set_recovered(recovered);
        Run::begin(config, &dir, &held, id, roots, retired)?.carry_out(session, console)
    });
    held.end(&carried);
    carried.map(|carried| carried.exit)
}

/// The log directory in order, and the roots open.
struct Prepared {
    found: TidiedLogDir,
    roots: Roots,
}

/// Puts the log directory in order and opens the roots.
fn prepare(config: &Config, dir: &LogDir, held: &Held) -> Result<Prepared, StartError> {
    let (ours, logs) = (config.clone(), dir.clone());
    let found = held.answered(dir.path(), move || tidy(&ours, &logs))?;
    let open = |path: &Path| {
        let (ours, root) = (config.clone(), path.to_owned());
        held.answered(path, move || open_root(&ours, &root))?
    };
    let roots = Roots { source: open(&config.source)?, dest: open(&config.dest)? };
    Ok(Prepared { found, roots })
}
