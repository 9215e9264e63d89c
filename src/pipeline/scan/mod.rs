//! Scan: lists the directories of both trees side by side and sends on what has to be done.
//!
//! There is one task for each directory, on a work-stealing pool. A task lists both sides, joins
//! and classifies their names, sends the operations into the bounded queue (a full queue slows it
//! down) and spawns a task for each directory below. The listings of a very large directory are
//! finished by follow-up tasks, the last of which goes on with the directory. No task ever waits
//! for another.
//!
//! A directory that cannot be listed completely is one failed path, and nothing is concluded from
//! what was seen of it.

mod pending_listings;
mod roots;
mod skipped;

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use rayon::Scope;

use self::pending_listings::PendingListings;
use self::roots::Roots;
use super::classify::classify;
use super::completion::Completion;
use super::context::Context;
use super::error::Error;
use super::half_made::looks_half_made;
use super::join::{Sorted, join};
use super::node::{Candidate, DirNode};
use super::operation::{Bundle, CarryEntry, Task};
use super::queue::Queue;
use super::trees::Trees;
use crate::model::{
    Change, Decision, Effect, Entry, Failure, Joined, Leave, Name, Outcome, Side, Subject, Summary,
};
use crate::tree::{Listing, ListingPart, is_temporary_for};

/// What the scan itself needs, beside the context.
pub(super) struct Scan<'a> {
    context: &'a Context<'a>,
    completion: &'a Completion<'a>,
    /// Whether temporaries at the destination are leftovers. Only the holder of the lock can know.
    sweep: bool,
    queue: Queue<'a>,
    roots: Roots,
}

const OTHER_ROOT: &str = "the other tree's root lies here: a tree cannot be synced into itself";

/// What the comparison of one directory has found so far.
#[derive(Default)]
struct Comparison {
    seen: Summary,
    bundle: Bundle,
    candidates: Vec<Candidate>,
    /// Names that may be deleted, directories among them.
    going: usize,
    /// Temporaries of earlier runs.
    leftovers: Vec<Name>,
}

impl Comparison {
    /// Takes the temporary that may hold the beginning of a copy of `target`, so that it is not
    /// swept.
    fn leftover_for(&mut self, target: &[u8], is_resumed: bool) -> Option<Name> {
        let mut leftovers = self.leftovers.iter().filter(|_| is_resumed);
        let index = leftovers.position(|name| is_temporary_for(name, target))?;
        Some(self.leftovers.swap_remove(index))
    }
}

impl<'a> Scan<'a> {
    /// Fails if the identity of a root cannot be found out.
    pub(super) fn new(
        context: &'a Context<'a>,
        completion: &'a Completion<'a>,
        trees: &Trees,
        queue: Queue<'a>,
    ) -> Result<Self, Error> {
        let sweep = context.options.process.holds_lock && !context.options.dry_run;
        let roots = Roots::of(trees)?;
        Ok(Self { context, completion, sweep, queue, roots })
    }

    /// Scans everything below `root`. Returns when all of it was listed and sent on.
    pub(super) fn run(&'a self, threads: usize, root: Arc<DirNode>) -> Result<(), Error> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("scan-{index}"))
            .build()
            .map_err(io::Error::other)?;
        pool.in_place_scope(|scope| scope.spawn(move |scope| self.visit(scope, root)));
        Ok(())
    }

