//! The queries that the pages show, asked of ledgers that real runs filled.

use super::tagged;
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
        for block in queries {
            for statement in block.text.split(';').filter(|statement| !statement.trim().is_empty()) {
                let lines = statement.lines().filter(|line| !line.trim_start().starts_with("--"));
                let rows = base.rows(&lines.collect::<Vec<_>>().join("\n"));
                assert!(!rows.is_empty(), "{} finds nothing: {statement}", block.place);
            }
        }
    }
}
