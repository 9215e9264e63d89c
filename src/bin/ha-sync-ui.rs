//! The dashboard: parse, call, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use ha_sync::cli::DashboardCli;
use ha_sync::entry;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    entry::dashboard(&DashboardCli::parse())
}
