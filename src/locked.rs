//! What is behind a mutex, also where a thread has panicked with it in hand.
//!
//! Everything that is shared here is changed by steps that leave it whole, and a panic ends the run
//! anyway (see the pipeline's `Error::Panicked`): refusing the lock would only turn one thread's
//! bug into everybody's.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks the mutex.
pub(crate) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was behind a mutex that nobody shares any more.
pub(crate) fn unlocked<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}
