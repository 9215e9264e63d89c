//! What was meant: arguments that were checked against each other and against the machine.
//!
//! Whatever is wrong is said at once, before anything is touched, in a sentence that tells what to do.

mod dashboard;
mod database;
mod filters;
mod locking;
mod roots;
mod values;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::dashboard::DashboardConfig;
use self::database::{check_database_apart, retain_days};
pub use self::database::{database, parse_age};
use self::filters::filter;
pub use self::locking::lock_choice;
use self::roots::{check_apart, check_log_dir, check_writable, root};
pub use self::values::pair_name;
use self::values::{direction_label, if_locked, max_delete, min_age, parse_size, root_name, threshold};
use crate::cli::{ChecksumArg, FormatArg, FsyncArg, OutputArgs, ProgressArg, SyncArgs};
use crate::ledger::Dsn;
use crate::lock::LockChoice;
use crate::model::Name;
use crate::pipeline::{Checksum, Filter, MaxDelete, Rules};

/// A sync that makes sense.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder that is read; absolute, symlinks resolved.
    pub source: PathBuf,
    /// The folder that is changed; absolute, symlinks resolved.
    pub dest: PathBuf,
    /// Logical name of the pair.
    pub pair: String,
    /// Label of the direction.
    pub direction: String,
    /// Plan only.
    pub dry_run: bool,
    /// What decides; how old files have to be is told apart, since it depends on when the run begins.
    pub rules: Rules,
    /// How old files have to be to be touched.
    pub min_age: Option<Duration>,
    /// What is left out.
    pub filter: Filter,
    /// Under which conditions what only the destination has is deleted.
    pub delete_missing: Option<MaxDelete>,
    /// A file that has to be in both roots.
    pub require_file: Option<Name>,
    /// Whether both roots have to be mount points.
    pub require_mount: bool,
    /// Threads that copy.
    pub workers: usize,
    /// Threads that list; nothing: by file system.
    pub scan_threads: Option<usize>,
    /// Bytes a second over all workers.
    pub bwlimit: Option<u64>,
    /// MD5 of what is copied.
    pub hash_copies: bool,
    /// Carry owners.
    pub carry_owner: bool,
    /// Carry permission bits.
    pub carry_mode: bool,
    /// Carry extended attributes and ACLs.
    pub carry_xattrs: bool,
    /// When files are written through to disk.
    pub fsync: FsyncArg,
    /// How the pair is locked.
    pub lock: LockChoice,
    /// What to do when it is locked already.
    pub if_locked: IfLocked,
    /// Where opslogs go.
    pub log_dir: LogDirChoice,
    /// How long opslogs are kept; nothing: for ever.
    pub log_retention: Option<Duration>,
    /// Where opslogs are flushed to; nothing: a file in the log directory.
    pub database: Option<Dsn>,
    /// How long operation rows are kept there; nothing: for ever.
    pub database_retention: Option<Duration>,
    /// What is printed.
    pub output: Output,
}

/// Where opslogs go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogDirChoice {
    /// Where the user said.
    Given(PathBuf),
    /// The system's place or, where that can't be used, the user's.
    Default {
        /// Tried first.
        system: PathBuf,
        /// Tried then; nothing where there is no home.
        user: Option<PathBuf>,
    },
}

impl LogDirChoice {
    /// Where it is tried first.
    pub(crate) fn first(&self) -> &Path {
        match self {
            Self::Given(path) | Self::Default { system: path, .. } => path,
        }
    }
}

/// `--if-locked`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfLocked {
    /// Leave it to the run that is under way.
    Skip,
    /// Wait this long at most.
    Wait(Duration),
    /// Exit 75.
    Fail,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// Standard output.
    pub format: FormatArg,
    /// Progress.
    pub progress: ProgressArg,
    /// Messages.
    pub log_format: FormatArg,
    /// How much.
    pub detail: Detail,
}

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Warnings and errors.
    Quiet,
    /// The summary, too.
    Normal,
    /// Every operation, too.
    Verbose,
}

/// Arguments that make no sense: what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

type Checked<T> = Result<T, ConfigError>;

fn wrong<T>(message: impl fmt::Display) -> Checked<T> {
    Err(ConfigError(message.to_string()))
}

impl Config {
    /// Checks the arguments. Looks at the two roots, changes nothing.
    pub fn from_args(args: &SyncArgs) -> Checked<Self> {
        let SyncArgs { carried, deletion, speed, safety, log, .. } = args;
        let pair = pair_name(args.pair.as_deref().unwrap_or_default())?;
        let direction = direction_label(&args.direction)?;
        let source = root("--src", args.src.as_deref())?;
        let dest = root("--dest", args.dest.as_deref())?;
        check_apart(&source, &dest)?;
        if !carried.dry_run {
            check_writable(&dest)?;
        }
        let max_delete = max_delete(&deletion.max_delete)?;
        let log_dir = log_dir(log.log_dir.as_deref());
        check_log_dir(&log_dir, &[("--src", &source), ("--dest", &dest)])?;
        let database = database(log.db_dsn.as_deref())?;
        check_database_apart(database.as_ref(), &log_dir, &[("--src", &source), ("--dest", &dest)])?;
        Ok(Self {
            source,
            dest,
            pair,
            direction,
            dry_run: carried.dry_run,
            rules: Rules {
                mtime_threshold: threshold(&carried.mtime_threshold)?,
                granularity: Duration::ZERO, // Found out when the trees are open.
                checksum: match carried.checksum {
                    ChecksumArg::Mismatch => Checksum::Mismatch,
                    ChecksumArg::Always => Checksum::Always,
                    ChecksumArg::Never => Checksum::Never,
                },
                min_age: None,
            },
            min_age: carried.min_age.as_deref().map(min_age).transpose()?,
            filter: filter(&carried.patterns)?,
            delete_missing: deletion.delete_missing.then_some(max_delete),
            require_file: safety.require_file.as_deref().map(root_name).transpose()?,
            require_mount: safety.require_mount,
            workers: speed.workers.into(),
            scan_threads: speed.scan_threads.map(usize::from),
            bwlimit: speed.bwlimit.as_deref().map(parse_size).transpose()?,
            hash_copies: speed.hash_copies,
            carry_owner: carried.owner,
            carry_mode: carried.mode,
            carry_xattrs: carried.xattrs,
            fsync: speed.fsync,
            lock: lock_choice(&safety.lock)?,
            if_locked: if_locked(&safety.if_locked)?,
            log_dir,
            log_retention: (log.log_retain_days > 0)
                .then(|| Duration::from_secs(u64::from(log.log_retain_days) * 24 * 3600)),
            database,
            database_retention: log.db_retain_days.map(retain_days).transpose()?,
            output: output(&args.output)?,
        })
    }
}

/// `--log-dir`, or the default.
pub fn log_dir(given: Option<&Path>) -> LogDirChoice {
    if let Some(path) = given {
        return LogDirChoice::Given(path.to_owned());
    }
    let absolute =
        |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    LogDirChoice::Default { system: "/var/log/ha-sync".into(), user: user.map(|state| state.join("ha-sync")) }
}

fn output(args: &OutputArgs) -> Checked<Output> {
    let detail = match (args.quiet, args.verbose) {
        (true, true) => return wrong("--quiet and --verbose exclude each other: give one"),
        (true, false) => Detail::Quiet,
        (false, true) => Detail::Verbose,
        (false, false) => Detail::Normal,
    };
    Ok(Output { format: args.format, progress: args.progress, log_format: args.log_format, detail })
}
