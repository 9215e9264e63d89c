//! The two ends of a queue between stages. All of them are bounded; closing one is dropping its sender.

use crossbeam_channel::{Receiver, Sender, bounded};

/// The two ends of a queue.
pub(super) struct Channel<T> {
    pub(super) sender: Sender<T>,
    pub(super) receiver: Receiver<T>,
}

impl<T> Channel<T> {
    /// A queue in which so many wait at most.
    pub(super) fn bounded(waiting: usize) -> Self {
        let (sender, receiver) = bounded(waiting);
        Self { sender, receiver }
    }
}
