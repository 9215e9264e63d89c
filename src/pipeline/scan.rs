//! Scan: lists the directories of both trees side by side and sends on what has to be done.
//!
//! One task for each pair of directories, on a work-stealing pool. A task lists both sides, joins
//! and classifies their names, sends the operations into the bounded queue (a full queue slows it
//! down) and spawns a task for each directory below. The listings of a very large directory are
//! finished by follow-up tasks, the last of which goes on; no task ever waits for another.
//!
//! A directory that cannot be listed completely is one failed path, and nothing is concluded from
//! what was seen of it.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Sender, TrySendError};
use rayon::Scope;

use super::classify::{Rules, classify};
use super::join::{Sorted, join};
use super::operation::{Bundle, Carry, Operation, Task};
use super::pair::Pair;
use super::stage::Stage;
use super::{Error, Trees};
use crate::model::{
    Change, Decision, Effect, Entry, EntryKind, Failure, Joined, Name, Outcome, Side, Subject, Summary,
};
use crate::tree::{Listing, Place};

/// How long a sender sleeps when the queue is full, which is a hundred milliseconds of the quickest work
/// there is: workers never wait for a sleeper.
const SHORTEST_NAP: Duration = Duration::from_millis(2);
const LONGEST_NAP: Duration = Duration::from_millis(16);

/// Operations in one bundle at most, and up to which size in bytes they are small.
const BUNDLE: usize = 64;
const SMALL: u64 = 256 * 1024;

/// The stage's own state.
pub(super) struct Scan<'a> {
    stage: &'a Stage<'a>,
    rules: Rules,
    /// Whether temporaries at the destination are leftovers: only who holds the lock can know.
    sweep: bool,
    bundles: Sender<Bundle>,
    /// The inode numbers of the two roots, if they are on one file system.
    roots: Option<(u64, u64)>,
}

/// The two listings of one pair while tasks are adding to them.
struct Gathering {
    pair: Arc<Pair>,
    source: Mutex<Vec<Listing>>,
    dest: Mutex<Vec<Listing>>,
    /// The first thing that went wrong.
    error: Mutex<Option<(Side, io::Error)>>,
    /// Tasks that still add something.
    adding: AtomicUsize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(stage: &'a Stage<'a>, trees: &Trees, bundles: Sender<Bundle>) -> Self {
        let sweep = stage.options.sweep && !stage.options.dry_run;
        let identities = (trees.source.root().identity(), trees.dest.root().identity());
        let roots = match identities {
            (Ok(source), Ok(dest)) if (source.0, source.1) == (dest.0, dest.1) => Some((source.2, dest.2)),
            _ => None,
        };
        Self { stage, rules: stage.options.rules, sweep, bundles, roots }
    }

    /// Scans everything below `root`; returns when all of it was listed and sent on.
    pub(super) fn run(&'a self, threads: usize, root: Arc<Pair>) -> Result<(), Error> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("scan-{index}"))
            .build()
            .map_err(io::Error::other)?;
        pool.in_place_scope(|scope| scope.spawn(move |scope| self.visit(scope, root)));
        Ok(())
    }

