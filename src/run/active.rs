//! Active: one run that holds its lock, or does not need one, from the header of its opslog to the
//! exit of the process.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use uuid::Uuid;

use super::ending::{Carried, finish_opslog, judge};
use super::exit::{Exit, StartError};
use super::fd_budget::FdBudget;
use super::held::Held;
use super::ledger::LedgerSession;
use super::patience::until_ended;
use super::supervise::{Supervised, supervise};
use crate::config::{Config, Detail, ProgressStyle};
use crate::opslog::{LogDir, OpslogWriter, last_entries};
use crate::pipeline::{IoOptions, Options, Process, Trees};
use crate::report::{Console, Progress, Reporter};
use crate::tree::{Tree, raise_open_files, take_umask};

/// Directories that are listed at once. Measured (see `docs/performance.md`): on a local disk more
/// threads than processors gain nothing once 8 hide the waiting. Over a network each thread hides a
/// round trip.
const SCAN_THREADS_LOCAL: usize = 8;
const SCAN_THREADS_NETWORK: usize = 16;

/// Size in bytes above which an interrupted copy is resumed. A smaller file is copied again in less
/// time than anybody notices.
const RESUME_ABOVE: u64 = 1024 * 1024 * 1024;

/// The two roots, open.
pub(super) struct Roots {
    pub(super) source: Tree,
    pub(super) dest: Tree,
}

/// One run that holds its lock, or does not need one.
pub(super) struct Run<'a> {
    pub(super) config: &'a Config,
    pub(super) dir: &'a LogDir,
    pub(super) held: &'a Held,
    pub(super) id: Uuid,
    pub(super) started: SystemTime,
    pub(super) clock: Instant,
    pub(super) io: IoOptions,
    /// Number of opslogs that were deleted by age.
    pub(super) retired: u64,
    trees: Trees,
}

impl<'a> Run<'a> {
    pub(super) fn begin(
        config: &'a Config,
        dir: &'a LogDir,
        held: &'a Held,
        id: Uuid,
        Roots { source, dest }: Roots,
        retired: u64,
    ) -> Result<Self, StartError> {
        let (started, clock) = (SystemTime::now(), Instant::now());
        let dest_on_network = dest.is_on_network();
        let on_network = source.is_on_network() || dest_on_network;
        let wanted = config.scan_threads.unwrap_or(if on_network {
            SCAN_THREADS_NETWORK
        } else {
            SCAN_THREADS_LOCAL
        });
        let FdBudget { workers, scan_threads, handles } =
            FdBudget::of(raise_open_files(), config.workers, wanted)?;
        let io = IoOptions {
            workers,
            scan_threads,
            bwlimit: config.bwlimit,
            hash_copies: config.hash_copies,
            fsync: config.fsync.on(dest_on_network),
            dest_on_network,
            resume_above: RESUME_ABOVE,
        };
        let keeping = |tree: Tree| Arc::new(tree.keeping_open(handles));
        let trees = Trees { source: keeping(source), dest: keeping(dest) };
        Ok(Self { config, dir, held, id, started, clock, io, retired, trees })
    }

    pub(super) fn carry_out(
        self,
        mut session: LedgerSession,
        console: &Console,
    ) -> Result<Carried, StartError> {
        let error = |error| StartError::Opslog { path: self.dir.path().to_owned(), error };
        let header = self.header(session.database());
        let (dir, begun, started) = (self.dir.clone(), header.clone(), self.started);
        let create = move || OpslogWriter::create(&dir, begun, started);
        let opslog = self.held.answered(self.dir.path(), create)?.map_err(error)?;
        session.begin(header);
        let options = self.options(); // Only now that the opslog is made: see there.
        let (stop, output, workers) = (&self.held.stop, self.config.output, self.io.workers);
        let reporter = Reporter::new(console, output, self.config.dry_run, workers, stop);
        let shows_progress =
            output.progress != ProgressStyle::None && output.detail != Detail::Quiet;
        let progress = shows_progress.then(|| {
            let expected = last_entries(self.dir, &self.config.key);
            Progress::start(&reporter.live, console, workers, expected)
        });
        let supervised = supervise(self.trees.clone(), options, reporter, stop, opslog);
        if let Some(progress) = progress.flatten() {
            progress.finish();
        }
        let (synced, highlights, opslog) = match supervised.map_err(error)? {
            Supervised::Whole { synced, highlights, opslog } => (synced, highlights, opslog),
            Supervised::Hanging(hanging) => return Ok(self.end_without(hanging, session, console)),
        };
        let ended = judge(&synced, self.held.lock.as_ref(), stop, stop.forbids_changes());
        let message =
            ended.error.clone().or_else(|| synced.withheld.as_ref().map(ToString::to_string));
        let (exit, counts, retired) = (ended.exit, synced.counts.clone(), self.retired);
        let seal = move || finish_opslog(opslog, exit, &counts, message.as_deref(), retired);
        let sealed = until_ended(self.dir.path(), stop, seal);
        let hangs = matches!(sealed, Ok(None));
        let settled =
            sealed.and_then(|sealed| sealed.unwrap_or_else(|| self.unsealed())).map(|opslog| {
                self.keep_entries(exit, &synced.counts);
                self.print_plan(console, ended.error.is_some(), &opslog.path);
                session.settle(opslog, exit == Exit::Done)
            });
        Ok(Carried { exit: self.tell(console, &highlights, &synced, ended, settled), hangs })
    }

    /// What the pipeline gets. Takes the umask away: from here on only the trees get new files, and
    /// those have modes of their own.
    fn options(&self) -> Options {
        let Config { dry_run, policy, selection, deletion, metadata, .. } = self.config;
        Options {
            dry_run: *dry_run,
            policy: *policy,
            selection: selection.clone(),
            deletion: deletion.clone(),
            metadata: *metadata,
            io: self.io,
            process: Process {
                umask: take_umask(),
                ..Process::new(
                    self.id.as_u64_pair().1,
                    self.held.lock.is_some(),
                    self.started.into(),
                )
            },
        }
    }
}
