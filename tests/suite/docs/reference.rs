//! `docs/cli.md`: every flag of every program, written from the parsers.

use std::fmt::Write as _;
use std::fs;

use clap::{Arg, Command, CommandFactory as _};
use ha_sync::cli::{Cli, DashboardCli, EXIT_CODES};

use super::project;

/// The programs, in the order in which the page has them.
fn programs() -> Vec<Command> {
    vec![Cli::command(), DashboardCli::command()]
}

const HEAD: &str = "# Command line\n\n\
    Made from the parsers. Each flag that names a variable can also come from there; a flag goes before its variable, but \
    for globs, which add up. A switch also takes `=true` and `=false`. A variable `HA_SYNC_…` that no flag reads is warned of.\n";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for mut program in programs() {
        program.build();
        section(&mut page, &program, program.get_name());
        for sub in program.get_subcommands().filter(|sub| sub.get_name() != "help") {
            section(&mut page, sub, &format!("{} {}", program.get_name(), sub.get_name()));
        }
    }
    page.push_str("\n## Exit codes\n\n| code | |\n|---|---|\n");
    for (code, meaning) in EXIT_CODES {
        writeln!(page, "| {code} | {meaning} |").unwrap();
    }
    page
}

fn section(page: &mut String, command: &Command, name: &str) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    write!(page, "\n## `{name}`\n\n{}\n", sentence(&about)).unwrap();
    let is_own = |arg: &&Arg| !["help", "version"].contains(&arg.get_id().as_str());
    if command.get_arguments().any(|arg| is_own(&arg)) {
        page.push_str("\n| | | default | |\n|---|---|---|---|\n");
    }
    let mut heading = None;
    for arg in command.get_arguments().filter(is_own) {
        if arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            writeln!(page, "| **{}** | | | |", heading.unwrap_or_default()).unwrap();
        }
        row(page, arg);
    }
}

fn row(page: &mut String, arg: &Arg) {
    let long = arg.get_long().map(|long| format!("--{long}"));
    let values = arg
        .get_value_names()
        .filter(|_| arg.get_action().takes_values())
        .map(|names| names.join(" "));
    let is_switch = arg.is_require_equals_set();
    let typed = match (long, values) {
        (Some(long), Some(_)) if is_switch => long,
        (Some(long), Some(values)) => format!("{long} {values}"),
        (Some(long), None) => long,
        (None, _) => arg.get_id().as_str().to_uppercase(),
    };
    let variable = arg
        .get_env()
        .and_then(|name| name.to_str())
        .map(|name| format!("`{name}`"))
        .unwrap_or_default();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default().replace('\n', " ");
    // What only people can be told of stands in brackets at the end of the help.
    let (help, said) = help.split_once(" [default: ").unwrap_or((&help, ""));
    let values: Vec<_> =
        arg.get_default_values().iter().filter_map(|value| value.to_str()).collect();
    let default = match values.as_slice() {
        [] if arg.is_required_set() => "required".to_owned(),
        [] => said.trim_end_matches(']').to_owned(),
        values => format!("`{}`", values.join(" ")),
    };
    let mut help = sentence(help);
    let named: Vec<_> =
        arg.get_possible_values().into_iter().filter(|value| value.get_help().is_some()).collect();
    for value in &named {
        write!(help, " `{}`: {}.", value.get_name(), value.get_help().unwrap()).unwrap();
    }
    writeln!(
        page,
        "| `{}` | {variable} | {default} | {} |",
        typed.replace('|', "\\|"),
        help.replace('|', "\\|")
    )
    .unwrap();
}

fn sentence(text: &str) -> String {
    let text = text.replace('\n', " ").replace('<', "&lt;");
    if text.ends_with('.') { text } else { format!("{text}.") }
}

#[test]
fn the_reference_is_what_the_parsers_say() {
    let file = project().join("docs/cli.md");
    let expected = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, &expected).unwrap();
    }
    let is = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        is == expected,
        "docs/cli.md is not current: UPDATE_DOCS=1 cargo test reference, and look at what changed"
    );
}

#[test]
fn every_variable_has_its_flags_name() {
    for program in programs() {
        for arg in program.get_arguments() {
            let (Some(long), Some(variable)) = (arg.get_long(), arg.get_env()) else { continue };
            let expected = format!("HA_SYNC_{}", long.replace('-', "_").to_uppercase());
            assert_eq!(variable.to_str(), Some(expected.as_str()));
        }
    }
}
