//! The two listings of one pair of directories while tasks are adding to them.
//!
//! A huge directory is looked at by many tasks. Whoever adds the last part goes on with the whole.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::pair::Pair;
use crate::model::Side;
use crate::tree::{Listing, Part, Place};

/// Two listings in the making. It begins with one task that adds something: whoever made it.
pub(super) struct Gathering {
    pub(super) pair: Arc<Pair>,
    source: Mutex<Vec<Part>>,
    dest: Mutex<Vec<Part>>,
    /// The first thing that went wrong.
    error: Mutex<Option<(Side, io::Error)>>,
    /// Tasks that still add something.
    adding: AtomicUsize,
}

impl Gathering {
    pub(super) fn new(pair: Arc<Pair>) -> Self {
        let (source, dest) = (Mutex::default(), Mutex::default());
        Self { pair, source, dest, error: Mutex::default(), adding: AtomicUsize::new(1) }
    }

    /// The directory on that side.
    pub(super) fn place(&self, side: Side) -> &Place {
        match side {
            Side::Source => &self.pair.source,
            Side::Dest => &self.pair.dest,
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
    pub(super) fn add(&self, side: Side, part: io::Result<Part>) {
        let parts = match side {
            Side::Source => &self.source,
            Side::Dest => &self.dest,
        };
        match part {
            Ok(part) => parts.lock().unwrap_or_else(PoisonError::into_inner).push(part),
            Err(error) => {
                self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((side, error));
            }
        }
    }

    /// Both listings, whole and sorted; empty where there is no such directory.
    pub(super) fn finish(&self) -> Result<(Listing, Listing), (Side, io::Error)> {
        if let Some(error) = self.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        let whole = |parts: &Mutex<Vec<Part>>| {
            Listing::of(std::mem::take(&mut *parts.lock().unwrap_or_else(PoisonError::into_inner)))
        };
        Ok((whole(&self.source), whole(&self.dest)))
    }
}
