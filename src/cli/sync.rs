//! The flags of a sync, a group for each heading of `--help`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Args};

use super::choices::{ChecksumArg, FormatArg, FsyncArg, ProgressArg};
use super::{LockArgs, PatternArg};

/// The flags of a sync. Each can also come from the environment variable `HA_SYNC_…`.
#[derive(Debug, Args)]
#[command(mut_args(takes_a_bool))]
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

    /// What is carried, and how two entries are compared.
    #[command(flatten)]
    pub carried: CarriedArgs,
    /// What is deleted.
    #[command(flatten)]
    pub deletion: DeletionArgs,
    /// How fast it goes.
    #[command(flatten)]
    pub speed: SpeedArgs,
    /// What must be so before a run begins.
    #[command(flatten)]
    pub safety: SafetyArgs,
    /// Where operations are logged, and how long that is kept.
    #[command(flatten)]
    pub log: LogArgs,
    /// What is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What is carried, and how two entries are compared.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is carried")]
pub struct CarriedArgs {
    /// Compute, print and log the plan; touch neither tree
    #[arg(long, env = "HA_SYNC_DRY_RUN")]
    pub dry_run: bool,
    /// Seconds within which two mtimes are equal; fractions allowed
    #[arg(
        long,
        value_name = "SECONDS",
        env = "HA_SYNC_MTIME_THRESHOLD",
        allow_negative_numbers = true,
        default_value = "2"
    )]
    pub mtime_threshold: String,
    /// When contents of files of one size are compared (MD5)
    #[arg(long, value_name = "WHEN", env = "HA_SYNC_CHECKSUM", default_value = "mismatch")]
    pub checksum: ChecksumArg,
    /// Carry owner and group (where this process may set them)
    #[arg(long, env = "HA_SYNC_OWNER", default_value_t = true)]
    pub owner: bool,
    /// Carry the permission bits
    #[arg(long, env = "HA_SYNC_MODE", default_value_t = true)]
    pub mode: bool,
    /// Carry extended attributes (user.*) and, with the permission bits, POSIX ACLs
    #[arg(long, env = "HA_SYNC_XATTRS", default_value_t = true)]
    pub xattrs: bool,
    /// Leave out what matches this glob, in the language of gitignore: never copied, never deleted.
    /// Of all --exclude, --include and --exclude-from, the last match in the order given wins. In
    /// the environment, one a line; they come first
    #[arg(long, value_name = "GLOB", env = "HA_SYNC_EXCLUDE", value_delimiter = '\n')]
    pub exclude: Vec<String>,
    /// Take in again what matches this glob
    #[arg(long, value_name = "GLOB", env = "HA_SYNC_INCLUDE", value_delimiter = '\n')]
    pub include: Vec<String>,
    /// Leave out what matches a line of this file, which is written like a .gitignore
    #[arg(long, value_name = "FILE", env = "HA_SYNC_EXCLUDE_FROM", value_delimiter = '\n')]
    pub exclude_from: Vec<PathBuf>,
    /// The three above in the order in which they were given.
    #[arg(skip)]
    pub patterns: Vec<PatternArg>,
    /// Leave files alone that changed less than this ago, such as 90s, 10m or 1h: they may still be
    /// on their way
    #[arg(long, value_name = "DURATION", env = "HA_SYNC_MIN_AGE")]
    pub min_age: Option<String>,
}

/// What is deleted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Deletion")]
pub struct DeletionArgs {
    /// Delete at dest what src does not have
    #[arg(long, env = "HA_SYNC_DELETE_MISSING")]
    pub delete_missing: bool,
    /// With more candidates than this nothing at all is deleted (exit 3): a number, a percentage of
    /// dest's entries, which never stops fewer than 100, or none
    #[arg(long, value_name = "N|P%|none", env = "HA_SYNC_MAX_DELETE", default_value = "50%")]
    pub max_delete: String,
}

