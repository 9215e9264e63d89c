//! The flags of `ha-sync-ui`.

use clap::Parser;

use super::{DatabaseArgs, mistakes};

/// Shows in a browser whether every pair is in step, when it last was, what moved and what failed.
/// It reads the database of ha-sync and changes nothing.
#[derive(Debug, Parser)]
#[command(
    name = "ha-sync-ui",
    version,
    max_term_width = 110,
    after_help = "It speaks HTTP and knows no users: put a proxy or an Ingress before it that does TLS and lets in whom you \
                  want.\n\nExit codes: 0 stopped by SIGTERM or SIGINT; 2 usage or configuration; 5 fatal."
)]
pub struct DashboardCli {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS", env = "HA_SYNC_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: String,
    /// A name of this host under which it answers, without the port; repeat it for more [default:
    /// every name]
    #[arg(long, value_name = "NAME", env = "HA_SYNC_ALLOWED_HOST", value_delimiter = ',')]
    pub allowed_host: Vec<String>,
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

impl DashboardCli {
    /// Parses the arguments of this process. Ends the process if they cannot be parsed, or if help
    /// was asked for.
    pub fn of_this_process() -> Self {
        Self::try_parse().unwrap_or_else(|error| mistakes::without_login(error).exit())
    }
}
