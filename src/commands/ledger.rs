//! The subcommands that are about the database: `flush`, `history`, `prune`.
//!
//! Their user waits for the database and wants to know what comes of it. So their bounds are wider
//! than a run's, and a database that is down is a failure.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use super::{fail, listen_to_signals, warn_of_unknown_variables};
use crate::cli::{DatabaseArgs, FlushArgs, HistoryArgs, PruneArgs};
use crate::config::{
    ConfigError, Detail, Format, Output, ProgressStyle, database, log_dir, parse_age,
};
use crate::ledger::{
    Access, DbError, Dsn, Failure, Filter, FlushReport, Limits, Scope, flush_pending,
};
use crate::model::Escaped;
use crate::opslog::LogDir;
use crate::report::{Console, counted, history_table, init_logging};
use crate::run::ledger::default_dsn;
use crate::run::prepare::existing_log_dir;
use crate::run::{Exit, StartError};
use crate::stop::Stop;

/// The bound for work: a day. What takes longer has another reason than the amount of work.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// The bound for a connection, for making the tables and for a query.
const ANSWER: Duration = Duration::from_secs(60);

/// The exit and the error of a subcommand that fails.
struct Ended(Exit, Box<dyn Error>);

impl From<ConfigError> for Ended {
    fn from(error: ConfigError) -> Self {
        Self(Exit::Usage, error.into())
    }
}

impl From<StartError> for Ended {
    fn from(error: StartError) -> Self {
        Self(error.exit(), error.into())
    }
}

impl From<std::io::Error> for Ended {
    fn from(error: std::io::Error) -> Self {
        Self(Exit::Fatal, error.into())
    }
}

/// What a subcommand works with.
struct Session {
    access: Access,
    stop: Stop,
    console: Console,
}

impl Session {
    /// Opens the database. Also returns the log directory, which has to exist if no database was
    /// named or if the caller needs the opslogs.
    fn open(
        args: &DatabaseArgs,
        format: Format,
    ) -> Result<(Self, Result<LogDir, StartError>), Ended> {
        let dsn = database(args.db_dsn.as_deref())?;
        let (console, stop) = (Console::new(false), Stop::new());
        let output = Output {
            format,
            progress: ProgressStyle::None,
            log_format: args.log_format.into(),
            detail: Detail::Normal,
        };
        init_logging(&console, output).map_err(|error| Ended(Exit::Fatal, error.into()))?;
        listen_to_signals(&stop)?;
        warn_of_unknown_variables();
        let dir = existing_log_dir(&log_dir(args.log_dir.as_deref()));
        let (dsn, dir) = match (dsn, dir) {
            (Some(named), dir) => (named.from_the_root(), dir),
            (None, dir) => dir.map(|dir| (default_dsn(&dir), Ok(dir)))?,
        };
        if dsn == Dsn::None {
            return Err(Ended(
                Exit::Usage,
                "--db-dsn none is not a database: give another one".into(),
            ));
        }
        let access = Access::new(dsn, &stop, ANSWER, Duration::ZERO);
        Ok((Self { access, stop, console }, dir))
    }

    fn ended(&self, failure: Failure) -> Ended {
        match self.stop.signal() {
            Some(signal) => Ended(Exit::Interrupted(signal), failure.into()),
            None => {
                Ended(Exit::Fatal, format!("the database {}: {failure}", self.access.dsn()).into())
            }
        }
    }

    fn print(self, text: &str) -> Result<Exit, Ended> {
        self.console.print(text);
        self.console
            .failure()
            .map_or(Ok(Exit::Done), |error| Err(std::io::Error::from(error.kind()).into()))
    }
}

fn exit_code(result: Result<Exit, Ended>) -> ExitCode {
    match result {
        Ok(exit) => exit.code().into(),
        Err(Ended(exit, error)) => fail(&*error, exit),
    }
}

/// Flushes the opslogs that wait into the database. Exit code 1: some still wait, or were set aside
/// as damaged.
pub fn flush(args: &FlushArgs) -> ExitCode {
    exit_code(flush_all(args))
}

fn flush_all(args: &FlushArgs) -> Result<Exit, Ended> {
    let (mut session, dir) = Session::open(&args.database, Format::Text)?;
    let dir = dir?;
    let scope = if args.all { Scope::Everybodys } else { Scope::Ours };
    let report =
        flush_pending(&mut session.access, &dir, Limits { each: LONG, total: LONG }, scope)?;
    if let Some(signal) = session.stop.signal() {
        return Ok(Exit::Interrupted(signal));
    }
    if report.flushed + report.left + report.set_aside == 0 {
        // Nothing was to be done, but the user wants to know whether the database can be reached.
        session
            .access
            .call(ANSWER, |_| Ok::<_, DbError>(()))
            .map_err(|error| session.ended(error))?;
    }
    let exit = match (report.unreachable, report.left + report.set_aside) {
        (true, _) => Exit::Fatal,
        (false, 0) => Exit::Done,
        (false, _) => Exit::Partial,
    };
    let dsn = session.access.dsn().to_string();
    session.print(&what_was_flushed(&report, &dsn)).map(|_| exit)
}

fn what_was_flushed(report: &FlushReport, dsn: &str) -> String {
    let opslogs = counted(report.flushed, "opslog", "opslogs");
    let operations = counted(report.rows, "operation", "operations");
    let mut text = format!("flushed {opslogs} with {operations} to {dsn}");
    for (count, one, many) in [
        (report.left, "still waits", "still wait"),
        (report.set_aside, "is damaged and was set aside", "are damaged and were set aside"),
    ] {
        if count > 0 {
            text.push_str(&format!("; {}", counted(count, one, many)));
        }
    }
    for (database, count) in &report.foreign {
        let database = Escaped(database.as_bytes());
        text.push_str(&format!(
            "; left {count} for the database {database} (--all takes them, too)"
        ));
    }
    text.push('\n');
    text
}

/// Shows the latest runs, as a table or as JSON Lines.
pub fn history(args: &HistoryArgs) -> ExitCode {
    exit_code(show_history(args))
}

fn show_history(args: &HistoryArgs) -> Result<Exit, Ended> {
    let (mut session, _) = Session::open(&args.database, args.format.into())?;
    session.access.set_only_reads();
    let filter = Filter { pair: args.pair.clone(), limit: args.limit };
    let runs = session
        .access
        .call(ANSWER, move |ledger| ledger.history(&filter))
        .map_err(|error| session.ended(error))?;
    let text = match args.format.into() {
        Format::Text => history_table(&runs),
        Format::Json => {
            runs.into_iter().map(|run| format!("{}\n", serde_json::Value::Object(run))).collect()
        }
    };
    session.print(&text)
}

/// Removes old operation rows.
pub fn prune(args: &PruneArgs) -> ExitCode {
    exit_code(remove_old_rows(args))
}

fn remove_old_rows(args: &PruneArgs) -> Result<Exit, Ended> {
    let age = parse_age(&args.older_than)?;
    let (mut session, _) = Session::open(&args.database, Format::Text)?;
    let before = SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
    let pruned =
        session.access.call(LONG, move |ledger| ledger.prune(before, Instant::now() + LONG));
    let (rows, _) = pruned.map_err(|error| session.ended(error))?;
    let dsn = session.access.dsn().to_string();
    session.print(&format!(
        "removed {} from {dsn}\n",
        counted(rows, "operation row", "operation rows")
    ))
}
