//! The documentation: its commands run, its queries answer, its examples are what the tool prints,
//! and its links lead somewhere.
//!
//! The tag behind its fence says what a block is. `sh` is run here. `sh cluster`, `sh server` and
//! `sh project` need what a test does not have (a cluster, a file or database server, a checkout
//! and its time), so they are only parsed. `sql` is run on a ledger. `json` and `yaml` are parsed.
//! `text` and `rust` are left alone. Any other tag fails.

mod commands;
mod links;
mod queries;
mod reference;
mod shown;

use std::fs;
use std::path::{Path, PathBuf};

/// A fenced block.
#[derive(Clone, Debug)]
pub struct Block {
    /// File and line, for messages.
    pub place: String,
    /// What stands behind the fence.
    pub tag: String,
    pub text: String,
}

/// The project's folder.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page, the README and the changelog among them.
pub fn pages() -> Vec<PathBuf> {
    let folders = ["", "docs", "deploy", "scripts/cli"];
    let files = folders.iter().flat_map(|folder| fs::read_dir(project().join(folder)).unwrap());
    let mut pages: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

/// The blocks of a page, in order.
pub fn blocks(page: &Path) -> Vec<Block> {
    let text = fs::read_to_string(page).unwrap();
    let name = page.strip_prefix(project()).unwrap().display();
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (line, number) in text.lines().zip(1..) {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(tag)) => {
                let place = format!("{name}:{number}");
                open = Some(Block { place, tag: tag.trim().to_owned(), text: String::new() });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => block.text.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{name}: a block is not closed");
    found
}

/// The blocks of all pages that have this tag.
pub fn tagged(tag: &str) -> Vec<Block> {
    pages().iter().flat_map(|page| blocks(page)).filter(|block| block.tag == tag).collect()
}

#[test]
fn every_block_says_what_it_is() {
    let known =
        ["sh", "sh cluster", "sh server", "sh project", "sql", "json", "yaml", "text", "rust"];
    let unknown: Vec<String> = pages()
        .iter()
        .flat_map(|page| blocks(page))
        .filter(|block| !known.contains(&block.tag.as_str()))
        .map(|block| format!("{}: {:?}", block.place, block.tag))
        .collect();
    assert!(unknown.is_empty(), "not one of {known:?}: {unknown:#?}");
}

#[test]
fn json_and_yaml_can_be_read() {
    for block in tagged("json") {
        let whole = serde_json::from_str::<serde_json::Value>(&block.text);
        let lines = || {
            block.text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
        };
        assert!(whole.is_ok() || lines(), "{}: {:?}", block.place, whole.err());
    }
    for block in tagged("yaml") {
        let read = serde_saphyr::from_str::<serde_json::Value>(&block.text);
        assert!(read.is_ok(), "{}: {:?}", block.place, read.err());
    }
}
