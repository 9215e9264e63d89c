//! The dashboard's process.

use std::process::ExitCode;

use super::{fail_as, warn_of_unknown_variables};
use crate::cli::{DashboardCli, FormatArg, ProgressArg};
use crate::config::{DashboardConfig, Detail, Output};
use crate::dashboard::serve;
use crate::report::{Console, init_logging};
use crate::run::Exit;

/// Its name in messages.
const NAME: &str = "ha-sync-ui";

/// Serves the dashboard until a signal ends it.
pub fn dashboard(cli: &DashboardCli) -> ExitCode {
    let config = match DashboardConfig::from_cli(cli) {
        Ok(config) => config,
        Err(error) => return fail_as(NAME, &error, Exit::Usage),
    };
    let output = Output {
        format: FormatArg::Text,
        progress: ProgressArg::None,
        log_format: cli.database.log_format,
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
