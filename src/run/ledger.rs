//! The run's session with the ledger. What waits is flushed before the run, the run is announced,
//! and in the end its own opslog is flushed. None of this changes what the run does or how it
//! exits, and each step has a limit of time.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::config::Config;
use crate::ledger::{
    Access, Background, Dsn, Failure, FlushReport, Flushed, Limits, Scope, flush_each, flush_one,
    flush_pending,
};
use crate::model::{Escaped, shown};
use crate::opslog::{Header, LogDir, SealedOpslog};
use crate::stop::Stop;

/// The limit for connecting, logging in and looking at the tables, together.
const CONNECT: Duration = Duration::from_secs(5);

/// The limits before the run. What is left then is flushed by a later run.
const BEFORE: Limits = Limits { each: Duration::from_secs(60), total: Duration::from_secs(300) };

/// The limit after the run, for all that is left to do.
const AFTER: Duration = Duration::from_secs(300);

/// The same when a signal asked for the end. Kubernetes kills after 30 s unless told otherwise, and
/// the next run goes on with what is left.
const AFTER_SIGNAL: Duration = Duration::from_secs(5);

/// A run that takes no longer than this is not announced. So a pair without changes waits for its
/// disk half as often.
const ANNOUNCE_AFTER: Duration = Duration::from_millis(100);

/// The limit for `--db-retain-days`.
const PRUNING: Duration = Duration::from_secs(60);

/// The run's way to the ledger.
pub(super) struct LedgerSession {
    /// `None` if no database is wanted.
    access: Option<Access>,
    header: Option<Header>,
    announcement: Option<Background>,
    recovered: Vec<PathBuf>,
    /// Whether the database could not be reached a moment ago.
    unreachable: bool,
    retention: Option<Duration>,
}

/// What became of the run's opslog.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Where it still lies; `None` if it is gone.
    pub(super) opslog: Option<PathBuf>,
    /// The database that it is in; `None` if it is in none.
    pub(super) recorded: Option<String>,
    /// When the recorded dry run began that had the same plan. In that case nothing was recorded
    /// for this run. `None` otherwise.
    pub(super) current_since: Option<String>,
}

/// The log directory's own database.
pub(crate) fn default_dsn(dir: &LogDir) -> Dsn {
    Dsn::Sqlite(dir.path().join("ha-sync.sqlite")).from_the_root()
}

impl LedgerSession {
    pub(super) fn open(config: &Config, dir: &LogDir, stop: &Stop) -> Self {
        let dsn = config.database.clone().map_or_else(|| default_dsn(dir), Dsn::from_the_root);
        // Until the run has done something, there is nothing to wait for after a signal.
        let access = (dsn != Dsn::None).then(|| Access::new(dsn, stop, CONNECT, Duration::ZERO));
        let retention = config.database_retention.filter(|_| !config.dry_run);
        Self {
            access,
            header: None,
            announcement: None,
            recovered: Vec::new(),
            unreachable: false,
            retention,
        }
    }

    /// The database that the run's rows are for.
    pub(super) fn database(&self) -> String {
        self.access.as_ref().map_or(&Dsn::None, Access::dsn).to_string()
    }

    /// Flushes the sealed opslogs of every pair.
    pub(super) fn flush_pending(&mut self, dir: &LogDir) {
        let Some(access) = &mut self.access else { return };
        match flush_pending(access, dir, BEFORE, Scope::Ours) {
            Ok(report) => {
                self.unreachable = report.unreachable;
                tell_foreign(&report);
            }
            Err(error) => {
                tracing::warn!("the log directory {} cannot be read: {error}", shown(dir.path()));
            }
        }
    }

    /// Announces the run as `running`, at the same time as what follows. A dry run is not
    /// announced.
    pub(super) fn begin(&mut self, header: Header) {
        let announced = header.clone();
        let header = self.header.insert(header);
        let Some(access) = self.access.as_mut().filter(|_| !self.unreachable && !header.dry_run)
        else {
            return;
        };
        self.announcement =
            access.begin("the run is not announced", ANNOUNCE_AFTER, move |ledger| {
                ledger.begin(&announced)
            });
    }

    /// Sets the opslogs of killed runs, which are flushed with the run's own.
    pub(super) fn set_recovered(&mut self, recovered: Vec<PathBuf>) {
        self.recovered = recovered;
    }

