//! Messages on standard error: who listens to `tracing`, in which form.

use std::io::IsTerminal as _;

use tracing::Level;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::FmtSubscriber;

use super::console::Console;
use crate::cli::FormatArg;
use crate::config::{Detail, Output};

/// Sends messages to the console from now on. A process can do that once.
pub fn init(console: &Console, output: Output) -> Result<(), SetGlobalDefaultError> {
    let level = if output.detail == Detail::Quiet { Level::WARN } else { Level::INFO };
    let for_a_person = std::io::stderr().is_terminal();
    let builder = FmtSubscriber::builder()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(for_a_person)
        .with_writer(console.clone());
    match output.log_format {
        FormatArg::Json => {
            tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish())
        }
        FormatArg::Text if for_a_person => {
            tracing::subscriber::set_global_default(builder.without_time().finish())
        }
        FormatArg::Text => tracing::subscriber::set_global_default(builder.finish()),
    }
}
