//! Queue: the way of operations from the scan to the workers, in bundles, bounded.
//!
//! Large files have a queue of their own, and one worker leaves it alone as long as there may be others:
//! however many large files there are, small ones are never held up by them.
//!
//! A worker is started when something waits that nobody has taken up: a run that finds little to do starts
//! few threads.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, select};

use super::channel::Channel;
use super::completion::Completion;
use super::context::Context;
use super::error::Error;
use super::node::DirNode;
use super::operation::{Bundle, Operation, Task};
use crate::locked::locked;

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
    /// Waits for a bundle. `None` if the queues are closed and empty.
    pub(super) fn next(&self, worker: usize) -> Option<Bundle> {
        // The worker that is started last takes no large files before everything else is done, if it is not the only one.
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
pub(super) struct Queue<'a> {
    context: &'a Context<'a>,
    completion: &'a Completion<'a>,
    bundles: Sender<Bundle>,
    large: Sender<Bundle>,
    pool: WorkerPool<'a>,
}

/// The workers, and those that may still be started.
struct WorkerPool<'a> {
    spawned: AtomicUsize,
    /// What the next one gets; `None` when all are started, or no more can be. Only the workers receive then: without
    /// them, nobody sends in vain.
    waiting: Mutex<Option<Waiting>>,
    spawn: SpawnWorker<'a>,
}

/// Starts the worker of that number, which takes from these queues.
type SpawnWorker<'a> = Box<dyn Fn(usize, Waiting) -> io::Result<()> + Sync + 'a>;

impl<'a> Queue<'a> {
    /// `bundles` and `large` are bounded; `spawn` starts the worker of a number.
    pub(super) fn new(
        context: &'a Context<'a>,
        completion: &'a Completion<'a>,
        bundles: Channel<Bundle>,
        large: Channel<Bundle>,
        spawn: impl Fn(usize, Waiting) -> io::Result<()> + Sync + 'a,
    ) -> Self {
        let workers = context.options.io.workers;
        let waiting = Waiting { bundles: bundles.receiver, large: large.receiver, workers };
        let waiting = Mutex::new(Some(waiting));
        let pool = WorkerPool { spawned: AtomicUsize::new(0), waiting, spawn: Box::new(spawn) };
        Self { context, completion, bundles: bundles.sender, large: large.sender, pool }
    }

    /// Puts an operation into the directory's bundle, and sends the bundle when it is full.
    pub(super) fn plan(&self, node: &Arc<DirNode>, task: Task, bundle: &mut Bundle) {
        let operation = Operation { node: Arc::clone(node), task };
        node.begin();
        self.context.monitor.planned(1, operation.len());
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
        let is_plenty = self.bundles.len() > 2 * self.context.options.io.workers;
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
            bundle.into_iter().for_each(|operation| self.completion.end_work(operation.node));
        } else if !queue.is_empty() {
            self.spawn_another();
        }
    }

    /// Something waits: everybody is busy, or there is nobody.
    fn spawn_another(&self) {
        let WorkerPool { spawned, waiting, spawn } = &self.pool;
        if spawned.load(Ordering::Relaxed) == self.context.options.io.workers {
            return;
        }
        let mut waiting = locked(waiting);
        let Some(queues) = waiting.as_ref() else { return };
        let worker = spawned.load(Ordering::Relaxed);
        match spawn(worker, queues.clone()) {
            Ok(()) => spawned.store(worker + 1, Ordering::Relaxed),
            Err(error) => self.context.end_run(Error::Threads(error)),
        }
        if worker + 1 == self.context.options.io.workers || self.context.stop.is_requested() {
            *waiting = None;
        }
    }
}
