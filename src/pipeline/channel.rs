//! The two ends of a queue between stages. Every queue is bounded, and is closed by dropping its
//! sender.

use crossbeam_channel::{Receiver, Sender, bounded};

/// The two ends of a queue.
pub(super) struct Channel<T> {
    pub(super) sender: Sender<T>,
    pub(super) receiver: Receiver<T>,
}

impl<T> Channel<T> {
    /// A queue that holds at most `waiting` values.
    pub(super) fn bounded(waiting: usize) -> Self {
        let (sender, receiver) = bounded(waiting);
        Self { sender, receiver }
    }
}
