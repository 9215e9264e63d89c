//! The manual page, made from the parser. What the parser does not know is written here.

use std::io;

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::EXIT_CODES;

/// The variables that are read beside those of the flags.
const READ_BESIDE_THE_FLAGS: [(&str, &str); 4] = [
    ("KUBERNETES_SERVICE_HOST", "set in every pod of a cluster: there --lock=auto means a Lease"),
    ("POD_NAME, JOB_NAME", "who holds the Lease, for whoever wants to know"),
    ("XDG_STATE_HOME, HOME", "where the log directory lies if /var/log/ha-sync cannot be made"),
    (
        "TMPDIR",
        "where lists that grow with the tree are kept during a run (default: /var/tmp, or /tmp if there is none)",
    ),
];

const EXAMPLES: [(&str, &str); 3] = [
    (
        "What would be done, with nothing touched:",
        "ha-sync --src /mnt/dell/media --dest /mnt/hp/media --pair media --direction dell-to-hp --dry-run",
    ),
    (
        "Do it, and the other way round:",
        "ha-sync --src /mnt/dell/media --dest /mnt/hp/media --pair media --direction dell-to-hp\n\
         ha-sync --src /mnt/hp/media --dest /mnt/dell/media --pair media --direction hp-to-dell",
    ),
    ("What was done lately:", "ha-sync history --pair media"),
];

/// The manual page in roff.
pub fn manual(mut command: Command) -> io::Result<Vec<u8>> {
    command.build();
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    synopsis(&command).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    commands(&command).to_writer(&mut page)?;
    environment(&command).to_writer(&mut page)?;
    exit_status().to_writer(&mut page)?;
    examples().to_writer(&mut page)?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// The synopsis: the flags that are required, and the commands. All other flags are options.
fn synopsis(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    let mut line = vec![bold(command.get_name())];
    for arg in command.get_arguments().filter(|arg| arg.is_required_set()) {
        line.push(roman(" "));
        line.extend(flag(arg));
    }
    line.push(roman(" [options]"));
    roff.text(line);
    for sub in visible(command) {
        roff.control("br", []);
        let mut line =
            vec![bold(format!("{} {}", command.get_name(), sub.get_name())), roman(" [options]")];
        for arg in sub.get_positionals() {
            line.push(roman(" "));
            line.push(italic(arg.get_id().as_str().to_uppercase()));
        }
        roff.text(line);
    }
    roff
}

fn commands(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for sub in visible(command) {
        roff.control("SS", [format!("{} {}", command.get_name(), sub.get_name()).as_str()]);
        roff.text([roman(sub.get_about().map(ToString::to_string).unwrap_or_default())]);
        for arg in sub.get_arguments().filter(|arg| arg.get_id() != "help") {
            roff.control("TP", []);
            roff.text(flag(arg));
            let default = arg.get_default_values().first().and_then(|value| value.to_str());
            let default = default.map(|value| format!(" [default: {value}]")).unwrap_or_default();
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            roff.text([roman(format!("{help}{default}"))]);
        }
    }
    roff
}

fn environment(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    roff.text([roman(
        "A flag goes before its variable. A variable of that kind that no flag reads is warned of.",
    )]);
    for arg in command.get_arguments() {
        let Some(variable) = arg.get_env().and_then(|variable| variable.to_str()) else { continue };
        roff.control("TP", []);
        roff.text([bold(variable)]);
        roff.text(flag(arg));
    }
    listed(&mut roff, &READ_BESIDE_THE_FLAGS);
    roff
}

fn exit_status() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    listed(&mut roff, &EXIT_CODES);
    roff
}

fn examples() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    for (what, typed) in EXAMPLES {
        roff.control("PP", []);
        roff.text([roman(what)]);
        roff.control("nf", []);
        roff.text([bold(typed)]);
        roff.control("fi", []);
    }
    roff
}

fn listed(roff: &mut Roff, terms: &[(&str, &str)]) {
    for (term, meaning) in terms {
        roff.control("TP", []);
        roff.text([bold(*term)]);
        roff.text([roman(*meaning)]);
    }
}

/// A flag with the names of its values, such as `--src DIR`.
fn flag(arg: &Arg) -> Vec<Inline> {
    let Some(long) = arg.get_long() else {
        return vec![italic(arg.get_id().as_str().to_uppercase())];
    };
    let mut words = vec![bold(format!("--{long}"))];
    let names = arg.get_value_names().filter(|_| arg.get_action().takes_values());
    if let Some(names) = names {
        words.push(roman(if arg.is_require_equals_set() { "=" } else { " " }));
        words.push(italic(names.join(" ")));
    }
    words
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::SPILL_DIRS;

    #[test]
    fn the_default_of_tmpdir_is_the_one_that_is_used() {
        let (_, meaning) =
            READ_BESIDE_THE_FLAGS.iter().find(|(name, _)| *name == "TMPDIR").unwrap();
        let [first, last] = SPILL_DIRS;
        assert!(meaning.ends_with(&format!("(default: {first}, or {last} if there is none)")));
    }
}
