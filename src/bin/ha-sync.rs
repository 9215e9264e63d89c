//! The sync: parse, call, exit code.

use std::process::ExitCode;

use clap::CommandFactory as _;
use ha_sync::cli::{Cli, Command};
use ha_sync::commands;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::of_this_process();
    match cli.command {
        Some(Command::Completions { shell }) => commands::completions(shell, &mut Cli::command()),
        Some(Command::Man) => commands::manual(Cli::command()),
        Some(Command::Flush(args)) => commands::flush(&args),
        Some(Command::History(args)) => commands::history(&args),
        Some(Command::Prune(args)) => commands::prune(&args),
        Some(Command::Unlock(args)) => commands::unlock(&args),
        None => commands::sync(&cli.sync),
    }
}
