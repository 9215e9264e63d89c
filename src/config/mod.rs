//! What was meant: arguments that were checked against each other and against the machine.
//!
//! A mistake is reported at once, before anything is touched, in a sentence that tells what to do.

mod choices;
mod dashboard;
mod database;
mod error;
mod locking;
mod log_dir;
mod patterns;
mod roots;
mod values;

use std::path::PathBuf;
use std::time::Duration;

pub use self::choices::{Format, FsyncChoice, IfLocked, ProgressStyle};
pub use self::dashboard::DashboardConfig;
use self::database::{check_database_apart, retain_days};
pub use self::database::{database, parse_age};
pub use self::error::ConfigError;
use self::error::{Checked, wrong};
pub use self::locking::lock_choice;
pub use self::log_dir::{LogDirChoice, log_dir};
use self::patterns::selection;
use self::roots::{check_apart, check_log_dir, check_writable, root};
pub use self::values::pair_name;
use self::values::{
    direction_label, if_locked, max_delete, min_age, parse_size, root_name, threshold,
};
use crate::cli::{OutputArgs, SyncArgs};
use crate::ledger::Dsn;
use crate::lock::LockChoice;
use crate::model::{Name, RunKey};
use crate::pipeline::{Deletion, DeletionMethod, MetadataOptions, Policy, Selection};

/// A sync whose arguments make sense.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder that is read; absolute, symlinks resolved.
    pub source: PathBuf,
    /// The folder that is changed; absolute, symlinks resolved.
    pub dest: PathBuf,
    /// The pair and the direction.
    pub key: RunKey,
    /// Whether the run only plans and touches neither tree.
    pub dry_run: bool,
    /// The options of the decisions.
    pub policy: Policy,
    /// What takes part.
    pub selection: Selection,
    /// The conditions under which an entry that only the destination has is deleted. `None` if it
    /// is kept.
    pub deletion: Option<Deletion>,
    /// The name of a file that has to be in both roots.
    pub require_file: Option<Name>,
    /// Whether both roots have to be mount points.
    pub require_mount: bool,
    /// Threads that copy.
    pub workers: usize,
    /// Threads that list directories. `None` if the file system decides.
    pub scan_threads: Option<usize>,
    /// The largest number of bytes per second that all workers together read. `None` if there is no
    /// limit.
    pub bwlimit: Option<u64>,
    /// Whether the MD5 of what is copied is computed.
    pub hash_copies: bool,
    /// What is carried beside the content.
    pub metadata: MetadataOptions,
    /// When files are written through to disk.
    pub fsync: FsyncChoice,
    /// How the pair is locked.
    pub lock: LockChoice,
    /// What to do when it is locked already.
    pub if_locked: IfLocked,
    /// The log directory, where opslogs are written.
    pub log_dir: LogDirChoice,
    /// The time for which opslogs are kept. `None` if they are kept for ever.
    pub log_retention: Option<Duration>,
    /// The database that opslogs are flushed to. `None` for a file in the log directory.
    pub database: Option<Dsn>,
    /// The time for which operation rows are kept there. `None` if they are kept for ever.
    pub database_retention: Option<Duration>,
    /// What is printed.
    pub output: Output,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// Format of standard output.
    pub format: Format,
    /// Style of the progress on standard error.
    pub progress: ProgressStyle,
    /// Format of messages on standard error.
    pub log_format: Format,
    /// Amount of what is printed.
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

impl Config {
    /// Checks the arguments. It looks at the two roots and changes nothing.
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
        let max = max_delete(&deletion.max_delete)?;
        let log_dir = log_dir(log.log_dir.as_deref());
        check_log_dir(&log_dir, &[("--src", &source), ("--dest", &dest)])?;
        let database = database(log.db_dsn.as_deref())?;
        check_database_apart(
            database.as_ref(),
            &log_dir,
            &[("--src", &source), ("--dest", &dest)],
        )?;
        let policy = Policy {
            mtime_threshold: threshold(&carried.mtime_threshold)?,
            checksum: carried.checksum.into(),
            min_age: carried.min_age.as_deref().map(min_age).transpose()?,
        };
        let selection = selection(&carried.patterns)?;
        let require_file = safety.require_file.as_deref().map(root_name).transpose()?;
        Ok(Self {
            source,
            dest,
            key: RunKey { pair, direction },
            dry_run: carried.dry_run,
            policy,
            selection,
            deletion: deletion.delete_missing.then(|| Deletion {
                max,
                method: DeletionMethod::Remove,
                require_file: require_file.clone(),
            }),
            require_file,
            require_mount: safety.require_mount,
            workers: speed.workers.into(),
            scan_threads: speed.scan_threads.map(usize::from),
            bwlimit: speed.bwlimit.as_deref().map(parse_size).transpose()?,
            hash_copies: speed.hash_copies,
            metadata: MetadataOptions {
                owner: carried.owner,
                mode: carried.mode,
                xattrs: carried.xattrs,
            },
            fsync: speed.fsync.into(),
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

fn output(args: &OutputArgs) -> Checked<Output> {
    let detail = match (args.quiet, args.verbose) {
        (true, true) => return wrong("--quiet and --verbose exclude each other: give one"),
        (true, false) => Detail::Quiet,
        (false, true) => Detail::Verbose,
        (false, false) => Detail::Normal,
    };
    Ok(Output {
        format: args.format.into(),
        progress: args.progress.into(),
        log_format: args.log_format.into(),
        detail,
    })
}
