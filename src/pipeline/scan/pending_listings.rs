//! Pending listings: the two listings of one directory while tasks are still adding to them.
//!
//! A huge directory is looked at by many tasks. The task that adds the last part goes on with the
//! whole.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::locked::locked;
use crate::model::Side;
use crate::pipeline::node::DirNode;
use crate::tree::{DirRef, Listing, ListingPart};

/// The two listings of a directory in the making. A new value counts one task that adds something:
/// the one that made it.
pub(super) struct PendingListings {
    pub(super) node: Arc<DirNode>,
    source: Mutex<Vec<ListingPart>>,
    dest: Mutex<Vec<ListingPart>>,
    /// The first error, and the side that it came from.
    error: Mutex<Option<(Side, io::Error)>>,
    /// Tasks that still add something.
    adding: AtomicUsize,
}

impl PendingListings {
    pub(super) fn new(node: Arc<DirNode>) -> Self {
        let (source, dest) = (Mutex::default(), Mutex::default());
        Self { node, source, dest, error: Mutex::default(), adding: AtomicUsize::new(1) }
    }

    /// The directory on that side.
    pub(super) fn place(&self, side: Side) -> &DirRef {
        match side {
            Side::Source => &self.node.source,
            Side::Dest => &self.node.dest,
        }
    }

    /// Counts one more task that will add something.
    pub(super) fn begin(&self) {
        self.adding.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one task that has added what it had. `true` if it was the last.
    pub(super) fn end(&self) -> bool {
        self.adding.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Adds a part of a listing.
    pub(super) fn add(&self, side: Side, part: io::Result<ListingPart>) {
        let parts = match side {
            Side::Source => &self.source,
            Side::Dest => &self.dest,
        };
        match part {
            Ok(part) => locked(parts).push(part),
            Err(error) => {
                locked(&self.error).get_or_insert((side, error));
            }
        }
    }

    /// Both listings, whole and sorted. A side without such a directory has an empty listing. Fails
    /// with the first error.
    pub(super) fn finish(&self) -> Result<(Listing, Listing), (Side, io::Error)> {
        if let Some(error) = locked(&self.error).take() {
            return Err(error);
        }
        let whole =
            |parts: &Mutex<Vec<ListingPart>>| Listing::of(std::mem::take(&mut *locked(parts)));
        Ok((whole(&self.source), whole(&self.dest)))
    }
}
