//! Operations, one a line: the plan of a dry run and, with `--verbose`, what was just done.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::console::Console;
use super::units::Bytes;
use crate::config::Format;
use crate::model::{Escaped, RelPath};
use crate::opslog::{Damage, FailCause, Kind, Line, Operation, OpslogReader, Record, Status};

/// The longest plan that is printed in the order of the trees. This needs the whole plan in memory,
/// some 100 bytes for each operation. A longer plan is printed in the order in which it was found.
const SORTED: usize = 500_000;

/// Prints the plan that a dry run wrote into its opslog.
pub fn print_plan(console: &Console, opslog: &Path, format: Format) -> Result<(), Damage> {
    let (_, reader) = OpslogReader::open(opslog)?;
    let mut lines: Option<Vec<(RelPath, String)>> = Some(Vec::new());
    reader.read(|record| {
        let path = record
            .path_bytes()
            .and_then(|bytes| RelPath::from_bytes(&bytes).ok())
            .unwrap_or_default();
        let text = one_line(&record, &path, format);
        match &mut lines {
            Some(sorted) if sorted.len() < SORTED => sorted.push((path, text)),
            _ => {
                print_sorted(console, lines.take());
                console.print(&text);
            }
        }
        Ok(())
    })?;
    print_sorted(console, lines);
    Ok(())
}

fn print_sorted(console: &Console, lines: Option<Vec<(RelPath, String)>>) {
    let mut lines = lines.unwrap_or_default();
    lines.sort();
    for chunk in lines.chunks(1000) {
        if !console.is_open() {
            return;
        }
        console.print(&chunk.iter().map(|(_, text)| text.as_str()).collect::<String>());
    }
}

/// The line of one operation, with a line feed.
pub fn one_line(record: &Record<'_>, path: &RelPath, format: Format) -> String {
    let mut text = match format {
        Format::Json => serde_json::to_string(&Line::Operation(record.clone())).unwrap_or_default(),
        Format::Text => for_people(record, path),
    };
    text.push('\n');
    text
}

/// The line of a candidate for deletion that was left alone, with a line feed.
pub fn spared_line(path: &RelPath, reason: &str, format: Format) -> String {
    match format {
        Format::Text => format!("spared    {path}: {reason}\n"),
        Format::Json => {
            let filepath = String::from_utf8_lossy(path.as_bytes());
            format!("{}\n", json!({ "type": "spared", "filepath": filepath, "reason": reason }))
        }
    }
}

fn for_people(record: &Record<'_>, path: &RelPath) -> String {
    let verb = match (record.cause, record.operation) {
        (Some(FailCause::Conflict), _) => "conflict",
        (Some(FailCause::Deferred), _) => "deferred",
        (Some(FailCause::Error), _) => "failed",
        (None, Operation::Create) => "create",
        (None, Operation::Update) => "update",
        (None, Operation::Delete) => "delete",
    };
    let slash = if record.kind == Kind::Directory { "/" } else { "" };
    let mut text = format!("{verb:<8}  {path}{slash}");
    let written = match (record.status, record.kind) {
        (Status::Fail, _) => {
            let reason = record.error_message.as_deref().unwrap_or("no reason was given");
            write!(text, ": {}", Escaped(reason.as_bytes()))
        }
        (_, Kind::Directory) => Ok(()),
        (_, Kind::Symlink) => write!(text, "  (symlink)"),
        (_, Kind::File) if record.operation == Operation::Delete => {
            write!(text, "  ({})", size(record.size_before))
        }
        (_, Kind::File) if record.compares => {
            write!(text, "  ({}, contents to be compared)", size(record.size_after))
        }
        (_, Kind::File) => match (record.size_before, record.bytes) {
            (Some(_), 0) if record.md5_before.is_some() => write!(text, "  (metadata only)"),
            (Some(before), _) => {
                write!(text, "  ({} → {})", Bytes(before), size(record.size_after))
            }
            (None, _) => write!(text, "  ({})", size(record.size_after)),
        },
    };
    debug_assert!(written.is_ok(), "writing to a string does not fail");
    text
}

fn size(bytes: Option<u64>) -> Bytes {
    Bytes(bytes.unwrap_or(0))
}