    /// Flushes the run's own opslog. If a dry run's plan is known already, removes the opslog
    /// instead.
    ///
    /// `is_success` tells that nothing failed, so that a dry run's plan is whole.
    pub(super) fn settle(self, opslog: SealedOpslog, is_success: bool) -> Settled {
        let (Some(mut access), Some(header)) = (self.access, self.header) else {
            return Settled::kept(opslog.path);
        };
        let until = Instant::now() + AFTER;
        access.set_after_signal(AFTER_SIGNAL);
        if let Some(announcement) = self.announcement {
            access.end(announcement);
        }
        let run_id = header.run_id.clone();
        if header.dry_run
            && is_success
            && let Some(since) = known_plan(&mut access, &opslog.path, header, until)
        {
            return Settled { current_since: Some(since), ..forget(opslog.path) };
        }
        let path = opslog.path.clone();
        drop(opslog); // From now on any run may flush it.
        let settled = record(&mut access, path, run_id, until);
        if settled.recorded.is_none() {
            return settled;
        }
        access.set_after_signal(Duration::ZERO);
        flush_each(
            &mut access,
            self.recovered,
            Limits { total: left(until), ..BEFORE },
            Scope::Ours,
        );
        if let Some(keep) = self.retention {
            prune(&mut access, keep, PRUNING.min(left(until)));
        }
        settled
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// Reports opslogs that are not flushed as long as no run names their database.
fn tell_foreign(report: &FlushReport) {
    let wanted = report.foreign.iter().filter(|(database, _)| **database != Dsn::None.to_string());
    for (database, count) in wanted {
        tracing::warn!(
            "{count} opslogs of other runs wait for the database {}, which is not this run's: ha-sync flush with \
             that --db-dsn puts them there, with --all into another one",
            Escaped(database.as_bytes())
        );
    }
}

impl Settled {
    pub(super) fn kept(opslog: PathBuf) -> Self {
        Self { opslog: Some(opslog), ..Self::default() }
    }

    fn recorded(access: &Access) -> Self {
        Self { recorded: Some(access.dsn().to_string()), ..Self::default() }
    }
}

/// Flushes the run's own opslog.
fn record(access: &mut Access, opslog: PathBuf, run_id: String, until: Instant) -> Settled {
    match flush_one(access, &opslog, left(until)) {
        Ok(Flushed::All { .. }) => Settled::recorded(access),
        Ok(Flushed::Gone) => recorded_by_another(access, run_id, until),
        Ok(Flushed::SetAside { path, reason }) => {
            tracing::warn!("the opslog is damaged ({reason}) and was set aside: {}", shown(&path));
            Settled::kept(path)
        }
        Err(failure) => {
            tracing::warn!(
                "the run is not in the database {} yet: {failure}. Its opslog stays and is flushed by the next run, or by \
                 ha-sync flush",
                access.dsn()
            );
            Settled::kept(opslog)
        }
    }
}

/// Another process took the opslog away. Only the run's row tells whether this database has it.
fn recorded_by_another(access: &mut Access, run_id: String, until: Instant) -> Settled {
    match access.call(left(until), move |ledger| ledger.is_recorded(&run_id)) {
        Ok(true) => return Settled::recorded(access),
        Ok(false) => tracing::warn!(
            "somebody took away the run's opslog, and it is not in the database {}",
            access.dsn()
        ),
        Err(failure) => tracing::warn!(
            "somebody took away the run's opslog, and whether it is in the database {} cannot be told: {failure}",
            access.dsn()
        ),
    }
    Settled::default()
}

fn known_plan(
    access: &mut Access,
    opslog: &Path,
    header: Header,
    until: Instant,
) -> Option<String> {
    let path = opslog.to_owned();
    let asked = access.call(left(until), move |ledger| ledger.plan_current_since(&path, &header));
    asked.unwrap_or_else(|failure| {
        // The flush that follows reports an unreachable database.
        if !matches!(failure, Failure::Unreachable(_)) {
            tracing::warn!(
                "the plan cannot be compared with the last one in the database {}: {failure}",
                access.dsn()
            );
        }
        None
    })
}

/// Removes the opslog of a plan that is recorded already.
fn forget(opslog: PathBuf) -> Settled {
    match std::fs::remove_file(&opslog) {
        Ok(()) => Settled::default(),
        Err(error) => {
            tracing::warn!("the opslog {} cannot be removed: {error}", shown(&opslog));
            Settled::kept(opslog)
        }
    }
}

fn prune(access: &mut Access, keep: Duration, limit: Duration) {
    let Some(before) = SystemTime::now().checked_sub(keep) else { return };
    match access.call(limit + CONNECT, move |ledger| ledger.prune(before, Instant::now() + limit)) {
        Ok((0, true)) | Err(Failure::Interrupted) => {}
        Ok((rows, _)) => tracing::info!("removed {rows} old operation rows from the database"),
        Err(failure) => tracing::warn!(
            "old operation rows cannot be removed from the database {}: {failure}",
            access.dsn()
        ),
    }
}
