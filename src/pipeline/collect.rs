//! Collect: what only the destination has becomes candidates for deletion, directory by directory.
//!
//! Files and symlinks are candidates as soon as their directory has been compared. A directory is
//! one when everything below it has been looked at and nothing in it stays: that shows when its
//! last piece of work ends, and goes on upwards from there.

use super::candidates::{BATCH, Batch, Candidate, Item};
use super::pair::Pair;
use super::stage::Stage;
use crate::model::Name;

impl Stage<'_> {
    /// Keeps candidates of the pair's directory.
    pub(super) fn collect(&self, pair: &Pair, candidates: Vec<Candidate>) {
        if candidates.is_empty() {
            return;
        }
        pair.thin();
        let directory = pair.path();
        let shared = directory.names().count() - missing_at_source(pair);
        let mut rest = candidates.into_iter().peekable();
        while rest.peek().is_some() {
            let candidates = rest.by_ref().take(BATCH).collect();
            self.candidates.push(&Item::Delete(Batch { directory: directory.clone(), shared, candidates }));
        }
    }

    /// Everything in the directory and below has been looked at: settles whether it goes itself.
    pub(super) fn settle(&self, pair: &Pair) {
        self.collect(pair, pair.take_emptied());
        let (Some(above), Some((_, name)), Some(entry)) = (&pair.above, pair.dest.above(), pair.dest_entry())
        else {
            return self.restore(pair);
        };
        if !pair.is_at_dest_only() {
            return self.restore(pair);
        }
        if pair.is_kept() {
            above.mark_kept();
            return self.restore(pair);
        }
        let emptied = Candidate { name: Name::clone(name), entry: entry.clone() };
        self.collect(above, above.add_emptied(emptied, BATCH));
    }

    /// A directory that stays gets its mtime back after what was deleted in it.
    fn restore(&self, pair: &Pair) {
        if pair.is_thinned() {
            self.candidates.push(&Item::Restore { directory: pair.path(), mtime: pair.mtime() });
        }
    }
}

/// How many names at the end of the pair's path the source lacks.
fn missing_at_source(pair: &Pair) -> usize {
    let mut missing = 0;
    let mut next = Some(pair);
    while let Some(pair) = next.filter(|pair| pair.is_at_dest_only()) {
        missing += 1;
        next = pair.above.as_deref();
    }
    missing
}
