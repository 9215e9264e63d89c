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
use std::sync::Arc;
use std::time::SystemTime;

use rayon::Scope;

use super::candidates::Candidate;
use super::classify::{Rules, classify};
use super::dispatch::Dispatch;
use super::gather::Gathering;
use super::join::{Sorted, join};
use super::operation::{Bundle, Carry, Task};
use super::pair::{Pair, Stands};
use super::roots::Roots;
use super::stage::Stage;
use super::{Error, Trees};
use crate::model::{Change, Decision, Effect, Entry, Failure, Joined, Name, Outcome, Side, Subject, Summary};
use crate::tree::{Listing, Part, is_temporary_for};

/// The stage's own state.
pub(super) struct Scan<'a> {
    stage: &'a Stage<'a>,
    rules: Rules,
    /// Whether temporaries at the destination are leftovers: only who holds the lock can know.
    sweep: bool,
    dispatch: Dispatch<'a>,
    roots: Roots,
}

const OTHER_ROOT: &str = "the other tree's root lies here: a tree cannot be synced into itself";

/// What the comparison of one directory has found so far.
#[derive(Default)]
struct Found {
    seen: Summary,
    bundle: Bundle,
    candidates: Vec<Candidate>,
    /// Names that may go, directories among them.
    going: usize,
    /// Temporaries of earlier runs.
    leftovers: Vec<Name>,
}

impl Found {
    /// Takes the temporary that may be the beginning of that file, which is then not swept.
    fn leftover_for(&mut self, target: &[u8], is_continued: bool) -> Option<Name> {
        let mut leftovers = self.leftovers.iter().filter(|_| is_continued);
        let index = leftovers.position(|name| is_temporary_for(name, target))?;
        Some(self.leftovers.swap_remove(index))
    }
}

impl<'a> Scan<'a> {
    /// Fails where a root cannot be told from the other tree's directories.
    pub(super) fn new(stage: &'a Stage<'a>, trees: &Trees, dispatch: Dispatch<'a>) -> Result<Self, Error> {
        let sweep = stage.options.sweep && !stage.options.dry_run;
        let roots = Roots::of(trees)?;
        Ok(Self { stage, rules: stage.options.rules, sweep, dispatch, roots })
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
        let stands_on = (pair.source_entry().is_some(), pair.dest_entry().is_some());
        let gathering = Arc::new(Gathering::new(pair));
        if stands_on.0 {
            self.list(scope, &gathering, Side::Source);
        }
        if stands_on.1 {
            self.list(scope, &gathering, Side::Dest);
        }
        self.added(scope, &gathering);
    }

