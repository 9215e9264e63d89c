//! How the engine's threads are named, and how their panics end a run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use super::error::Error;

/// A thread that shows its name in `top -H`.
pub(super) fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

/// Does something, and returns a panic that ended it as an error.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Error::Panicked))
}
