//! One run from beginning to end: flush what waits → lock → recover → header → announce → pipeline → seal → plan →
//! flush → summary → release → exit code.
//!
//! The lock is released when every thread of the pipeline has ended, and only then: one that hangs may still change something
//! when it wakes up. One that was lost is left alone, it is somebody else's.

mod attend;
pub(crate) mod ledger;
pub(crate) mod prepare;
mod share;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use uuid::Uuid;

use self::attend::{Ended, Hanging, SEALING, attend, until_ended, within};
use self::ledger::{Books, Settled};
use self::prepare::{Found, Lock, open_log_dir, open_root, take_lock, tidy};
use self::share::Share;
use crate::cli::{FormatArg, FsyncArg, ProgressArg};
use crate::config::{Config, Detail, IfLocked};
use crate::lock::{self, Holder, LockError, PairLock};
use crate::model::{Escaped, Summary, shown};
use crate::opslog::{
    FORMAT, Footer, Header, LogDir, OpslogWriter, RunStatus, SealedOpslog, keep_entries, last_entries,
};
use crate::pipeline::{Checksum, Fsync, MaxDelete, MinAge, Options, Rules, Synced, Trees};
use crate::report::{Console, Ending, Progress, Reporter, Told, print_plan};
use crate::stop::Stop;
use crate::time::to_rfc3339;
use crate::tree::{Tree, owner_of_new_files, raise_open_files, take_umask};

/// Directories listed at once. Measured (see `docs/performance.md`): on a local disk more threads than
/// processors gain nothing once 8 hide the waiting; over a network each one hides a round trip.
const SCAN_THREADS_LOCAL: usize = 8;
const SCAN_THREADS_NETWORK: usize = 16;

/// Smaller files are copied again in less time than anybody notices.
const CONTINUE_ABOVE: u64 = 1024 * 1024 * 1024;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, nothing failed; also: left to another run that holds the lock.
    Done,
    /// Done, some paths failed or are in conflict.
    Partial,
    /// Usage or configuration.
    Usage,
    /// A safety guard withheld all deletions or refused the run.
    Withheld,
    /// The lock was lost: what was not done by then was not begun any more.
    LockLost,
    /// The run could not go on.
    Fatal,
    /// The pair is locked and the user wants to know.
    Locked,
    /// A signal asked for the end.
    Interrupted(usize),
}

impl Exit {
    /// What the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Partial => 1,
            Self::Usage => 2,
            Self::Withheld => 3,
            Self::LockLost => 4,
            Self::Fatal => 5,
            Self::Locked => 75,
            Self::Interrupted(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }
}

/// What keeps a run from beginning: nothing was touched.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log directory can't be used.
    #[error("the log directory {} cannot be used: {error}. Give another one with --log-dir", shown(path))]
    LogDir {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The lock can't be had, and nobody has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A root went away since it was checked.
    #[error("{} cannot be opened: {error}", shown(path))]
    Root {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The opslog can't be begun.
    #[error("the opslog cannot be begun in {}: {error}", shown(path))]
    Opslog {
        /// In which log directory.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// What the run needs does not answer, and the run has to end.
    #[error(
        "{ended}; {} does not answer (is its server down?) and was not waited for, {fate}. Nothing was touched",
        shown(path)
    )]
    Hangs {
        /// A root, or the log directory.
        path: PathBuf,
        /// What ended the run.
        ended: String,
        /// What becomes of the lock.
        fate: &'static str,
        /// What the process ends with.
        exit: Exit,
    },
    /// A root is not what it has to be.
    #[error("refused: {}. Nothing was touched", Escaped(_0.as_bytes()))]
    Refused(String),
    /// Not even a small run fits.
    #[error("the limit of {0} open files is too low: raise it, as with `ulimit -n 1024`")]
    OpenFiles(usize),
}

impl StartError {
    /// What the process ends with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::LogDir { .. } | Self::OpenFiles(_) => Exit::Usage,
            Self::Lock(LockError::Lease(error)) if error.is_configuration() => Exit::Usage,
            Self::Refused(_) => Exit::Withheld,
            Self::Hangs { exit, .. } => *exit,
            Self::Lock(_) | Self::Root { .. } | Self::Opslog { .. } => Exit::Fatal,
        }
    }
}

