//! Dispatch: the way of operations from the scan to the workers, in bundles, through bounded queues.
//!
//! Large files have a queue of their own, and one worker leaves it alone as long as there may be others: however
//! many large ones there are, small ones are never held up by them.
//!
//! Workers are hired when something waits that nobody has taken up: a run that finds little to do starts few threads.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};

use super::Error;
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

/// A file of this size keeps a worker for a second and longer.
const LARGE: u64 = 64 * 1024 * 1024;

/// The receiving end of the queues.
#[derive(Clone)]
pub(super) struct Waiting {
    bundles: Receiver<Bundle>,
    large: Receiver<Bundle>,
    workers: usize,
}

impl Waiting {
    /// Waits for a bundle. Nothing: the queues are closed and empty.
    pub(super) fn next(&self, worker: usize) -> Option<Bundle> {
        // The worker that is hired last takes no large files before everything else is done, if it is not the only one.
        if worker + 1 == self.workers && self.workers > 1 {
            return self.bundles.recv().or_else(|_| self.large.recv()).ok();
        }
        select! {
            recv(self.bundles) -> bundle => bundle.or_else(|_| self.large.recv()).ok(),
            recv(self.large) -> bundle => bundle.or_else(|_| self.bundles.recv()).ok(),
        }
    }
}

/// The sending end of the queues. They are closed when this is dropped.
pub(super) struct Dispatch<'a> {
    stage: &'a Stage<'a>,
    bundles: Sender<Bundle>,
    large: Sender<Bundle>,
    crew: Crew<'a>,
}

/// The workers, and those that may still be hired.
struct Crew<'a> {
    hired: AtomicUsize,
    /// What the next one gets; nothing when all are hired, or no more can be. Only the workers receive then: without
    /// them, nobody sends in vain.
    waiting: Mutex<Option<Waiting>>,
    hire: Hire<'a>,
}

/// Starts the worker of that number, which takes from these queues.
type Hire<'a> = Box<dyn Fn(usize, Waiting) -> io::Result<()> + Sync + 'a>;

impl<'a> Dispatch<'a> {
    /// Queues in each of which so many bundles wait at most.
    pub(super) fn new(
        stage: &'a Stage<'a>,
        waiting: usize,
        hire: impl Fn(usize, Waiting) -> io::Result<()> + Sync + 'a,
    ) -> Self {
        let (bundles, waiting_bundles) = bounded(waiting);
        let (large, waiting_large) = bounded(waiting);
        let workers = stage.options.workers;
        let waiting = Waiting { bundles: waiting_bundles, large: waiting_large, workers };
        let crew =
            Crew { hired: AtomicUsize::new(0), waiting: Mutex::new(Some(waiting)), hire: Box::new(hire) };
        Self { stage, bundles, large, crew }
    }

    /// Puts an operation into the directory's bundle, and sends the bundle when it is full.
    pub(super) fn plan(&self, pair: &Arc<Pair>, task: Task, bundle: &mut Bundle) {
        let operation = Operation { pair: Arc::clone(pair), task };
        pair.begin();
        self.stage.monitor.planned(1, operation.len());
        // A file that takes its time must not keep others waiting behind it.
        if operation.len() > SMALL {
            let queue = if operation.len() > LARGE { &self.large } else { &self.bundles };
            return self.send(queue, vec![operation]);
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
            self.send(&self.bundles, bundle);
        } else {
            bundle.into_iter().for_each(|operation| self.send(&self.bundles, vec![operation]));
        }
    }

    /// Sends to the workers as soon as there is room.
    ///
    /// A sender that finds the queue full naps until a good part of it is free, instead of being
    /// woken for every single place: that switch of threads would cost as much as the copy of a small file.
    fn send(&self, queue: &Sender<Bundle>, bundle: Bundle) {
        if bundle.is_empty() {
            return;
        }
        let mut sent = queue.try_send(bundle);
        let mut nap = SHORTEST_NAP;
        while let Err(TrySendError::Full(bundle)) = sent {
            thread::sleep(nap);
            nap = (nap * 2).min(LONGEST_NAP);
            sent = queue.try_send(bundle);
        }
        if let Err(TrySendError::Disconnected(bundle)) = sent {
            // The workers are gone, which only happens when the run is ending.
            bundle.into_iter().for_each(|operation| self.stage.end_work(operation.pair));
        } else if !queue.is_empty() {
            self.hire_another();
        }
    }

    /// Something waits: everybody is busy, or there is nobody.
    fn hire_another(&self) {
        let Crew { hired, waiting, hire } = &self.crew;
        if hired.load(Ordering::Relaxed) == self.stage.options.workers {
            return;
        }
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queues) = waiting.as_ref() else { return };
        let worker = hired.load(Ordering::Relaxed);
        match hire(worker, queues.clone()) {
            Ok(()) => hired.store(worker + 1, Ordering::Relaxed),
            Err(error) => self.stage.end_run(Error::Threads(error)),
        }
        if worker + 1 == self.stage.options.workers || self.stage.stop.is_requested() {
            *waiting = None;
        }
    }
}
