//! The dashboard: parse, call, exit code.

use std::process::ExitCode;

use ha_sync::cli::DashboardCli;
use ha_sync::commands;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::dashboard(&DashboardCli::of_this_process())
}
