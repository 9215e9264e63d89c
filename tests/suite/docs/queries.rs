//! The queries that the pages show, asked of ledgers that real runs filled.

use super::{Block, tagged};
use crate::fixture::*;
use crate::ledger::base::{Base, on_both};

on_both! {
    fn every_query_of_the_documentation_answers(base) {
        write(&base.pair.a, "films/new.mkv", "content", T0);
        write(&base.pair.a, "clash", "x", T0);
        std::fs::create_dir(base.pair.b.join("clash")).unwrap();
        write(&base.pair.b, "gone", "x", T0);
        assert_eq!(base.pair.sync(&["--dry-run", "--delete-missing"]).code, Some(1));
        assert_eq!(base.pair.sync(&["--delete-missing"]).code, Some(1));
        let queries = tagged("sql");
        assert!(queries.len() >= 5, "there are only {}", queries.len());
        // What removes rows comes last: the others would find nothing any more.
        let (removing, asking): (Vec<_>, Vec<_>) =
            queries.iter().flat_map(statements).partition(|(_, statement)| statement.starts_with("DELETE"));
        for (place, statement) in asking {
            assert!(!base.rows(&statement).is_empty(), "{place} finds nothing: {statement}");
        }
        assert!(!base.rows("SELECT id FROM sync_iterations").is_empty() && removing.len() >= 2);
        for (_, statement) in removing {
            base.rows(&statement.replace("'media'", "'test'"));
        }
        assert_eq!(base.rows("SELECT id FROM sync_iterations"), base.rows("SELECT id FROM sync_operations"), "both are empty");
    }
}

/// The statements of a block, without comments, and where the block stands.
fn statements(block: &Block) -> Vec<(String, String)> {
    let lines = block.text.lines().filter(|line| !line.trim_start().starts_with("--"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let statements = text.split(';').map(str::trim).filter(|statement| !statement.is_empty());
    statements.map(|statement| (block.place.clone(), statement.to_owned())).collect()
}
