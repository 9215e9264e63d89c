//! The commands that the binaries call. They are the process around a run: signals, streams, exit
//! codes.

mod dashboard;
mod ledger;
mod unlock;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::CommandFactory as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

use crate::cli::{self, Cli, DashboardCli, SyncArgs};
use crate::config::{Config, Detail, Format, Output, ProgressStyle};
use crate::model::Escaped;
use crate::report::{Console, init_logging};
use crate::run::{Exit, run};
use crate::stop::Stop;

pub use self::dashboard::dashboard;
pub use self::ledger::{flush, history, prune};
pub use self::unlock::unlock;

/// Runs one sync. Returns the exit code of the run.
pub fn sync(args: &SyncArgs) -> ExitCode {
    let config = match Config::from_args(args) {
        Ok(config) => config,
        Err(error) => return fail(&error, Exit::Usage),
    };
    let console = Console::new(wants_bars(config.output));
    let stop = Stop::new();
    if let Err(error) = listen_to_signals(&stop) {
        return fail(&error, Exit::Fatal);
    }
    if let Err(error) = init_logging(&console, config.output) {
        return fail(&error, Exit::Fatal);
    }
    warn_of_unknown_variables();
    match run(&config, &console, &stop) {
        Ok(exit) => exit.code().into(),
        Err(error) => {
            let exit = error.exit();
            if config.output.format == Format::Json {
                let ending = serde_json::json!({
                    "type": "error",
                    "pair": config.key.pair,
                    "exit_code": exit.code(),
                    "error_message": error.to_string(),
                });
                console.print(&format!("{ending}\n"));
            }
            fail(&error, exit)
        }
    }
}

/// Warns of environment variables that look like ours and that no flag reads. A value may be a
/// secret, so only the name is told.
fn warn_of_unknown_variables() {
    let names = std::env::vars_os().map(|(name, _)| name);
    for (name, near) in cli::unknown_variables(names, &[Cli::command(), DashboardCli::command()]) {
        let meant = near.map(|near| format!(": did you mean {near}?")).unwrap_or_default();
        tracing::warn!(
            "no flag reads the environment variable {}{meant}",
            Escaped(name.as_bytes())
        );
    }
}

/// Prints a completion script.
pub fn completions(shell: clap_complete::Shell, command: &mut clap::Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "ha-sync", &mut script);
    print(&script)
}

/// Prints the manual page.
pub fn manual(command: clap::Command) -> ExitCode {
    match cli::manual(command) {
        Ok(page) => print(&page),
        Err(error) => fail(&error, Exit::Fatal),
    }
}

fn wants_bars(output: Output) -> bool {
    let bars = match output.progress {
        ProgressStyle::Bars => true,
        ProgressStyle::Auto => io::stderr().is_terminal(),
        ProgressStyle::Log | ProgressStyle::None => false,
    };
    bars && output.detail != Detail::Quiet
}

/// Installs the signal handlers: the first signal asks the run to end, the second ends the process
/// at once.
fn listen_to_signals(stop: &Stop) -> io::Result<()> {
    let asked = Arc::new(AtomicBool::new(false));
    let hangup = (!ignores_hangup()).then_some(SIGHUP);
    for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
        // The order matters: the first signal, whichever it is, finds the flag unset and sets it.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
        flag::register(signal, Arc::clone(&asked))?;
        flag::register_usize(signal, stop.signal_cell(), signal.unsigned_abs() as usize)?;
    }
    // A write beyond the limit on the size of files (`ulimit -f`) raises this signal and also
    // fails. The failure is handled, so the signal may be ignored.
    flag::register(SIGXFSZ, Arc::default())?;
    Ok(())
}

/// Whether `nohup` or the like has this process ignore SIGHUP. If not, a terminal that goes away
/// ends the run in order.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 != 0)
}

fn print(bytes: &[u8]) -> ExitCode {
    match io::stdout().write_all(bytes) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&error, Exit::Fatal),
        _ => ExitCode::SUCCESS,
    }
}

/// Prints the error on standard error as plain text, whatever the log format, and returns the exit
/// code.
fn fail(error: &dyn std::error::Error, exit: Exit) -> ExitCode {
    fail_as("ha-sync", error, exit)
}

fn fail_as(name: &str, error: &dyn std::error::Error, exit: Exit) -> ExitCode {
    // If standard error is closed, there is nowhere to tell that.
    let _told = writeln!(io::stderr(), "{name}: {error}");
    exit.code().into()
}