    fn visit<'s>(&'s self, scope: &Scope<'s>, pair: Arc<Pair>) {
        if self.stage.stop.is_requested() {
            return self.stage.end_work(pair);
        }
        let has_dest = pair.dest_entry.is_some();
        let gathering = Arc::new(Gathering::new(pair));
        self.list(scope, &gathering, Side::Source);
        if has_dest {
            self.list(scope, &gathering, Side::Dest);
        }
        self.added(scope, &gathering);
    }

    fn list<'s>(&'s self, scope: &Scope<'s>, gathering: &Arc<Gathering>, side: Side) {
        let place = gathering.place(side);
        let go_on = || !self.stage.stop.is_requested();
        let listing = place.open().and_then(|dir| {
            Listing::read(&dir, place.is_root(), go_on, |unseen| {
                gathering.adding.fetch_add(1, Ordering::Relaxed);
                let gathering = Arc::clone(gathering);
                scope.spawn(move |scope| {
                    let seen = gathering.place(side).open().and_then(|dir| unseen.look(&dir, go_on));
                    gathering.add(side, seen);
                    self.added(scope, &gathering);
                });
            })
        });
        gathering.add(side, listing);
    }

    /// One of the gathering's tasks is done; the last one goes on with the directory.
    fn added<'s>(&'s self, scope: &Scope<'s>, gathering: &Gathering) {
        if gathering.adding.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let pair = Arc::clone(&gathering.pair);
        match gathering.finish() {
            Ok((source, dest)) => self.compare(scope, &pair, &source, &dest),
            Err((side, error)) => self.give_up(&pair, side, error),
        }
        self.stage.end_work(pair);
    }

    /// Joins the two listings and sends on what comes of it.
    fn compare<'s>(&'s self, scope: &Scope<'s>, pair: &Arc<Pair>, source: &Listing, dest: &Listing) {
        let mut seen = Summary::default();
        seen.add_listed(Side::Source, source.len() as u64);
        seen.add_listed(Side::Dest, dest.len() as u64);
        if source.is_log_dir() || dest.is_log_dir() {
            seen.not_entered += 1;
            return self.stage.count(&seen);
        }
        let mut bundle = Bundle::new();
        if pair.dest_entry.is_none() {
            self.plan(pair, Task::MakeDirectory, &mut bundle);
        }
        for (name, joined) in join(source, dest) {
            self.decide(scope, pair, name, joined, (&mut seen, &mut bundle));
        }
        if self.sweep {
            for name in dest.temporaries().iter().filter(|name| !self.stage.temporaries.made(name)) {
                self.plan(pair, Task::Sweep(name.clone()), &mut bundle);
            }
        }
        self.send_bundle(&mut bundle);
        self.stage.count(&seen);
    }

    fn decide<'s>(
        &'s self,
        scope: &Scope<'s>,
        pair: &Arc<Pair>,
        name: &[u8],
        joined: Joined<'_>,
        (seen, bundle): (&mut Summary, &mut Bundle),
    ) {
        let (source, dest) = (joined.source(), joined.dest());
        if source.is_some_and(|source| source.links > 1 && source.file_len().is_some()) {
            seen.hard_linked += 1;
        }
        if self.is_the_other_root(source, Side::Dest) || self.is_the_other_root(dest, Side::Source) {
            let reason = "the other tree's root lies here: a tree cannot be synced into itself".to_owned();
            return self.fail(pair, name, joined, Failure::error(reason));
        }
        match (classify(joined, &self.rules), source) {
            (Decision::Act(action), Some(source)) => {
                let (name, source, dest) = (Name::new(name), source.clone(), dest.cloned());
                self.plan(pair, Task::Carry(Carry { name, source, dest, action }), bundle);
            }
            (Decision::Descend, Some(source)) => {
                // Until its turn comes it is a name and two entries: there may be millions of them in one directory.
                let (above, name, source, dest) =
                    (Arc::clone(pair), Name::new(name), source.clone(), dest.cloned());
                pair.begin();
                scope.spawn(move |scope| self.visit(scope, above.child(&name, source, dest)));
            }
            (Decision::InSync { close }, _) => {
                seen.in_sync += 1;
                seen.close_mtimes += u64::from(close);
            }
            (Decision::KeepDest, _) => seen.newer_at_dest += 1,
            // What only dest has is kept. Nothing but dest's entry can get here without a source.
            (Decision::Extra | Decision::Act(_) | Decision::Descend, _) => seen.only_at_dest += 1,
            (Decision::SkipSpecial, _) => seen.special += 1,
            (Decision::SkipMountPoint, _) => seen.not_entered += 1,
            (Decision::Conflict { source, dest }, _) => {
                self.fail(pair, name, joined, Failure::conflict(source, dest));
            }
            (Decision::Unknown { side, errno }, _) => {
                let reason = format!("looking at {}: {}", side.name(), io::Error::from_raw_os_error(errno));
                self.fail(pair, name, joined, Failure::error(reason));
            }
        }
    }

    /// Puts an operation into the directory's bundle, and sends the bundle when it is full.
    fn plan(&self, pair: &Arc<Pair>, task: Task, bundle: &mut Bundle) {
        let operation = Operation { pair: Arc::clone(pair), task };
        pair.begin();
        self.stage.monitor.planned(operation.len());
        // A file that takes its time must not keep others waiting behind it.
        if operation.len() > SMALL {
            self.send(vec![operation]);
            return;
        }
        bundle.push(operation);
        if bundle.len() == BUNDLE {
            self.send_bundle(bundle);
        }
    }

    /// Sends small operations of one directory: to one worker where all have plenty to do, else one by one.
    ///
    /// Two workers in one directory wait for its lock in the kernel, so on a local disk they had better
    /// be in two. Over a slow network it is the waiting that counts, and everybody should take part in it.
    fn send_bundle(&self, bundle: &mut Bundle) {
        let is_plenty = self.bundles.len() > 2 * self.stage.options.workers;
        let bundle = std::mem::take(bundle);
        if is_plenty {
            self.send(bundle);
        } else {
            bundle.into_iter().for_each(|operation| self.send(vec![operation]));
        }
    }

    /// Sends to the workers as soon as there is room.
    ///
    /// A sender that finds the queue full naps until a good part of it is free, instead of being
    /// woken for every single place: that switch of threads would cost as much as the copy of a small file.
    fn send(&self, bundle: Bundle) {
        if bundle.is_empty() {
            return;
        }
        let mut sent = self.bundles.try_send(bundle);
        let mut nap = SHORTEST_NAP;
        while let Err(TrySendError::Full(bundle)) = sent {
            thread::sleep(nap);
            nap = (nap * 2).min(LONGEST_NAP);
            sent = self.bundles.try_send(bundle);
        }
        if let Err(TrySendError::Disconnected(bundle)) = sent {
            // The workers are gone, which only happens when the run is ending.
            bundle.into_iter().for_each(|operation| self.stage.end_work(operation.pair));
        }
    }

    /// Whether an entry of one tree is the root of the other one, which a bind mount can hide from
    /// every comparison of paths.
    fn is_the_other_root(&self, entry: Option<&Entry>, other: Side) -> bool {
        let (Some((source, dest)), Some(entry)) = (self.roots, entry) else { return false };
        let root = if other == Side::Source { source } else { dest };
        entry.inode == root && entry.kind == EntryKind::Directory
    }

    /// A name that can be neither carried nor left in peace.
    fn fail(&self, pair: &Pair, name: &[u8], joined: Joined<'_>, failure: Failure) {
        let subject = joined.source().or(joined.dest()).map_or(Subject::File, Subject::of);
        let effect = Effect::new(Change::of(joined.dest()), subject);
        self.stage.record(Outcome::failed(pair.path().join(name), effect, SystemTime::now(), failure));
    }

    /// A directory that could not be listed.
    fn give_up(&self, pair: &Pair, side: Side, error: io::Error) {
        if self.stage.stop.is_requested() {
            return;
        }
        if pair.source.is_root() {
            // Nothing at all was seen of a tree: that is no failed path, that is no run.
            let path = place(pair, side).tree().path().to_owned();
            return self.stage.end_run(Error::Root { path, error });
        }
        match error.kind() {
            // Mounted between the look at it and the listing, as automounts are.
            io::ErrorKind::CrossesDevices => {
                self.stage.count(&Summary { not_entered: 1, ..Summary::default() });
            }
            // Removed since it was listed: there is nothing to carry.
            io::ErrorKind::NotFound if side == Side::Source => {}
            _ => {
                let effect = Effect::new(Change::of(pair.dest_entry.as_ref()), Subject::Directory);
                let failure = Failure::error(format!("listing {}: {error}", side.name()));
                self.stage.record(Outcome::failed(pair.path(), effect, SystemTime::now(), failure));
            }
        }
    }
}