    fn list<'s>(&'s self, scope: &Scope<'s>, gathering: &Arc<Gathering>, side: Side) {
        let place = gathering.place(side);
        let go_on = || !self.stage.stop.is_requested();
        let listing = place.open().and_then(|dir| {
            Part::read(&dir, place.is_root(), go_on, |unseen| {
                gathering.begin();
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
        if !gathering.end() {
            return;
        }
        let pair = Arc::clone(&gathering.pair);
        match gathering.finish() {
            Ok((source, dest)) => self.compare(scope, &pair, &source, &dest),
            Err((side, error)) => self.give_up(scope, gathering, side, error),
        }
        self.stage.end_work(pair);
    }

    /// Joins the two listings and sends on what comes of it.
    fn compare<'s>(&'s self, scope: &Scope<'s>, pair: &Arc<Pair>, source: &Listing, dest: &Listing) {
        if source.is_log_dir() || dest.is_log_dir() {
            pair.mark_kept();
            return self.stage.count(&Summary { not_entered: 1, ..Summary::default() });
        }
        let mut found = Found { leftovers: self.leftovers(dest), ..Found::default() };
        if self.sweep && dest.is_empty() && self.stage.looks_half_made(pair) {
            pair.mark_half_made();
        }
        if pair.is_to_be_made() {
            self.dispatch.plan(pair, Task::MakeDirectory, &mut found.bundle);
        }
        let mut filter = self.stage.options.filter.in_directory(|| pair.path());
        for (name, joined) in join(source, dest) {
            if filter.excludes(name, joined) {
                found.seen.excluded += 1;
            } else {
                found.seen.add_listed(joined);
                self.decide(scope, pair, name, joined, &mut found);
            }
        }
        for name in std::mem::take(&mut found.leftovers) {
            self.dispatch.plan(pair, Task::Sweep(name), &mut found.bundle);
        }
        let stays_in_use =
            dest.has_open_files() || !(self.stage.options.sweep || dest.temporaries().next().is_none());
        if found.going < dest.len() || stays_in_use {
            pair.mark_kept();
        }
        self.dispatch.send_bundle(found.bundle);
        self.stage.collect(pair, found.candidates);
        self.stage.count(&found.seen);
    }

    /// Temporaries that nobody is at, as far as the pair's lock can tell.
    fn leftovers(&self, dest: &Listing) -> Vec<Name> {
        let all = dest.temporaries().filter(|name| self.sweep && !self.stage.temporaries.made(name));
        all.cloned().collect()
    }

    fn decide<'s>(
        &'s self,
        scope: &Scope<'s>,
        pair: &Arc<Pair>,
        name: &[u8],
        joined: Joined<'_>,
        found: &mut Found,
    ) {
        let (source, dest) = (joined.source(), joined.dest());
        let seen = &mut found.seen;
        if source.is_some_and(|source| source.links > 1 && source.file_len().is_some()) {
            seen.hard_linked += 1;
        }
        let decision = match self.roots.meet(pair, joined) {
            true => {
                self.stage.evidence.roots_are_nested();
                return self.fail(pair, name, joined, Failure::error(OTHER_ROOT.to_owned()));
            }
            false => classify(joined, &self.rules),
        };
        let arrives = matches!(decision, Decision::Act(_) | Decision::InSync { .. } | Decision::Descend);
        if let Some(source) = source.filter(|_| !arrives) {
            self.stage.stays_behind(scope, &pair.source, name, source);
        }
        match (decision, source) {
            (Decision::Act(action), Some(source)) => {
                let (name, source, dest) = (Name::new(name), source.clone(), dest.cloned());
                let is_continued = self.sweep && self.stage.options.continues(source.file_len());
                let leftover = found.leftover_for(&name, is_continued);
                let task = Task::Carry(Carry { name, source, dest, action, leftover });
                self.dispatch.plan(pair, task, &mut found.bundle);
            }
            (Decision::Descend, _) => self.descend(scope, pair, name, joined),
            (Decision::InSync { close }, _) => {
                seen.in_sync += 1;
                seen.close_mtimes += u64::from(close);
            }
            (Decision::KeepDest, _) => seen.newer_at_dest += 1,
            (Decision::Extra, _) if self.stage.options.delete_missing.is_some() => {
                self.consider(scope, pair, name, joined, found);
            }
            // Nothing is acted on without a source.
            (Decision::Extra | Decision::Act(_), _) => seen.only_at_dest += 1,
            (Decision::SkipYoung, _) => seen.too_young += 1,
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

    /// What only the destination has: a file or symlink may go, a directory if nothing in it stays.
    fn consider<'s>(
        &'s self,
        scope: &Scope<'s>,
        pair: &Arc<Pair>,
        name: &[u8],
        joined: Joined<'_>,
        found: &mut Found,
    ) {
        found.going += 1;
        match joined.dest().filter(|dest| dest.is_leaf()) {
            Some(entry) => {
                found.candidates.push(Candidate { name: Name::new(name), entry: entry.clone() });
            }
            None => self.descend(scope, pair, name, joined),
        }
    }

    /// Spawns the task that goes on with a directory.
    fn descend<'s>(&'s self, scope: &Scope<'s>, pair: &Arc<Pair>, name: &[u8], joined: Joined<'_>) {
        let Some(stands) = Stands::new(joined.source().cloned(), joined.dest().cloned()) else { return };
        // Until its turn comes it is a name and two entries: there may be millions of them in one directory.
        let (above, name) = (Arc::clone(pair), Name::new(name));
        pair.begin();
        scope.spawn(move |scope| self.visit(scope, above.child(&name, stands)));
    }

    /// A name that can be neither carried nor left in peace.
    fn fail(&self, pair: &Pair, name: &[u8], joined: Joined<'_>, failure: Failure) {
        let subject = joined.source().or(joined.dest()).map_or(Subject::File, Subject::of);
        let effect = Effect::new(Change::of(joined.dest()), subject);
        self.stage.record(Outcome::failed(pair.path().join(name), effect, SystemTime::now(), failure));
    }

    /// A directory that could not be listed: what is in it is unknown, so it stays.
    fn give_up<'s>(&'s self, scope: &Scope<'s>, gathering: &Gathering, side: Side, error: io::Error) {
        let pair = &gathering.pair;
        pair.mark_kept();
        if self.stage.stop.is_requested() {
            return;
        }
        let place = gathering.place(side);
        if place.is_root() {
            // Nothing at all was seen of a tree: that is no failed path, that is no run.
            return self.stage.end_run(Error::Root { path: place.tree().path().to_owned(), error });
        }
        if let (Side::Dest, Some(source), Some((above, name))) =
            (side, pair.source_entry(), pair.source.above())
        {
            // Through a handle of its own, as the one of this pair has been read.
            self.stage.stays_behind(scope, above, name, source);
        }
        match error.kind() {
            // Mounted between the look at it and the listing, as automounts are.
            io::ErrorKind::CrossesDevices => {
                self.stage.count(&Summary { not_entered: 1, ..Summary::default() });
            }
            // Removed since it was listed: there is nothing to carry, or to delete.
            io::ErrorKind::NotFound if side == Side::Source || pair.is_at_dest_only() => {}
            _ => {
                let effect = Effect::new(Change::of(pair.dest_entry()), Subject::Directory);
                let failure = Failure::error(format!("listing {}: {error}", side.name()));
                self.stage.record(Outcome::failed(pair.path(), effect, SystemTime::now(), failure));
            }
        }
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