/// Runs one sync.
pub fn run(config: &Config, console: &Console, stop: &Stop) -> Result<Exit, StartError> {
    let choice = config.log_dir.clone();
    let dir = answered(config.log_dir.first(), (None, stop), move || open_log_dir(&choice))??;
    let mut books = Books::open(config, &dir, stop);
    books.flush_pending(&dir);
    let id = Uuid::now_v7();
    let lock = match take_lock(config, &dir, &id.to_string(), stop)? {
        Lock::Ours(lock) => lock,
        Lock::Taken(holder) => return Ok(leave_to(holder.as_ref(), config, console, stop)),
    };
    let carried = prepare(config, &dir, (lock.as_ref(), stop)).and_then(|(found, roots)| {
        books.set_recovered(found.recovered);
        let run = Run::begin(config, &dir, id, roots, lock.is_some(), found.retired)?;
        run.carry_out(books, lock.as_ref(), console, stop)
    });
    let hangs = matches!(carried, Ok(Carried { hangs: true, .. }) | Err(StartError::Hangs { .. }));
    match lock {
        Some(lock) if hangs => lock.leave(),
        Some(lock) if stop.forbids_changes() => {
            if !matches!(carried, Ok(Carried { exit: Exit::LockLost, .. })) {
                tracing::warn!("the lock was lost, too: {}", Escaped(lock.loss().as_bytes()));
            }
            lock.leave();
        }
        Some(lock) => {
            if let Err(why) = lock.release() {
                tracing::warn!("{}", Escaped(why.as_bytes()));
            }
        }
        None => {}
    }
    carried.map(|carried| carried.exit)
}

/// Puts the log directory in order and opens the roots.
fn prepare(
    config: &Config,
    dir: &LogDir,
    held: (Option<&PairLock>, &Stop),
) -> Result<(Found, [Tree; 2]), StartError> {
    let (ours, logs) = (config.clone(), dir.clone());
    let found = answered(dir.path(), held, move || tidy(&ours, &logs))?;
    let open = |path: &Path| {
        let (ours, root) = (config.clone(), path.to_owned());
        answered(path, held, move || open_root(&ours, &root))?
    };
    Ok((found, [open(&config.source)?, open(&config.dest)?]))
}

/// Does something with a folder whose server may be gone; the run may have to end before it answers.
fn answered<T: Send + 'static>(
    path: &Path,
    (lock, stop): (Option<&PairLock>, &Stop),
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StartError> {
    let root = |error| StartError::Root { path: path.to_owned(), error };
    until_ended(path, stop, work).map_err(root)?.ok_or_else(|| {
        let nothing = Synced { counts: Summary::default(), withheld: None, result: Ok(()) };
        let (exit, ended) = ended_early(&nothing, lock, stop, stop.forbids_changes());
        StartError::Hangs { path: path.to_owned(), ended, fate: fate(lock), exit }
    })
}

/// What came of a run that was begun.
struct Carried {
    exit: Exit,
    /// Some of its threads have not ended.
    hangs: bool,
}

/// One run that holds its lock, or needs none.
struct Run<'a> {
    config: &'a Config,
    dir: &'a LogDir,
    id: Uuid,
    started: SystemTime,
    clock: Instant,
    trees: Trees,
    options: Options,
    /// Opslogs that were deleted by age.
    retired: u64,
}

impl<'a> Run<'a> {
    fn begin(
        config: &'a Config,
        dir: &'a LogDir,
        id: Uuid,
        [source, dest]: [Tree; 2],
        holds_lock: bool,
        retired: u64,
    ) -> Result<Self, StartError> {
        let (started, clock) = (SystemTime::now(), Instant::now());
        let dest_on_network = dest.is_on_network();
        let on_network = source.is_on_network() || dest_on_network;
        let wanted =
            config.scan_threads.unwrap_or(if on_network { SCAN_THREADS_NETWORK } else { SCAN_THREADS_LOCAL });
        let min_age = config.min_age.map(|age| MinAge { age, now: started.into() });
        let share = Share::of(raise_open_files(), config.workers, wanted)?;
        let options = Options {
            run: id.as_u64_pair().1,
            dry_run: config.dry_run,
            rules: Rules { min_age, ..config.rules },
            filter: config.filter.clone(),
            delete_missing: config.delete_missing,
            require_file: config.require_file.clone(),
            workers: share.workers,
            scan_threads: share.scan_threads,
            bwlimit: config.bwlimit,
            hash_copies: config.hash_copies,
            carry_owner: config.carry_owner,
            carry_mode: config.carry_mode,
            carry_xattrs: config.carry_xattrs,
            fsync: match config.fsync {
                FsyncArg::Auto if dest_on_network => Fsync::EachFile,
                FsyncArg::Auto => Fsync::AtEnd,
                FsyncArg::Always => Fsync::EachFile,
                FsyncArg::Never => Fsync::Never,
            },
            dest_on_network,
            sweep: holds_lock,
            continue_above: CONTINUE_ABOVE,
            process_owner: owner_of_new_files(),
            umask: 0, // Taken when the opslog has been made.
        };
        let keeping = |tree: Tree| Arc::new(tree.keeping_open(share.handles));
        let trees = Trees { source: keeping(source), dest: keeping(dest) };
        Ok(Self { config, dir, id, started, clock, trees, options, retired })
    }

