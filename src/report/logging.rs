//! Messages on standard error: the subscriber of `tracing`, and its format.

use std::io::IsTerminal as _;

use tracing::Level;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::FmtSubscriber;

use super::console::Console;
use crate::config::{Detail, Format, Output};

/// Sends messages to the console from now on. Fails if this process has a subscriber already.
pub fn init(console: &Console, output: Output) -> Result<(), SetGlobalDefaultError> {
    let level = if output.detail == Detail::Quiet { Level::WARN } else { Level::INFO };
    let for_a_person = std::io::stderr().is_terminal();
    let builder = FmtSubscriber::builder()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(for_a_person)
        .with_writer(console.clone());
    match output.log_format {
        Format::Json => {
            tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish())
        }
        Format::Text if for_a_person => {
            tracing::subscriber::set_global_default(builder.without_time().finish())
        }
        Format::Text => tracing::subscriber::set_global_default(builder.finish()),
    }
}
