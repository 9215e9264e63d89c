//! What was typed: flags, environment variables and subcommands, parsed and not yet judged.
//!
//! What it means, and whether it makes sense, is [`crate::config`]'s business.

mod dashboard;
mod environment;
mod exit_codes;
mod ledger;
mod lock;
mod manual;
mod mistakes;

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

pub use self::dashboard::DashboardCli;
pub use self::environment::unknown_variables;
pub use self::exit_codes::EXIT_CODES;
pub use self::ledger::{DatabaseArgs, FlushArgs, HistoryArgs, PruneArgs};
pub use self::lock::{LockArgs, UnlockArgs};
pub use self::manual::manual;

/// Carries everything that is newer below one folder over to another, so that two runs in opposite
/// directions keep a pair of huge trees in step: newest mtime wins, mtimes are preserved, nothing is deleted unasked.
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
    /// What this process was called with. Where that can't be parsed, or help was asked for, the process ends.
    pub fn of_this_process() -> Self {
        let words = std::env::args_os().len().saturating_sub(1);
        let commands = Self::command();
        let matches = commands
            .clone()
            .try_get_matches()
            .unwrap_or_else(|error| mistakes::explain(error, words, &commands).exit());
        let mut cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        cli.sync.patterns = patterns_in_order(&matches);
        cli
    }
}

/// One `--exclude`, `--include` or `--exclude-from`.
#[derive(Clone, Debug)]
pub enum PatternArg {
    /// Leave out what matches.
    Exclude(String),
    /// Take in again what matches.
    Include(String),
    /// Leave out what matches a line of the file.
    ExcludeFrom(PathBuf),
}

/// The patterns in the order in which they were typed, after those from the environment.
///
/// A typed flag adds to its variable and does not replace it, as other flags do: a name that a job's settings
/// protect from deletion must not lose that by one more glob.
fn patterns_in_order(matches: &ArgMatches) -> Vec<PatternArg> {
    fn placed<T: Clone + Send + Sync + 'static>(
        matches: &ArgMatches,
        id: &str,
        pattern: impl Fn(T) -> PatternArg,
    ) -> Vec<(usize, PatternArg)> {
        if matches.value_source(id) != Some(ValueSource::CommandLine) {
            return Vec::new();
        }
        let values = matches.get_many::<T>(id).into_iter().flatten().cloned();
        matches.indices_of(id).into_iter().flatten().zip(values.map(pattern)).collect()
    }
    let mut typed = placed(matches, "exclude", PatternArg::Exclude);
    typed.extend(placed(matches, "include", PatternArg::Include));
    typed.extend(placed(matches, "exclude_from", PatternArg::ExcludeFrom));
    typed.sort_by_key(|(place, _)| *place);
    let set = [
        lines_of("HA_SYNC_EXCLUDE", PatternArg::Exclude),
        lines_of("HA_SYNC_INCLUDE", PatternArg::Include),
        lines_of("HA_SYNC_EXCLUDE_FROM", |file| PatternArg::ExcludeFrom(file.into())),
    ];
    set.into_iter().flatten().chain(typed.into_iter().map(|(_, pattern)| pattern)).collect()
}