    fn carry_out(
        mut self,
        mut books: Books,
        lock: Option<&PairLock>,
        console: &Console,
        stop: &Stop,
    ) -> Result<Carried, StartError> {
        let error = |error| StartError::Opslog { path: self.dir.path().to_owned(), error };
        let header = self.header(books.database());
        let (dir, begun, started) = (self.dir.clone(), header.clone(), self.started);
        let create = move || OpslogWriter::create(&dir, begun, started);
        let opslog = answered(self.dir.path(), (lock, stop), create)?.map_err(error)?;
        books.begin(header);
        // From here on only the trees get new files, and those have modes of their own.
        self.options.umask = take_umask();
        let output = self.config.output;
        let reporter = Reporter::new(console, output, self.config.dry_run, self.options.workers, stop);
        let shows_progress = output.progress != ProgressArg::None && output.detail != Detail::Quiet;
        let progress = shows_progress.then(|| {
            Progress::start(
                &reporter.live,
                console,
                self.options.workers,
                last_entries(self.dir, &self.config.pair, &self.config.direction),
            )
        });
        let attended = attend(self.trees.clone(), self.options.clone(), reporter, stop, opslog);
        if let Some(progress) = progress.flatten() {
            progress.finish();
        }
        let (synced, told, opslog) = match attended.map_err(error)? {
            Ended::Whole { synced, told, opslog } => (synced, told, opslog),
            Ended::Hanging(hanging) => return Ok(self.end_without(hanging, books, lock, console, stop)),
        };
        let (exit, error) = judge(&synced, lock, stop, stop.forbids_changes());
        let message = error.clone().or_else(|| synced.withheld.as_ref().map(ToString::to_string));
        let (counts, retired) = (synced.counts.clone(), self.retired);
        let seal = move || opslog.finish_as(exit, &counts, message.as_deref(), retired);
        let sealed = until_ended(self.dir.path(), stop, seal);
        let hangs = matches!(sealed, Ok(None));
        let settled = sealed.and_then(|sealed| sealed.unwrap_or_else(|| self.unsealed(lock))).map(|opslog| {
            self.keep_entries(exit, &synced.counts);
            self.print_plan(console, error.is_some(), &opslog.path);
            books.settle(opslog, exit == Exit::Done)
        });
        Ok(Carried { exit: self.tell(console, &told, &synced, (exit, error), settled), hangs })
    }

    /// Ends the run where some of its threads can't be waited for.
    fn end_without(
        &self,
        Hanging { in_hand, counts, told, opslog, was_lost }: Hanging,
        books: Books,
        lock: Option<&PairLock>,
        console: &Console,
        stop: &Stop,
    ) -> Carried {
        let synced = Synced { counts, withheld: None, result: Ok(()) };
        let (exit, ended) = ended_early(&synced, lock, stop, was_lost);
        let fate = fate(lock);
        let at = if in_hand.is_empty() { String::new() } else { format!(" ({})", in_hand.join(", ")) };
        let error = format!("{ended}; what hangs in a system call{at} was not waited for, {fate}");
        let (counts, message, retired) = (synced.counts.clone(), error.clone(), self.retired);
        let sealed = opslog.and_then(|opslog| {
            within(SEALING, move || opslog.finish_as(exit, &counts, Some(&message), retired))
        });
        let settled = sealed.unwrap_or_else(|| self.unsealed(lock)).map(|opslog| books.settle(opslog, false));
        Carried { exit: self.tell(console, &told, &synced, (exit, Some(error)), settled), hangs: true }
    }

    /// What it is written to hangs.
    fn unsealed(&self, lock: Option<&PairLock>) -> io::Result<SealedOpslog> {
        let (dir, fate) = (shown(self.dir.path()), fate(lock));
        Err(io::Error::other(format!("{dir} does not answer, {fate}; the next run recovers it")))
    }