/// How fast it goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Speed")]
pub struct SpeedArgs {
    /// Threads that copy, hash, make directories and delete
    #[arg(long, value_name = "N", env = "HA_SYNC_WORKERS", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: u16,
    /// Threads that list directories [default: 8, on a network file system 16]
    #[arg(long, value_name = "N", env = "HA_SYNC_SCAN_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub scan_threads: Option<u16>,
    /// Compute the MD5 of what is copied, for the log; without it the kernel may copy by itself
    #[arg(long, env = "HA_SYNC_HASH_COPIES", default_value_t = true)]
    pub hash_copies: bool,
    /// Write files through to disk: auto is each file on a network file system, all at the end on a
    /// local one
    #[arg(long, value_name = "WHEN", env = "HA_SYNC_FSYNC", default_value = "auto")]
    pub fsync: FsyncArg,
    /// Read no more bytes a second than this, all workers together, to copy or to compare: such as
    /// 50M (K, M, G are powers of 1024)
    #[arg(long, value_name = "RATE", env = "HA_SYNC_BWLIMIT")]
    pub bwlimit: Option<String>,
}

/// What must be so before a run begins.
#[derive(Debug, Args)]
#[command(next_help_heading = "Safety")]
pub struct SafetyArgs {
    /// How two runs of one pair are kept apart.
    #[command(flatten)]
    pub lock: LockArgs,
    /// When the pair is locked: skip (exit 0), wait, wait=SECONDS, or fail (exit 75)
    #[arg(long, value_name = "WHAT", env = "HA_SYNC_IF_LOCKED", default_value = "skip")]
    pub if_locked: String,
    /// Refuse to run (exit 3) unless src and dest are mount points
    #[arg(long, env = "HA_SYNC_REQUIRE_MOUNT")]
    pub require_mount: bool,
    /// Refuse to run (exit 3) unless a file of this name is in both roots; looked at again before
    /// anything is deleted. It tells that a disk is mounted on the server, too
    #[arg(long, value_name = "NAME", env = "HA_SYNC_REQUIRE_FILE")]
    pub require_file: Option<String>,
}

/// Where operations are logged, and how long that is kept.
#[derive(Debug, Args)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    /// Where opslogs are written [default: /var/log/ha-sync, else the user's state folder]
    #[arg(long, value_name = "DIR", env = "HA_SYNC_LOG_DIR")]
    pub log_dir: Option<PathBuf>,
    /// Delete opslogs that are older than this many days; 0 is never
    #[arg(long, value_name = "DAYS", env = "HA_SYNC_LOG_RETAIN_DAYS", default_value_t = 10)]
    pub log_retain_days: u32,
    /// Where opslogs are flushed to: user:pass@tcp(host:3306)/db, mysql://…, sqlite:PATH or none
    /// [default: ha-sync.sqlite in the log directory]
    #[arg(long, value_name = "DSN", env = "HA_SYNC_DB_DSN", hide_env_values = true)]
    pub db_dsn: Option<String>,
    /// After the run, remove operation rows that are older than this many days [default: never]
    #[arg(long, value_name = "DAYS", env = "HA_SYNC_DB_RETAIN_DAYS")]
    pub db_retain_days: Option<u32>,
}

/// What is printed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// What standard output is for: the plan of a dry run and the summary
    #[arg(long, value_name = "FORMAT", env = "HA_SYNC_FORMAT", default_value = "text")]
    pub format: FormatArg,
    /// Progress on standard error: auto is bars on a terminal, elsewhere a line every 30 s
    #[arg(long, value_name = "HOW", env = "HA_SYNC_PROGRESS", default_value = "auto")]
    pub progress: ProgressArg,
    /// Print every operation
    #[arg(long, short, env = "HA_SYNC_VERBOSE")]
    pub verbose: bool,
    /// Print nothing but warnings and errors
    #[arg(long, short, env = "HA_SYNC_QUIET")]
    pub quiet: bool,
    /// Form of messages on standard error
    #[arg(long, value_name = "FORMAT", env = "HA_SYNC_LOG_FORMAT", default_value = "text")]
    pub log_format: FormatArg,
}

/// Makes a switch also take `=true` and `=false`, so that one from the environment can be undone.
fn takes_a_bool(arg: Arg) -> Arg {
    if !matches!(arg.get_action(), ArgAction::SetTrue) {
        return arg;
    }
    let unset = arg.get_default_values().is_empty();
    let arg = if unset { arg.default_value("false") } else { arg };
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .default_missing_value("true")
        .require_equals(true)
        .value_name("BOOL")
}