/// One pattern a line; empty lines, as at the end of a YAML block, are none. What is not UTF-8 has been refused.
fn lines_of(variable: &str, pattern: impl Fn(String) -> PatternArg) -> Vec<PatternArg> {
    let text = std::env::var(variable).unwrap_or_default();
    text.lines().filter(|line| !line.is_empty()).map(|line| pattern(line.to_owned())).collect()
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

/// The flags of a sync. Each can also come from the environment variable `HA_SYNC_…`.
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// The folder that is read
    #[arg(long, value_name = "DIR", env = "HA_SYNC_SRC", required = true)]
    pub src: Option<PathBuf>,
    /// The folder that is changed
    #[arg(long, value_name = "DIR", env = "HA_SYNC_DEST", required = true)]
    pub dest: Option<PathBuf>,
    /// Name of the pair, the same in both directions: lower-case letters, digits and dashes
    #[arg(long, value_name = "NAME", env = "HA_SYNC_PAIR", required = true)]
    pub pair: Option<String>,
    /// Name of this direction in logs, such as dell-to-hp
    #[arg(long, value_name = "LABEL", env = "HA_SYNC_DIRECTION", default_value = "fwd")]
    pub direction: String,

    /// Compute, print and log the plan; touch neither tree
    #[arg(long, env = "HA_SYNC_DRY_RUN", help_heading = "What is carried", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub dry_run: bool,
    /// Seconds within which two mtimes are equal; fractions allowed
    #[arg(
        long,
        value_name = "SECONDS",
        env = "HA_SYNC_MTIME_THRESHOLD",
        allow_negative_numbers = true,
        help_heading = "What is carried",
        default_value = "2"
    )]
    pub mtime_threshold: String,
    /// When contents of files of one size are compared (MD5)
    #[arg(
        long,
        value_name = "WHEN",
        env = "HA_SYNC_CHECKSUM",
        help_heading = "What is carried",
        default_value = "mismatch"
    )]
    pub checksum: ChecksumArg,
    /// Carry owner and group (where this process may set them)
    #[arg(long, env = "HA_SYNC_OWNER", help_heading = "What is carried", default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub owner: bool,
    /// Carry the permission bits
    #[arg(long, env = "HA_SYNC_MODE", help_heading = "What is carried", default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub mode: bool,
    /// Carry extended attributes (user.*) and, with the permission bits, POSIX ACLs
    #[arg(long, env = "HA_SYNC_XATTRS", help_heading = "What is carried", default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub xattrs: bool,
    /// Leave out what matches this glob, in the language of gitignore: never copied, never deleted. Of all
    /// --exclude, --include and --exclude-from, the last match in the order given wins. In the
    /// environment, one a line; they come first
    #[arg(
        long,
        value_name = "GLOB",
        env = "HA_SYNC_EXCLUDE",
        value_delimiter = '\n',
        help_heading = "What is carried"
    )]
    pub exclude: Vec<String>,
    /// Take in again what matches this glob
    #[arg(
        long,
        value_name = "GLOB",
        env = "HA_SYNC_INCLUDE",
        value_delimiter = '\n',
        help_heading = "What is carried"
    )]
    pub include: Vec<String>,
    /// Leave out what matches a line of this file, which is written like a .gitignore
    #[arg(
        long,
        value_name = "FILE",
        env = "HA_SYNC_EXCLUDE_FROM",
        value_delimiter = '\n',
        help_heading = "What is carried"
    )]
    pub exclude_from: Vec<PathBuf>,
    /// The three above in the order in which they were given.
    #[arg(skip)]
    pub patterns: Vec<PatternArg>,
    /// Leave files alone that changed less than this ago, such as 90s, 10m or 1h: they may still be on their way
    #[arg(long, value_name = "DURATION", env = "HA_SYNC_MIN_AGE", help_heading = "What is carried")]
    pub min_age: Option<String>,

    /// Delete at dest what src does not have
    #[arg(long, env = "HA_SYNC_DELETE_MISSING", help_heading = "Deletion", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub delete_missing: bool,
    /// With more candidates than this nothing at all is deleted (exit 3): a number, a percentage of dest's
    /// entries, which never stops fewer than 100, or none
    #[arg(
        long,
        value_name = "N|P%|none",
        env = "HA_SYNC_MAX_DELETE",
        help_heading = "Deletion",
        default_value = "50%"
    )]
    pub max_delete: String,

    /// Threads that copy, hash, make directories and delete
    #[arg(long, value_name = "N", env = "HA_SYNC_WORKERS", help_heading = "Speed", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: u16,
    /// Threads that list directories [default: 8, on a network file system 16]
    #[arg(long, value_name = "N", env = "HA_SYNC_SCAN_THREADS", help_heading = "Speed", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub scan_threads: Option<u16>,
    /// Compute the MD5 of what is copied, for the log; without it the kernel may copy by itself
    #[arg(long, env = "HA_SYNC_HASH_COPIES", help_heading = "Speed", default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub hash_copies: bool,
    /// Write files through to disk: auto is each file on a network file system, all at the end on a local one
    #[arg(long, value_name = "WHEN", env = "HA_SYNC_FSYNC", help_heading = "Speed", default_value = "auto")]
    pub fsync: FsyncArg,
    /// Read no more bytes a second than this, all workers together, to copy or to compare: such as 50M (K, M, G
    /// are powers of 1024)
    #[arg(long, value_name = "RATE", env = "HA_SYNC_BWLIMIT", help_heading = "Speed")]
    pub bwlimit: Option<String>,

    /// How two runs of one pair are kept apart.
    #[command(flatten)]
    pub lock: LockArgs,
    /// When the pair is locked: skip (exit 0), wait, wait=SECONDS, or fail (exit 75)
    #[arg(
        long,
        value_name = "WHAT",
        env = "HA_SYNC_IF_LOCKED",
        help_heading = "Safety",
        default_value = "skip"
    )]
    pub if_locked: String,
    /// Refuse to run (exit 3) unless src and dest are mount points
    #[arg(long, env = "HA_SYNC_REQUIRE_MOUNT", help_heading = "Safety", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub require_mount: bool,
    /// Refuse to run (exit 3) unless a file of this name is in both roots; looked at again before anything
    /// is deleted. It tells that a disk is mounted on the server, too
    #[arg(long, value_name = "NAME", env = "HA_SYNC_REQUIRE_FILE", help_heading = "Safety")]
    pub require_file: Option<String>,

    /// Where opslogs are written [default: /var/log/ha-sync, else the user's state folder]
    #[arg(long, value_name = "DIR", env = "HA_SYNC_LOG_DIR", help_heading = "Log")]
    pub log_dir: Option<PathBuf>,
    /// Delete opslogs that are older than this many days; 0 is never
    #[arg(
        long,
        value_name = "DAYS",
        env = "HA_SYNC_LOG_RETAIN_DAYS",
        help_heading = "Log",
        default_value_t = 10
    )]
    pub log_retain_days: u32,
    /// Where opslogs are flushed to: user:pass@tcp(host:3306)/db, mysql://…, sqlite:PATH or none
    /// [default: ha-sync.sqlite in the log directory]
    #[arg(long, value_name = "DSN", env = "HA_SYNC_DB_DSN", help_heading = "Log", hide_env_values = true)]
    pub db_dsn: Option<String>,
    /// After the run, remove operation rows that are older than this many days [default: never]
    #[arg(long, value_name = "DAYS", env = "HA_SYNC_DB_RETAIN_DAYS", help_heading = "Log")]
    pub db_retain_days: Option<u32>,

    /// What standard output is for: the plan of a dry run and the summary
    #[arg(
        long,
        value_name = "FORMAT",
        env = "HA_SYNC_FORMAT",
        help_heading = "Output",
        default_value = "text"
    )]
    pub format: FormatArg,
    /// Progress on standard error: auto is bars on a terminal, elsewhere a line every 30 s
    #[arg(
        long,
        value_name = "HOW",
        env = "HA_SYNC_PROGRESS",
        help_heading = "Output",
        default_value = "auto"
    )]
    pub progress: ProgressArg,
    /// Print every operation
    #[arg(long, short, env = "HA_SYNC_VERBOSE", help_heading = "Output", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub verbose: bool,
    /// Print nothing but warnings and errors
    #[arg(long, short, env = "HA_SYNC_QUIET", help_heading = "Output", default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub quiet: bool,
    /// Form of messages on standard error
    #[arg(
        long,
        value_name = "FORMAT",
        env = "HA_SYNC_LOG_FORMAT",
        help_heading = "Output",
        default_value = "text"
    )]
    pub log_format: FormatArg,
}

/// `--checksum`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ChecksumArg {
    /// Where mtimes differ and sizes do not
    Mismatch,
    /// Also where mtimes are equal
    Always,
    /// Never: a newer mtime means a copy
    Never,
}

/// `--fsync`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FsyncArg {
    /// Each file on a network file system, all at the end on a local one
    Auto,
    /// Each file before it gets its name
    Always,
    /// When the kernel likes
    Never,
}

/// `--lock`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LockArg {
    /// A Lease inside a Kubernetes cluster, a lock file elsewhere
    Auto,
    /// A Kubernetes Lease; outside a cluster by way of the kubeconfig
    Lease,
    /// A lock file in the log directory
    File,
    /// No lock: see to it yourself that no two runs of a pair overlap
    None,
}

/// `--format` and `--log-format`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// For people
    Text,
    /// JSON Lines
    Json,
}

/// `--progress`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressArg {
    /// Bars on a terminal, lines elsewhere
    Auto,
    /// Bars
    Bars,
    /// A line every 30 s
    Log,
    /// Nothing
    None,
}
