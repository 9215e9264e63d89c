//! Mistakes of people who know other tools: what they typed, and what they probably meant.

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// Flags of rsync, rclone and cp, and what to use here instead.
const ELSEWHERE: [(&[&str], &str); 9] = [
    (
        &["--delete", "--delete-after", "--delete-during", "--del"],
        "use --delete-missing to delete at dest what src does not have",
    ),
    (&["-n", "--dryrun"], "use --dry-run for the plan"),
    (
        &["-a", "--archive", "-r", "--recursive", "-t", "--times", "-p", "--perms"],
        "everything below --src is carried, with its metadata: leave it out",
    ),
    (
        &["-X", "--xattr", "-A", "--acls"],
        "extended attributes and ACLs are carried; --xattrs=false leaves them behind",
    ),
    (&["-u", "--update"], "the newest always wins: leave it out"),
    (&["-c"], "use --checksum=always to compare contents"),
    (&["-j", "--threads", "--transfers", "--jobs"], "use --workers and --scan-threads"),
    (&["-P", "--partial", "--inplace", "--append"], "a name never shows half a file: leave it out"),
    (
        &["-z", "--compress", "-e", "--rsh"],
        "both folders have to be mounted on this machine: leave it out",
    ),
];

/// A first command, for a user who has typed nothing yet.
const EXAMPLE: &str = "to see what a run would do: ha-sync --src /mnt/a/media --dest /mnt/b/media --pair media --dry-run";

/// Adds to the error what was probably meant. `words` is the number of words that were typed.
pub(super) fn explain(mut error: Error, words: usize, commands: &Command) -> Error {
    let hint = hint(&error, words, commands);
    hide_login(&mut error);
    let Some(hint) = hint else { return error };
    for guessed in [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand] {
        // A guess by spelling is not better than what is known.
        let _guess = error.remove(guessed);
    }
    let _none_before =
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![hint.into()]));
    error
}

/// Hides a word that looks like a DSN without its flag: it may have a password in it.
fn hide_login(error: &mut Error) {
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidSubcommand] {
        let is_login = matches!(error.get(kind), Some(ContextValue::String(typed)) if typed.contains([':', '@']));
        if is_login {
            let _typed = error.insert(kind, ContextValue::String("…".into()));
        }
    }
}

/// The error without a login in it, and without a hint.
pub(super) fn without_login(mut error: Error) -> Error {
    hide_login(&mut error);
    error
}

fn hint(error: &Error, words: usize, commands: &Command) -> Option<String> {
    let typed = |kind| match error.get(kind) {
        Some(ContextValue::String(typed)) => Some(typed.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::MissingRequiredArgument if words == 0 => Some(EXAMPLE.to_owned()),
        ErrorKind::UnknownArgument => {
            let flag = typed(ContextKind::InvalidArg)?;
            ELSEWHERE
                .iter()
                .find(|(flags, _)| flags.contains(&flag))
                .map(|(_, hint)| (*hint).to_owned())
        }
        ErrorKind::InvalidSubcommand | ErrorKind::ArgumentConflict => {
            Some(match typed(ContextKind::InvalidSubcommand)? {
                known if commands.find_subcommand(known).is_some() => return None,
                "true" | "false" => {
                    "a switch and its value are one word, as in --dry-run=true".to_owned()
                }
                "sync" | "run" | "copy" => format!("there is no such word: {EXAMPLE}"),
                _ => "folders are given with --src and --dest, and a name for both with --pair"
                    .to_owned(),
            })
        }
        _ => None,
    }
}
