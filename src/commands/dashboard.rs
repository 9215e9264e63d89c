//! The command of the dashboard: the process around its server.

use std::process::ExitCode;

use super::{fail_as, warn_of_unknown_variables};
use crate::cli::DashboardCli;
use crate::config::{DashboardConfig, Detail, Format, Output, ProgressStyle};
use crate::dashboard::serve;
use crate::report::{Console, init_logging};
use crate::run::Exit;

/// The program's name in messages.
const NAME: &str = "ha-sync-ui";

/// Serves the dashboard until a signal ends it. Exit codes: 0 after a signal, 2 for wrong flags,
/// 5 for any other failure.
pub fn dashboard(cli: &DashboardCli) -> ExitCode {
    let config = match DashboardConfig::from_cli(cli) {
        Ok(config) => config,
        Err(error) => return fail_as(NAME, &error, Exit::Usage),
    };
    let output = Output {
        format: Format::Text,
        progress: ProgressStyle::None,
        log_format: cli.database.log_format.into(),
        detail: Detail::Normal,
    };
    if let Err(error) = init_logging(&Console::new(false), output) {
        return fail_as(NAME, &error, Exit::Fatal);
    }
    warn_of_unknown_variables();
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail_as(NAME, &error, Exit::Fatal),
    }
}
