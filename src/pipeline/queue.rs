//! Queue: how operations get from the scan to the workers, in bundles and in bounded number.
//!
//! Large files have a queue of their own, and one worker leaves that queue alone while there is
//! anything else. So small files are never held up, however many large ones there are.
//!
//! A worker is started when something waits that no worker has taken up. A run that finds little to
//! do starts few threads.

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

/// How long a sender sleeps when the queue is full. A full queue lasts a hundred milliseconds even
/// at the quickest work there is, so workers never wait for a sender that sleeps.
const SHORTEST_NAP: Duration = Duration::from_millis(2);
const LONGEST_NAP: Duration = Duration::from_millis(16);

/// Operations in one bundle at most, and the size in bytes up to which an operation is small.
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
        // The worker that is started last takes large files only when everything else is done,
        // unless it is the only worker.
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
    /// The queues for the next worker. `None` when all workers are started, or no more can be. From
    /// then on only the workers hold receivers: when the workers are gone, sending fails instead of
    /// waiting in vain.
    waiting: Mutex<Option<Waiting>>,
    spawn: SpawnWorker<'a>,
}

/// Starts the worker of that number, which receives from these queues.
type SpawnWorker<'a> = Box<dyn Fn(usize, Waiting) -> io::Result<()> + Sync + 'a>;

impl<'a> Queue<'a> {
    /// A queue without workers yet. `bundles` and `large` are bounded; `spawn` starts the worker of
    /// a number.
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
        // A file that takes long must not keep others waiting behind it in a bundle.
        if operation.len() > SMALL {
            let queue = if operation.len() > LARGE { &self.large } else { &self.bundles };
            return self.send(queue, vec![operation]);
        }
        bundle.push(operation);
        if bundle.len() == BUNDLE {
            self.send_bundle(std::mem::take(bundle));
        }
    }

    /// Sends small operations of one directory: all to one worker if all workers have plenty to do,
    /// otherwise one by one.
    ///
    /// Two workers in one directory wait for its lock in the kernel, so on a local disk they are
    /// better off in two directories. Over a slow network it is the waiting that counts, and all
    /// workers should share it.
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
    /// A sender that finds the queue full sleeps until a good part of it is free. Being woken for
    /// every single place would cost a switch of threads each time, which is as much as the copy of
    /// a small file.
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

    /// Starts one more worker: something waits, so all workers are busy, or there are none.
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
