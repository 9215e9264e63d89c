//! Dispatch: the way of operations from the scan to the workers, in bundles, through a bounded queue.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};

use super::operation::{Bundle, Operation, Task};
use super::pair::Pair;
use super::stage::Stage;

/// How long a sender sleeps when the queue is full, which is a hundred milliseconds of the quickest work
/// there is: workers never wait for a sleeper.
const SHORTEST_NAP: Duration = Duration::from_millis(2);
const LONGEST_NAP: Duration = Duration::from_millis(16);

/// Operations in one bundle at most, and up to which size in bytes they are small.
const BUNDLE: usize = 64;
const SMALL: u64 = 256 * 1024;

/// The sending end of the queue. The queue is closed when this is dropped.
pub(super) struct Dispatch<'a> {
    stage: &'a Stage<'a>,
    bundles: Sender<Bundle>,
}

impl<'a> Dispatch<'a> {
    pub(super) fn new(stage: &'a Stage<'a>, bundles: Sender<Bundle>) -> Self {
        Self { stage, bundles }
    }

    /// Puts an operation into the directory's bundle, and sends the bundle when it is full.
    pub(super) fn plan(&self, pair: &Arc<Pair>, task: Task, bundle: &mut Bundle) {
        let operation = Operation { pair: Arc::clone(pair), task };
        pair.begin();
        self.stage.monitor.planned(1, operation.len());
        // A file that takes its time must not keep others waiting behind it.
        if operation.len() > SMALL {
            self.send(vec![operation]);
            return;
        }
        bundle.push(operation);
        if bundle.len() == BUNDLE {
            self.send_bundle(std::mem::take(bundle));
        }
    }

    /// Sends small operations of one directory: to one worker where all have plenty to do, else one by one.
    ///
    /// Two workers in one directory wait for its lock in the kernel, so on a local disk they had better
    /// be in two. Over a slow network it is the waiting that counts, and everybody should take part in it.
    pub(super) fn send_bundle(&self, bundle: Bundle) {
        let is_plenty = self.bundles.len() > 2 * self.stage.options.workers;
        if is_plenty {
            self.send(bundle);
        } else {
            bundle.into_iter().for_each(|operation| self.send(vec![operation]));
        }
    }

    /// Sends to the workers as soon as there is room.
    ///
    /// A sender that finds the queue full naps until a good part of it is free, instead of being
    /// woken for every single place: that switch of threads would cost as much as the copy of a small file.
    fn send(&self, bundle: Bundle) {
        if bundle.is_empty() {
            return;
        }
        let mut sent = self.bundles.try_send(bundle);
        let mut nap = SHORTEST_NAP;
        while let Err(TrySendError::Full(bundle)) = sent {
            thread::sleep(nap);
            nap = (nap * 2).min(LONGEST_NAP);
            sent = self.bundles.try_send(bundle);
        }
        if let Err(TrySendError::Disconnected(bundle)) = sent {
            // The workers are gone, which only happens when the run is ending.
            bundle.into_iter().for_each(|operation| self.stage.end_work(operation.pair));
        }
    }
}