    /// For the progress of the next run. A run that did not come to its end, or a dry one, is no measure.
    fn keep_entries(&self, exit: Exit, counts: &Summary) {
        if self.config.dry_run || exit.status() == RunStatus::Failed {
            return;
        }
        // It costs the next run a percentage, and the opslog beside it tells of a full disk.
        let _unmeasured = keep_entries(self.dir, &self.config.pair, &self.config.direction, counts);
    }

    fn header(&self, database: String) -> Header {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Header {
            format: FORMAT,
            run_id: self.id.to_string(),
            pair: self.config.pair.clone(),
            direction: self.config.direction.clone(),
            src: text(&self.config.source),
            dest: text(&self.config.dest),
            started_at: to_rfc3339(self.started),
            dry_run: self.config.dry_run,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: lock::host(),
            pid: std::process::id(),
            database: Some(database),
            options: self.options_for_the_header(),
        }
    }

    fn options_for_the_header(&self) -> serde_json::Map<String, serde_json::Value> {
        let options = &self.options;
        let checksum = match options.rules.checksum {
            Checksum::Mismatch => "mismatch",
            Checksum::Always => "always",
            Checksum::Never => "never",
        };
        let fsync = match options.fsync {
            Fsync::EachFile => "each file",
            Fsync::AtEnd => "at the end",
            Fsync::Never => "never",
        };
        let max_delete = options.delete_missing.map(|max| match max {
            MaxDelete::Count(count) => count.to_string(),
            MaxDelete::Percent(percent) => format!("{percent}%"),
            MaxDelete::Unlimited => "none".to_owned(),
        });
        let all = serde_json::json!({
            "delete_missing": max_delete.is_some(),
            "max_delete": max_delete,
            "filter": options.filter.lines(),
            "min_age": self.config.min_age.map(|age| age.as_secs_f64()),
            "require_file": options.require_file.as_ref().map(|name| String::from_utf8_lossy(name)),
            "require_mount": self.config.require_mount,
            "workers": options.workers,
            "scan_threads": options.scan_threads,
            "mtime_threshold": options.rules.mtime_threshold.as_secs_f64(),
            "checksum": checksum,
            "hash_copies": options.hash_copies,
            "bwlimit": options.bwlimit,
            "owner": options.carry_owner,
            "mode": options.carry_mode,
            "xattrs": options.carry_xattrs,
            "fsync": fsync,
        });
        all.as_object().cloned().unwrap_or_default()
    }

    /// Prints plan and summary, and returns what the process ends with.
    fn tell(
        &self,
        console: &Console,
        told: &Told,
        Synced { counts, withheld, .. }: &Synced,
        (exit, error): (Exit, Option<String>),
        settled: io::Result<Settled>,
    ) -> Exit {
        let (settled, unsealed) = match settled {
            Ok(settled) => (settled, None),
            Err(cause) => (Settled::default(), Some(format!("the opslog could not be sealed: {cause}"))),
        };
        let exit = if unsealed.is_some() { exit.or_fatal() } else { exit };
        let error = error.into_iter().chain(unsealed).reduce(|first, second| format!("{first}; {second}"));
        if let Some(error) = &error {
            tracing::error!("{}", Escaped(error.as_bytes()));
        }
        if self.config.output.detail == Detail::Quiet {
            if let Some(withheld) = withheld {
                tracing::error!("{}", Escaped(withheld.to_string().as_bytes()));
            }
            for failure in &told.failures {
                tracing::error!("{failure}");
            }
            return exit;
        }
        let ending = Ending {
            pair: &self.config.pair,
            direction: &self.config.direction,
            run_id: &self.id.to_string(),
            dry_run: self.config.dry_run,
            status: exit.status(),
            exit_code: exit.code(),
            took: self.clock.elapsed(),
            counts,
            told,
            error: error.as_deref(),
            withheld: withheld.as_ref(),
            opslog: settled.opslog.as_deref(),
            recorded: settled.recorded.as_deref(),
            current_since: settled.current_since.as_deref(),
        };
        console.print(&match self.config.output.format {
            FormatArg::Text => ending.to_text(),
            FormatArg::Json => ending.to_json(),
        });
        match console.failure() {
            Some(error) => {
                tracing::error!("what was printed is not complete: {error}");
                exit.or_fatal()
            }
            None => exit,
        }
    }

