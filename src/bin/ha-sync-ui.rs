//! The dashboard: parse, call, exit code.

use std::process::ExitCode;

use ha_sync::cli::DashboardCli;
use ha_sync::entry;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    entry::dashboard(&DashboardCli::of_this_process())
}
