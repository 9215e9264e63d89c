//! Threads: how the engine's threads are named, and how a panic in one ends the run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use super::error::Error;

/// A builder for a thread that shows its name in `top -H`.
pub(super) fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

/// Does the work. A panic in it is returned as [`Error::Panicked`].
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Error::Panicked))
}
