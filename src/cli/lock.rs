//! The flags of the lock, and the subcommand that removes a Lease.

use std::path::PathBuf;

use clap::Args;

use super::{FormatArg, LockArg};

/// The lock's own flags, of a sync and of `ha-sync unlock`.
#[derive(Debug, Args)]
pub struct LockArgs {
    /// How two runs of one pair are kept apart: auto is a Lease inside a Kubernetes cluster, a lock
    /// file elsewhere
    #[arg(long, value_name = "HOW", env = "HA_SYNC_LOCK", default_value = "auto")]
    pub lock: LockArg,
    /// Seconds, 3 or more, until a Lease that nobody renews counts as stale
    #[arg(long, value_name = "SECONDS", env = "HA_SYNC_LOCK_TTL", default_value = "3600")]
    pub lock_ttl: String,
    /// The Lease's namespace [default: the pod's own, else infrastructure]
    #[arg(long, value_name = "NAME", env = "HA_SYNC_NAMESPACE")]
    pub namespace: Option<String>,
}

/// `ha-sync unlock`
#[derive(Debug, Args)]
pub struct UnlockArgs {
    /// Name of the pair
    #[arg(long, value_name = "NAME", env = "HA_SYNC_PAIR", required = true)]
    pub pair: String,
    /// Which lock.
    #[command(flatten)]
    pub lock: LockArgs,
    /// Where the lock file is [default: /var/log/ha-sync, else the user's state folder]
    #[arg(long, value_name = "DIR", env = "HA_SYNC_LOG_DIR")]
    pub log_dir: Option<PathBuf>,
    /// Remove it without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Remove it although it was renewed a moment ago: its holder, if it lives, loses it and ends
    /// with exit code 4
    #[arg(long)]
    pub force: bool,
    /// Form of messages on standard error
    #[arg(long, value_name = "FORMAT", env = "HA_SYNC_LOG_FORMAT", default_value = "text")]
    pub log_format: FormatArg,
}