    /// A dry run's operations, read back from its opslog; those of one that was cut short are no plan.
    fn print_plan(&self, console: &Console, is_cut_short: bool, opslog: &Path) {
        let is_wanted = self.config.dry_run && self.config.output.detail != Detail::Quiet;
        if !is_wanted || is_cut_short {
            return;
        }
        if let Err(damage) = print_plan(console, opslog, self.config.output.format) {
            tracing::error!("the plan cannot be read back from {}: {damage}", shown(opslog));
        }
    }
}

/// How the run ended, and what ended it early.
fn judge(
    Synced { counts, withheld, result }: &Synced,
    lock: Option<&PairLock>,
    stop: &Stop,
    was_lost: bool,
) -> (Exit, Option<String>) {
    let told = result.as_ref().err().map(ToString::to_string);
    // Who could tell it may hang.
    let fatal = told.or_else(|| stop.halted_by().map(str::to_owned));
    match (stop.signal(), fatal) {
        (Some(signal), fatal) => {
            let also = fatal.map_or_else(String::new, |error| format!("; {error}"));
            (Exit::Interrupted(signal), Some(format!("interrupted by signal {signal}{also}")))
        }
        (None, Some(error)) => (Exit::Fatal, Some(error)),
        (None, None) if was_lost => {
            let why = lock.map_or_else(String::new, PairLock::loss);
            (
                Exit::LockLost,
                Some(format!("the lock was lost, and nothing more was begun at the destination: {why}")),
            )
        }
        (None, None) if withheld.is_some() => (Exit::Withheld, None),
        (None, None) if counts.is_partial() => (Exit::Partial, None),
        (None, None) => (Exit::Done, None),
    }
}

/// The same of one that did not come to its end, whatever kept it from that.
fn ended_early(synced: &Synced, lock: Option<&PairLock>, stop: &Stop, was_lost: bool) -> (Exit, String) {
    match judge(synced, lock, stop, was_lost) {
        (_, None) => (Exit::Fatal, "the run could not go on".to_owned()),
        (exit, Some(ended)) => (exit, ended),
    }
}

/// What becomes of a lock that is not given back.
fn fate(lock: Option<&PairLock>) -> &'static str {
    lock.map_or("there is no lock to release", PairLock::fate)
}

/// The pair is somebody else's for now.
fn leave_to(holder: Option<&Holder>, config: &Config, console: &Console, stop: &Stop) -> Exit {
    if let Some(signal) = stop.signal() {
        return Exit::Interrupted(signal);
    }
    let who = holder.map_or_else(|| "another run".to_owned(), ToString::to_string);
    let (exit, what) = match config.if_locked {
        IfLocked::Skip => (Exit::Done, "skipped"),
        IfLocked::Wait(_) | IfLocked::Fail => (Exit::Locked, "not run"),
    };
    let pair = &config.pair;
    match (config.output.format, config.output.detail) {
        (_, Detail::Quiet) => {}
        (FormatArg::Text, _) => console.print(&format!("{pair}: {what}, the pair is locked by {who}\n")),
        (FormatArg::Json, _) => {
            let line = serde_json::json!({ "type": "locked", "pair": pair, "holder": holder, "exit_code": exit.code() });
            console.print(&format!("{line}\n"));
        }
    }
    exit
}

impl Exit {
    /// Something of the run's own was lost on top: worse than failed paths, not worse than a signal.
    fn or_fatal(self) -> Self {
        if matches!(self, Self::Interrupted(_)) { self } else { Self::Fatal }
    }

    /// How a run that ends so is logged.
    fn status(self) -> RunStatus {
        match self {
            Self::Done => RunStatus::Success,
            Self::Partial | Self::Withheld => RunStatus::PartialFailure,
            Self::Usage | Self::LockLost | Self::Fatal | Self::Locked | Self::Interrupted(_) => {
                RunStatus::Failed
            }
        }
    }
}

impl OpslogWriter {
    fn finish_as(
        self,
        exit: Exit,
        counts: &Summary,
        error: Option<&str>,
        retired: u64,
    ) -> io::Result<SealedOpslog> {
        let footer = Footer {
            ended_at: to_rfc3339(SystemTime::now()),
            status: exit.status(),
            operations: self.operations(),
            counts: counts.clone(),
            retired_unflushed: retired,
            error_message: error.map(str::to_owned),
        };
        self.finish(footer)
    }
}
