//! What was typed: flags, environment variables and subcommands, parsed and not yet judged.
//!
//! [`crate::config`] decides what it means, and whether it makes sense.

mod choices;
mod dashboard;
mod environment;
mod exit_codes;
mod ledger;
mod lock;
mod manual;
mod mistakes;
mod patterns;
mod sync;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub use self::choices::{ChecksumArg, FormatArg, FsyncArg, LockArg, ProgressArg};
pub use self::dashboard::DashboardCli;
pub use self::environment::unknown_variables;
pub use self::exit_codes::EXIT_CODES;
pub use self::ledger::{DatabaseArgs, FlushArgs, HistoryArgs, PruneArgs};
pub use self::lock::{LockArgs, UnlockArgs};
pub use self::manual::manual;
pub use self::patterns::PatternArg;
pub use self::sync::{
    CarriedArgs, DeletionArgs, LogArgs, OutputArgs, SafetyArgs, SpeedArgs, SyncArgs,
};

/// Carries everything that is newer below one folder over to another, so that two runs in opposite
/// directions keep a pair of huge trees in step: newest mtime wins, mtimes are preserved, nothing
/// is deleted unasked.
#[derive(Debug, Parser)]
#[command(
    name = "ha-sync",
    version,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true,
    max_term_width = 110,
    after_help = exit_codes::after_help()
)]
pub struct Cli {
    /// The sync's own flags.
    #[command(flatten)]
    pub sync: SyncArgs,
    /// Something else than a sync.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Cli {
    /// Parses the arguments of this process. Ends the process if they cannot be parsed, or if help
    /// was asked for.
    pub fn of_this_process() -> Self {
        let words = std::env::args_os().len().saturating_sub(1);
        let commands = Self::command();
        let matches = commands
            .clone()
            .try_get_matches()
            .unwrap_or_else(|error| mistakes::explain(error, words, &commands).exit());
        let mut cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        cli.sync.carried.patterns = patterns::in_order(&matches);
        cli
    }
}

/// What the binary does beside the sync.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Put the opslogs that wait in the log directory into the database
    Flush(FlushArgs),
    /// Show the latest runs, the latest first
    History(HistoryArgs),
    /// Remove old operation rows from the database; the rows of the runs stay
    Prune(PruneArgs),
    /// Remove the Lease of a pair whose holder is gone for good
    Unlock(UnlockArgs),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff): `ha-sync man | man -l -`
    Man,
}