/// The directory of the pair on that side.
fn place(pair: &Pair, side: Side) -> &Place {
    match side {
        Side::Source => &pair.source,
        Side::Dest => &pair.dest,
    }
}

impl Gathering {
    fn new(pair: Arc<Pair>) -> Self {
        let (source, dest) = (Mutex::default(), Mutex::default());
        Self { pair, source, dest, error: Mutex::default(), adding: AtomicUsize::new(1) }
    }

    fn place(&self, side: Side) -> &Place {
        place(&self.pair, side)
    }

    fn add(&self, side: Side, part: io::Result<Listing>) {
        let parts = match side {
            Side::Source => &self.source,
            Side::Dest => &self.dest,
        };
        match part {
            Ok(part) => parts.lock().unwrap_or_else(PoisonError::into_inner).push(part),
            Err(error) => {
                self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((side, error));
            }
        }
    }

    /// Both listings, whole and sorted.
    fn finish(&self) -> Result<(Listing, Listing), (Side, io::Error)> {
        if let Some(error) = self.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        let whole = |side, parts: &Mutex<Vec<Listing>>| {
            let parts = std::mem::take(&mut *parts.lock().unwrap_or_else(PoisonError::into_inner));
            let mut listing = Listing::merge(parts).map_err(|error| (side, error))?;
            listing.sort();
            Ok(listing)
        };
        Ok((whole(Side::Source, &self.source)?, whole(Side::Dest, &self.dest)?))
    }
}

impl Sorted for Listing {
    fn count(&self) -> usize {
        self.len()
    }

    fn get(&self, index: usize) -> (&[u8], &Entry) {
        self.get(index)
    }
}
