//! The globs that exclude and include names, from the command line and from files.

use std::path::Path;

use super::error::{Checked, wrong};
use crate::cli::PatternArg;
use crate::model::{Escaped, shown};
use crate::pipeline::{BadPattern, Selection, SelectionBuilder};

pub(super) fn selection(patterns: &[PatternArg]) -> Checked<Selection> {
    let mut builder = Selection::builder();
    for pattern in patterns {
        match pattern {
            PatternArg::Exclude(glob) => named("--exclude", glob, builder.add_glob(glob, true))?,
            PatternArg::Include(glob) => named("--include", glob, builder.add_glob(glob, false))?,
            PatternArg::ExcludeFrom(file) => add_file(&mut builder, file)?,
        }
    }
    builder.build().or_else(|error| wrong(format!("the globs cannot be used together: {error}")))
}

fn named(flag: &str, glob: &str, added: Result<(), BadPattern>) -> Checked<()> {
    added.or_else(|error| {
        let glob = Escaped(glob.as_bytes()).to_string();
        wrong(format!(
            "{flag} {glob:?} is not a glob: {error}. Use globs as in a .gitignore, such as '*.tmp' or /cache/"
        ))
    })
}

fn add_file(builder: &mut SelectionBuilder, file: &Path) -> Checked<()> {
    let text = std::fs::read(file).or_else(|error| {
        wrong(format!(
            "--exclude-from {} cannot be read: {error}. Give a file with a glob on each line",
            shown(file)
        ))
    })?;
    // The byte order mark that some editors put before the first line.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
        let told = |problem: &str| {
            wrong(format!("--exclude-from {}, line {number}: {problem}", shown(file)))
        };
        match std::str::from_utf8(line).map(|line| builder.add_line(line)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return told(&error.to_string()),
            Err(_) => {
                return told("it is not UTF-8; write a `?` for each byte that is not a character");
            }
        }
    }
    Ok(())
}