    fn visit<'s>(&'s self, scope: &Scope<'s>, node: Arc<DirNode>) {
        if self.context.stop.is_requested() {
            return self.completion.end_work(node);
        }
        let (at_source, at_dest) = (node.source_entry().is_some(), node.dest_entry().is_some());
        let pending = Arc::new(PendingListings::new(node));
        if at_source {
            self.list(scope, &pending, Side::Source);
        }
        if at_dest {
            self.list(scope, &pending, Side::Dest);
        }
        self.added(scope, &pending);
    }

    fn list<'s>(&'s self, scope: &Scope<'s>, pending: &Arc<PendingListings>, side: Side) {
        let place = pending.place(side);
        let go_on = || !self.context.stop.is_requested();
        let listing = place.open().and_then(|dir| {
            ListingPart::read(&dir, place.is_root(), go_on, |unseen| {
                pending.begin();
                let pending = Arc::clone(pending);
                scope.spawn(move |scope| {
                    let seen = pending.place(side).open().and_then(|dir| unseen.look(&dir, go_on));
                    pending.add(side, seen);
                    self.added(scope, &pending);
                });
            })
        });
        pending.add(side, listing);
    }

    /// Counts one of the listings' tasks as done. The last one goes on with the directory.
    fn added<'s>(&'s self, scope: &Scope<'s>, pending: &PendingListings) {
        if !pending.end() {
            return;
        }
        let node = Arc::clone(&pending.node);
        match pending.finish() {
            Ok((source, dest)) => self.compare(scope, &node, &source, &dest),
            Err((side, error)) => self.give_up(scope, pending, side, error),
        }
        self.completion.end_work(node);
    }

    /// Joins the two listings and sends on what has to be done.
    fn compare<'s>(
        &'s self,
        scope: &Scope<'s>,
        node: &Arc<DirNode>,
        source: &Listing,
        dest: &Listing,
    ) {
        if source.is_log_dir() || dest.is_log_dir() {
            node.mark_kept();
            return self.context.count(&Summary { not_entered: 1, ..Summary::default() });
        }
        let mut found = Comparison { leftovers: self.leftovers(dest), ..Comparison::default() };
        if self.sweep && dest.is_empty() && looks_half_made(node, self.context.options) {
            node.mark_half_made();
        }
        if node.is_to_be_made() {
            self.queue.plan(node, Task::MakeDirectory, &mut found.bundle);
        }
        let mut selection = self.context.options.selection.in_directory(|| node.path());
        for (name, joined) in join(source, dest) {
            if selection.excludes(name, joined) {
                found.seen.excluded += 1;
            } else {
                found.seen.add_listed(joined);
                self.decide(scope, node, name, joined, &mut found);
            }
        }
        for name in std::mem::take(&mut found.leftovers) {
            self.queue.plan(node, Task::Sweep(name), &mut found.bundle);
        }
        let stays_in_use = dest.has_open_files()
            || !(self.context.options.process.holds_lock || dest.temporaries().next().is_none());
        if found.going < dest.len() || stays_in_use {
            node.mark_kept();
        }
        self.queue.send_bundle(found.bundle);
        self.completion.collect(node, found.candidates);
        self.context.count(&found.seen);
    }

    /// Temporaries that no run is using, as far as the pair's lock can tell.
    fn leftovers(&self, dest: &Listing) -> Vec<Name> {
        let all =
            dest.temporaries().filter(|name| self.sweep && !self.context.temporaries.made(name));
        all.cloned().collect()
    }

    fn decide<'s>(
        &'s self,
        scope: &Scope<'s>,
        node: &Arc<DirNode>,
        name: &[u8],
        joined: Joined<&Entry>,
        found: &mut Comparison,
    ) {
        if joined.source().is_some_and(|source| source.links > 1 && source.file_len().is_some()) {
            found.seen.hard_linked += 1;
        }
        if self.roots.is_other_root(node, joined) {
            self.context.evidence.roots_are_nested();
            return self.fail(node, name, joined, Failure::error(OTHER_ROOT.to_owned()));
        }
        let decision = classify(joined, &self.context.rules);
        let arrives = matches!(
            decision,
            Decision::Carry(_) | Decision::Descend | Decision::Leave(Leave::InSync { .. })
        );
        if let Some(source) = joined.source().filter(|_| !arrives) {
            self.note_skipped(scope, &node.source, name, source);
        }
        match decision {
            Decision::Carry(carry) => {
                let (name, carry) = (Name::new(name), carry.cloned());
                let is_resumed =
                    self.sweep && self.context.options.resumes(carry.source().file_len());
                let leftover = found.leftover_for(&name, is_resumed);
                let task = Task::Carry(CarryEntry { name, carry, leftover });
                self.queue.plan(node, task, &mut found.bundle);
            }
            Decision::Descend => self.descend(scope, node, name, joined),
            Decision::OnlyAtDest(dest) if self.context.options.deletion.is_some() => {
                self.consider(scope, node, name, dest, found);
            }
            Decision::OnlyAtDest(_) => found.seen.only_at_dest += 1,
            Decision::Leave(left) => self.completion.leave(node, name, left, &mut found.seen),
            // This was seen by the scan and not tried, so it says nothing about the destination as
            // a whole.
            Decision::Fail(failure) => {
                self.fail(node, name, joined, Failure { fault: None, ..failure });
            }
        }
    }

    /// Handles a name that only the destination has: a file or symlink may go, a directory may go
    /// if nothing in it stays.
    fn consider<'s>(
        &'s self,
        scope: &Scope<'s>,
        node: &Arc<DirNode>,
        name: &[u8],
        dest: &Entry,
        found: &mut Comparison,
    ) {
        found.going += 1;
        if dest.is_leaf() {
            found.candidates.push(Candidate { name: Name::new(name), entry: dest.clone() });
        } else {
            self.descend(scope, node, name, Joined::DestOnly(dest));
        }
    }

    /// Spawns the task for a directory below.
    fn descend<'s>(
        &'s self,
        scope: &Scope<'s>,
        node: &Arc<DirNode>,
        name: &[u8],
        joined: Joined<&Entry>,
    ) {
        // Until its turn comes the directory is kept as a name and two entries only: one directory
        // may hold millions of others.
        let (above, name, joined) = (Arc::clone(node), Name::new(name), joined.cloned());
        node.begin();
        scope.spawn(move |scope| self.visit(scope, above.child(&name, joined)));
    }

    /// Records the failure of a name that can neither be carried nor left as it is.
    fn fail(&self, node: &DirNode, name: &[u8], joined: Joined<&Entry>, failure: Failure) {
        let subject = joined.source().or(joined.dest()).map_or(Subject::File, Subject::of);
        let effect = Effect::new(Change::of(joined.dest()), subject);
        self.context.record(Outcome::failed(
            node.path().join(name),
            effect,
            SystemTime::now(),
            failure,
        ));
    }

    /// Gives up on a directory that could not be listed. What is in it is unknown, so it stays.
    fn give_up<'s>(
        &'s self,
        scope: &Scope<'s>,
        pending: &PendingListings,
        side: Side,
        error: io::Error,
    ) {
        let node = &pending.node;
        node.mark_kept();
        if self.context.stop.is_requested() {
            return;
        }
        let place = pending.place(side);
        if place.is_root() {
            // Nothing at all was seen of a tree: this is not one failed path, it ends the run.
            return self
                .context
                .end_run(Error::Root { path: place.tree().path().to_owned(), error });
        }
        if let (Side::Dest, Some(source), Some((above, name))) =
            (side, node.source_entry(), node.source.above())
        {
            // Listed anew through the directory above, because the handle of this node has been
            // read.
            self.note_skipped(scope, above, name, source);
        }
        match error.kind() {
            // Mounted after it was looked at and before it was listed, as automounts are.
            io::ErrorKind::CrossesDevices => {
                self.context.count(&Summary { not_entered: 1, ..Summary::default() });
            }
            // Removed since its name was listed: nothing is left to carry or to delete.
            io::ErrorKind::NotFound if side == Side::Source || node.is_at_dest_only() => {}
            _ => {
                let effect = Effect::new(Change::of(node.dest_entry()), Subject::Directory);
                let failure = Failure::error(format!("listing {}: {error}", side.name()));
                self.context.record(Outcome::failed(
                    node.path(),
                    effect,
                    SystemTime::now(),
                    failure,
                ));
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
