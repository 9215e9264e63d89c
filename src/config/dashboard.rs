//! The meaning of the dashboard's flags.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::database::database;
use super::error::{Checked, wrong};
use super::log_dir::{LogDirChoice, log_dir};
use crate::cli::DashboardCli;
use crate::ledger::Dsn;

/// A dashboard whose flags make sense.
#[derive(Clone, Debug)]
pub struct DashboardConfig {
    /// The address that it listens on.
    pub listen: SocketAddr,
    /// The host names under which it answers, in lower case. If empty, every name.
    pub allowed_hosts: Vec<String>,
    /// The database that it shows.
    pub database: Dsn,
}

/// The file name of the default database in the log directory.
const DATABASE: &str = "ha-sync.sqlite";

impl DashboardConfig {
    /// Checks the flags.
    pub fn from_cli(cli: &DashboardCli) -> Checked<Self> {
        let database = match database(cli.database.db_dsn.as_deref())? {
            Some(Dsn::None) => return wrong("--db-dsn none is not a database: give another one"),
            Some(Dsn::Sqlite(path)) => Dsn::Sqlite(std::path::absolute(&path).unwrap_or(path)),
            Some(dsn) => dsn,
            None => Dsn::Sqlite(default_file(&log_dir(cli.database.log_dir.as_deref()))),
        };
        let named = cli.allowed_host.iter().filter(|name| !name.trim().is_empty());
        let allowed_hosts = named.map(|name| host_name(name.trim())).collect::<Checked<_>>()?;
        Ok(Self { listen: address(&cli.listen)?, allowed_hosts, database })
    }
}

fn address(text: &str) -> Checked<SocketAddr> {
    let text = text.trim();
    // `:8080` is a common way to write a port on every address.
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    full.parse().or_else(|_| {
        wrong(format!(
            "--listen {text:?}: give an IP address and a port, such as 127.0.0.1:8080 or [::]:8080"
        ))
    })
}

fn host_name(text: &str) -> Checked<String> {
    let is_address = text.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>().is_ok();
    let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if is_address {
        return Ok(format!("[{}]", text.trim_matches(['[', ']']).to_ascii_lowercase()));
    }
    if !is_name {
        return wrong(format!(
            "--allowed-host {text:?}: give a name alone, without scheme, port and path"
        ));
    }
    Ok(text.trim_end_matches('.').to_ascii_lowercase())
}

/// The file in which a sync with these flags records, whether it exists or not. If neither the
/// system's nor the user's file exists, it is the one that a sync would make.
fn default_file(choice: &LogDirChoice) -> PathBuf {
    let in_dir = |dir: &Path| dir.join(DATABASE);
    match choice {
        LogDirChoice::Given(dir) => {
            std::path::absolute(in_dir(dir)).unwrap_or_else(|_| in_dir(dir))
        }
        LogDirChoice::Default { system, user } => {
            let user = user.as_deref().filter(|_| !in_dir(system).exists());
            let user = user.filter(|user| in_dir(user).exists() || !is_writable(system));
            in_dir(user.unwrap_or(system))
        }
    }
}

/// Whether a sync could make its log directory here.
fn is_writable(dir: &Path) -> bool {
    let there = dir.ancestors().find(|above| above.exists());
    there.is_some_and(|there| rustix::fs::access(there, rustix::fs::Access::WRITE_OK).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port() {
        for (text, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            (":8080", "0.0.0.0:8080"),
            ("[::1]:9", "[::1]:9"),
            (" 1.2.3.4:5\n", "1.2.3.4:5"),
        ] {
            assert_eq!(address(text).unwrap().to_string(), expected);
        }
        for bad in ["", "8080", "localhost:8080", "1.2.3.4", "http://1.2.3.4:80", "1.2.3.4:99999"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_is_a_name_alone() {
        assert_eq!(host_name("Sync.Example.").unwrap(), "sync.example");
        assert_eq!(host_name("::1").unwrap(), "[::1]");
        for bad in ["http://x", "x:80", "x/y", "*.example", "a b"] {
            assert!(host_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_default_is_the_file_that_a_sync_made() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = |name: &str| scratch.path().join(name);
        let choice = LogDirChoice::Default { system: dir("system"), user: Some(dir("user")) };
        assert_eq!(default_file(&choice), dir("system").join(DATABASE), "it can be made there");
        for name in ["user", "system"] {
            std::fs::create_dir(dir(name)).unwrap();
            std::fs::write(dir(name).join(DATABASE), "").unwrap();
            assert_eq!(default_file(&choice), dir(name).join(DATABASE));
        }
    }
}
