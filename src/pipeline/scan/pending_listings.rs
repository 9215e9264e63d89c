//! The two listings of one pair of directories while tasks are adding to them.
//!
//! A huge directory is looked at by many tasks. Whoever adds the last part goes on with the whole.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::locked::locked;
use crate::model::Side;
use crate::pipeline::node::DirNode;
use crate::tree::{DirRef, Listing, ListingPart};

/// Two listings in the making. It begins with one task that adds something: whoever made it.
pub(super) struct PendingListings {
    pub(super) node: Arc<DirNode>,
    source: Mutex<Vec<ListingPart>>,
    dest: Mutex<Vec<ListingPart>>,
    /// The first thing that went wrong.
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

    /// One more task will add something.
    pub(super) fn begin(&self) {
        self.adding.fetch_add(1, Ordering::Relaxed);
    }

    /// One task has added what it had; `true` tells that it was the last.
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

    /// Both listings, whole and sorted; empty where there is no such directory.
    pub(super) fn finish(&self) -> Result<(Listing, Listing), (Side, io::Error)> {
        if let Some(error) = locked(&self.error).take() {
            return Err(error);
        }
        let whole =
            |parts: &Mutex<Vec<ListingPart>>| Listing::of(std::mem::take(&mut *locked(parts)));
        Ok((whole(&self.source), whole(&self.dest)))
    }
}
