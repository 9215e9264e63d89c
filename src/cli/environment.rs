//! Misspelt settings in the environment: a variable that no flag reads does nothing, and nobody
//! would notice.

use std::ffi::OsString;

use clap::Command;

/// The prefix of all our variables.
const PREFIX: &str = "HA_SYNC_";

/// The prefixes of variables that a cluster sets in every pod of the namespace with the dashboard's
/// Service.
const OF_A_SERVICE: [&str; 2] = ["HA_SYNC_UI_SERVICE_", "HA_SYNC_UI_PORT"];

/// The likeness from which on one name may have been meant for another.
const ALIKE: f64 = 0.7;

/// The variables that begin like ours and that no flag of these commands reads, in order. Each
/// comes with the known variable that it resembles, if there is one.
pub fn unknown_variables(
    names: impl IntoIterator<Item = OsString>,
    commands: &[Command],
) -> Vec<(String, Option<String>)> {
    let known: Vec<String> = commands.iter().flat_map(variables).collect();
    let ours = names.into_iter().filter_map(|name| name.into_string().ok()).filter(|name| {
        name.starts_with(PREFIX) && !OF_A_SERVICE.iter().any(|service| name.starts_with(service))
    });
    let mut unknown: Vec<_> = ours.filter(|name| !known.contains(name)).collect();
    unknown.sort();
    unknown
        .into_iter()
        .map(|name| (nearest(&name, &known), name))
        .map(|(near, name)| (name, near))
        .collect()
}

/// The variables that a command and its subcommands read.
fn variables(command: &Command) -> Vec<String> {
    let own = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str().map(str::to_owned));
    own.chain(command.get_subcommands().flat_map(variables)).collect()
}

fn nearest(name: &str, known: &[String]) -> Option<String> {
    // Without the prefix that all have in common, or all would be alike.
    let likeness = |known: &str| {
        strsim::normalized_damerau_levenshtein(&name[PREFIX.len()..], &known[PREFIX.len()..])
    };
    let rated = known.iter().map(|known| (likeness(known), known));
    let best = rated.max_by(|one, other| one.0.total_cmp(&other.0));
    best.filter(|(likeness, _)| *likeness >= ALIKE).map(|(_, known)| known.clone())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_misspelt_variable_is_found_with_the_one_that_was_meant() {
        let environment = [
            "HA_SYNC_DRYRUN",
            "HA_SYNC_DRY_RUN",
            "HA_SYNC_WORKER",
            "HA_SYNC_COLOUR",
            "HOME",
            "HA_SYNCER",
        ];
        let unknown = unknown_variables(environment.map(OsString::from), &[Cli::command()]);
        let expected = [
            ("HA_SYNC_COLOUR", None),
            ("HA_SYNC_DRYRUN", Some("HA_SYNC_DRY_RUN")),
            ("HA_SYNC_WORKER", Some("HA_SYNC_WORKERS")),
        ];
        let expected = expected.map(|(name, near)| (name.to_owned(), near.map(str::to_owned)));
        assert_eq!(unknown, expected);
    }

    #[test]
    fn what_a_cluster_sets_for_the_dashboards_service_is_no_misspelt_setting() {
        let environment =
            ["HA_SYNC_UI_SERVICE_HOST", "HA_SYNC_UI_PORT", "HA_SYNC_UI_PORT_8080_TCP_ADDR"];
        assert_eq!(unknown_variables(environment.map(OsString::from), &[Cli::command()]), []);
    }
}
