//! The numbers of a run while it lasts. Its threads write them, the thread that draws reads them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::locked::locked;
use crate::model::{RelPath, Summary};

/// The numbers so far.
#[derive(Debug)]
pub struct Live {
    started: Instant,
    counts: Mutex<Summary>,
    planned: AtomicU64,
    planned_bytes: AtomicU64,
    done: AtomicU64,
    done_bytes: AtomicU64,
    moved_bytes: AtomicU64,
    scanned: AtomicBool,
    in_hand: Vec<Mutex<Option<InHand>>>,
}

/// The operation that one worker has in hand.
#[derive(Clone, Debug)]
pub struct InHand {
    /// The path of the operation.
    pub path: RelPath,
    /// The largest number of bytes that it has to move.
    pub bytes: u64,
    /// Bytes that it has moved so far.
    pub moved: u64,
}

/// All numbers at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Time since the run began.
    pub elapsed: std::time::Duration,
    /// Counts of paths.
    pub counts: Summary,
    /// Operations that are known to be needed.
    pub planned: u64,
    /// The largest number of bytes that these move.
    pub planned_bytes: u64,
    /// Operations that are done.
    pub done: u64,
    /// Bytes of the plan that are done, what is in hand included.
    pub done_bytes: u64,
    /// Bytes that were actually moved.
    pub moved_bytes: u64,
    /// Whether the plan is complete.
    pub scanned: bool,
    /// The operations in hand, one for each busy worker.
    pub in_hand: Vec<InHand>,
}

impl Live {
    /// The numbers of a run in which nothing has happened yet.
    pub fn new(workers: usize) -> Self {
        Self {
            started: Instant::now(),
            counts: Mutex::default(),
            planned: AtomicU64::new(0),
            planned_bytes: AtomicU64::new(0),
            done: AtomicU64::new(0),
            done_bytes: AtomicU64::new(0),
            moved_bytes: AtomicU64::new(0),
            scanned: AtomicBool::new(false),
            in_hand: (0..workers).map(|_| Mutex::default()).collect(),
        }
    }

    pub(super) fn counted(&self, part: &Summary) {
        *locked(&self.counts) += part;
    }

    pub(super) fn planned(&self, operations: u64, bytes: u64) {
        self.planned.fetch_add(operations, Ordering::Relaxed);
        self.planned_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn started(&self, worker: usize, path: &RelPath, bytes: u64) {
        self.slot(worker, |slot| *slot = Some(InHand { path: path.clone(), bytes, moved: 0 }));
    }

    pub(super) fn copied(&self, worker: usize, bytes: u64) {
        self.moved_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.slot(worker, |slot| {
            if let Some(in_hand) = slot {
                in_hand.moved += bytes;
            }
        });
    }

    pub(super) fn ended(&self, worker: usize) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.slot(worker, |slot| {
            let bytes = slot.take().map_or(0, |in_hand| in_hand.bytes);
            self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
        });
    }

    pub(super) fn scanned(&self) {
        self.scanned.store(true, Ordering::Relaxed);
    }

    fn slot(&self, worker: usize, change: impl FnOnce(&mut Option<InHand>)) {
        if let Some(slot) = self.in_hand.get(worker) {
            change(&mut locked(slot));
        }
    }

    /// The numbers now.
    pub fn snapshot(&self) -> Snapshot {
        let slots = self.in_hand.iter().map(|slot| locked(slot).clone());
        let in_hand: Vec<InHand> = slots.flatten().collect();
        // A comparison reads both sides, so it may move more than its bytes in the plan.
        let moving: u64 = in_hand.iter().map(|one| one.moved.min(one.bytes)).sum();
        Snapshot {
            elapsed: self.started.elapsed(),
            counts: locked(&self.counts).clone(),
            planned: self.planned.load(Ordering::Relaxed),
            planned_bytes: self.planned_bytes.load(Ordering::Relaxed),
            done: self.done.load(Ordering::Relaxed),
            done_bytes: self.done_bytes.load(Ordering::Relaxed) + moving,
            moved_bytes: self.moved_bytes.load(Ordering::Relaxed),
            scanned: self.scanned.load(Ordering::Relaxed),
            in_hand,
        }
    }
}
