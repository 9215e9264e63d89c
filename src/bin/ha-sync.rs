//! The sync: parse, call, exit code.

use std::process::ExitCode;

use clap::CommandFactory as _;
use ha_sync::cli::{Cli, Command};
use ha_sync::entry;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::of_this_process();
    match cli.command {
        Some(Command::Completions { shell }) => entry::completions(shell, &mut Cli::command()),
        Some(Command::Man) => entry::manual(Cli::command()),
        Some(Command::Flush(args)) => entry::flush(&args),
        Some(Command::History(args)) => entry::history(&args),
        Some(Command::Prune(args)) => entry::prune(&args),
        Some(Command::Unlock(args)) => entry::unlock(&args),
        None => entry::sync(&cli.sync),
    }
}
