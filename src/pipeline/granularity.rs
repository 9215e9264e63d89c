//! Granularity: how finely the two sides keep mtimes, found out where it makes a difference.
//!
//! A file system that keeps whole seconds shows a time that was carried to it as older than it was.
//! If the threshold is below a second, each run would find the source newer and carry it again. So
//! times that the coarser side cannot tell apart count as equal.
//!
//! The times that a file system has set itself show how it keeps times: if a root shows only whole
//! seconds, nothing finer is kept. Looking changes nothing, so a dry run comes to the same answer.
//! Before a run that changes the destination relies on it, the run sets the time of a temporary
//! there and reads it back.

use std::io;
use std::time::Duration;

use super::options::Options;
use super::trees::Trees;
use crate::model::Timestamp;
use crate::stop::Stop;
use crate::tree::{Access, Freshness, Temporary, TemporaryNames, Tree, set_mtime};

/// The granularities of known file systems: FAT 2 s, ext3, HFS+ and NFSv2 1 s, exFAT 10 ms, NTFS
/// and SMB 100 ns.
const KNOWN: [Duration; 7] = [
    Duration::from_secs(2),
    Duration::from_secs(1),
    Duration::from_millis(10),
    Duration::from_millis(1),
    Duration::from_micros(1),
    Duration::from_nanos(100),
    FINEST,
];
const FINEST: Duration = Duration::from_nanos(1);

/// Entries of a root whose times are looked at, at most.
const LOOKED_AT: usize = 64;

/// A time that every granularity except the finest one changes, each in its own way.
const PROBE: Timestamp = Timestamp { seconds: 1_000_000_001, nanoseconds: 999_999_999 };

/// The coarser side's granularity. If the threshold covers even the coarsest one, neither side is
/// asked.
pub(super) fn of_both(trees: &Trees, options: &Options, stop: &Stop) -> io::Result<Duration> {
    if options.policy.mtime_threshold >= KNOWN[0] {
        return Ok(FINEST);
    }
    let (source, mut dest) = (seen(&trees.source)?, seen(&trees.dest)?);
    if dest > FINEST && !options.dry_run && !stop.forbids_changes() {
        // If a temporary cannot be made, what was seen is all there is to know.
        dest = probe(&trees.dest, options.process.run, stop).unwrap_or(dest);
    }
    Ok(source.max(dest))
}

/// The coarsest granularity that fits the times seen in the root.
fn seen(tree: &Tree) -> io::Result<Duration> {
    let root = tree.root().look_at_self(Freshness::Cached)?;
    let mut times = vec![root.mtime, root.ctime];
    tree.holds(|_, entry| {
        times.extend([entry.mtime, entry.ctime]);
        times.len() > 2 * LOOKED_AT
    })?;
    Ok(coarsest(|granularity| times.iter().all(|time| time.truncated(granularity) == *time)))
}

/// Sets a time at the destination and reads back what is kept of it. Afterwards the root looks as
/// it did before.
fn probe(dest: &Tree, run: u64, stop: &Stop) -> io::Result<Duration> {
    let root = dest.root();
    let before = root.look_at_self(Freshness::Server)?;
    let (temporary, file) =
        Temporary::create_file(root, &TemporaryNames::new(run), 0o600, Access::Write)?;
    let ended = || io::Error::other("the run had to end");
    let set = if stop.forbids_changes() { Err(ended()) } else { set_mtime(&file, PROBE) };
    let kept = set.and_then(|()| file.look(Freshness::Server));
    if stop.forbids_changes() {
        temporary.abandon();
        return Err(ended());
    }
    let removed = temporary.discard();
    let restored = if stop.forbids_changes() { Ok(()) } else { set_mtime(root, before.mtime) };
    let kept = kept?.mtime;
    removed.and(restored)?;
    Ok(coarsest(|granularity| kept == PROBE.truncated(granularity)))
}

/// The coarsest known granularity that fits. If none fits, the coarsest of all: with it the least
/// is carried.
fn coarsest(fits: impl Fn(Duration) -> bool) -> Duration {
    KNOWN.into_iter().find(|granularity| fits(*granularity)).unwrap_or(KNOWN[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_probe_comes_back_as_tells_the_granularity() {
        for granularity in KNOWN {
            let kept = PROBE.truncated(granularity);
            assert_eq!(coarsest(|known| kept == PROBE.truncated(known)), granularity);
        }
    }

    #[test]
    fn a_file_system_that_keeps_nanoseconds_shows_it() {
        let scratch = tempfile::tempdir().unwrap();
        let tree = Tree::open(scratch.path()).unwrap();
        assert_eq!(probe(&tree, 7, &Stop::new()).unwrap(), FINEST);
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
