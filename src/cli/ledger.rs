//! The subcommands that are about the database.

use std::path::PathBuf;

use clap::Args;

use super::FormatArg;

/// Which database, and where opslogs wait for it: as in a sync.
#[derive(Debug, Args)]
pub struct DatabaseArgs {
    /// The database: user:pass@tcp(host:3306)/db, mysql://… or sqlite:PATH [default: ha-sync.sqlite
    /// in the log directory]
    #[arg(long, value_name = "DSN", env = "HA_SYNC_DB_DSN", hide_env_values = true)]
    pub db_dsn: Option<String>,
    /// Where opslogs are written [default: /var/log/ha-sync, else the user's state folder]
    #[arg(long, value_name = "DIR", env = "HA_SYNC_LOG_DIR")]
    pub log_dir: Option<PathBuf>,
    /// Form of messages on standard error
    #[arg(long, value_name = "FORMAT", env = "HA_SYNC_LOG_FORMAT", default_value = "text")]
    pub log_format: FormatArg,
}

/// `ha-sync flush`
#[derive(Debug, Args)]
pub struct FlushArgs {
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Also opslogs of runs that named another database, or none
    #[arg(long)]
    pub all: bool,
}

/// `ha-sync history`
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Runs of this pair only
    #[arg(long, value_name = "NAME", env = "HA_SYNC_PAIR")]
    pub pair: Option<String>,
    /// No more runs than this
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// A table, or one JSON object a run
    #[arg(long, value_name = "FORMAT", env = "HA_SYNC_FORMAT", default_value = "text")]
    pub format: FormatArg,
}

/// `ha-sync prune`
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Operation rows of runs that began longer ago than this, such as 30d or 12h
    #[arg(long, value_name = "AGE", required = true)]
    pub older_than: String,
}
