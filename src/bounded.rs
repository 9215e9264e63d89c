//! Waiting, but not for ever, for work on a thread that may be left to itself.
//!
//! A system call on a dead server, a name server that is gone, a file on a dead mount: none of them
//! heeds a timer, and no thread can be taken out of the call. So whatever may meet one is done on a
//! thread of its own, and its caller decides how long to wait. This is the only place where that is
//! done; who waits brings the patience.

use std::io;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

/// Why the result of some work is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unheard<E> {
    /// The thread panicked: a bug.
    Panicked,
    /// The patience was over, for this reason. The thread goes on.
    Over(E),
}

/// Begins work on a thread of that name. Its result comes out of the receiver; it is dropped if
/// nobody waits for it any more. Fails if no thread can be started.
pub(crate) fn begin<T: Send + 'static>(
    thread: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Receiver<T>> {
    let (tell, done) = bounded(1);
    thread::Builder::new().name(thread.into()).spawn(move || {
        // Fails if nobody waits any more.
        let _heard = tell.send(work());
    })?;
    Ok(done)
}

/// Waits for a result as long as `patience` lasts. It is asked whenever the time that it gave the
/// last time is over, and gives the time until it is to be asked again, or the reason to wait no
/// longer.
pub(crate) fn wait<T, E>(
    done: &Receiver<T>,
    mut patience: impl FnMut() -> Result<Duration, E>,
) -> Result<T, Unheard<E>> {
    let mut next = Duration::ZERO;
    loop {
        match done.recv_timeout(next) {
            Ok(done) => return Ok(done),
            Err(RecvTimeoutError::Disconnected) => return Err(Unheard::Panicked),
            Err(RecvTimeoutError::Timeout) => next = patience().map_err(Unheard::Over)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_heard_of_however_short_the_patience() {
        let (tell, done) = bounded(1);
        tell.send(7).unwrap();
        assert_eq!(wait(&done, || Err("over")), Ok(7));
        assert_eq!(wait(&done, || Err("over")), Err(Unheard::Over("over")));
        drop(tell);
        assert_eq!(wait(&done, || Err("over")), Err(Unheard::Panicked));
    }

    #[test]
    fn patience_is_asked_again_after_each_time_that_it_gave() {
        let (_tell, done) = bounded::<()>(1);
        let mut left = [1, 1].map(Duration::from_millis).into_iter();
        assert_eq!(wait(&done, || left.next().ok_or("over")), Err(Unheard::Over("over")));
        assert_eq!(left.next(), None, "asked for each, and once more");
    }

    #[test]
    fn a_thread_that_panics_is_heard_of() {
        let done = begin("panics", || assert_eq!(1, 2)).unwrap();
        assert_eq!(wait(&done, || Ok::<_, ()>(Duration::from_secs(10))), Err(Unheard::Panicked));
        assert_eq!(
            wait(&begin("works", || 7).unwrap(), || Ok::<_, ()>(Duration::from_secs(10))),
            Ok(7)
        );
    }
}
