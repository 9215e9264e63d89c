//! Making a directory when the first thing in it needs it, and finishing it after the last.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use super::Done;
use super::dress::{Inherits, Since, Wear};
use super::step::{Doing, Halt, Step};
use crate::model::{Change, Effect, Entry, EntryKind, Failure, Outcome, Subject, Verdict};
use crate::pipeline::pair::{Made, Pair, Stands};
use crate::pipeline::stage::Stage;
use crate::tree::{Attributes, Dir, Freshness, Listing, Opened, Part, is_elsewhere, set_mode, set_mtime};

/// While it is being filled we must be able to get in, whatever mode it will have.
const OURS: u32 = 0o700;

/// The permission bits of a directory that has been made and is still to get an owner, attributes or set-id bits: ours alone,
/// and sticky, which says nothing in such a one. Nobody makes one like that, so the next run knows it should this one be killed.
const HALF_MADE: u32 = 0o1700;

impl Stage<'_> {
    /// Carries the directory itself.
    pub(super) fn make_directory(&self, pair: &Pair) -> Step<Done> {
        self.need_directory(pair)?;
        Ok(Done::Recorded)
    }

    /// The pair's directory at the destination, made if need be and opened.
    pub(super) fn open_dest<'p>(&self, pair: &'p Pair) -> Step<Opened<'p>> {
        self.need_directory(pair)?;
        pair.dest.open().at_dest("opening the destination directory")
    }

    /// Makes the directory, and those above it, unless they are there. Whoever comes first does it;
    /// where it failed, it has failed for everything below.
    fn need_directory(&self, pair: &Pair) -> Step<()> {
        let mut missing = Vec::new();
        let mut next = Some(pair);
        while let Some(pair) = next.filter(|pair| pair.is_to_be_made() && pair.made.get().is_none()) {
            missing.push(pair);
            next = pair.above.as_deref();
        }
        for pair in missing.into_iter().rev() {
            let above_failed = pair.above.as_ref().and_then(|above| above.made.get()?.as_ref().err());
            let made = pair.made.get_or_init(|| match above_failed {
                Some(failure) => Err(failure.clone()),
                None => self.make(pair),
            });
            if let Err(failure) = made {
                return Err(Halt::Failed(failure.clone()));
            }
        }
        match pair.made.get() {
            Some(Err(failure)) => Err(Halt::Failed(failure.clone())),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// Whoever makes it writes that down: the run may end before the directory's own turn comes.
    fn make(&self, pair: &Pair) -> Result<Made, Failure> {
        let started = SystemTime::now();
        let change = if pair.is_half_made() { Change::Update } else { Change::Create };
        if change == Change::Create {
            pair.above.iter().for_each(|above| above.touch());
            pair.touch();
        }
        let made = self.make_and_dress(pair).map_err(|halt| match halt {
            Halt::Failed(failure) => Failure {
                reason: format!("making the directory {}: {}", pair.path(), failure.reason),
                ..failure
            },
            _ => Failure::deferred("the run is ending"),
        })?;
        if made != Made::Found {
            pair.touch();
            let (path, effect) = (pair.path(), Effect::new(change, Subject::Directory));
            self.record(Outcome { path, effect, started, ended: SystemTime::now(), verdict: Verdict::Done });
        }
        Ok(made)
    }

    /// Owner and mode are set at once, but for the bits that let us in: a run that is killed hours
    /// later must not leave a directory that nobody ever corrects. One that is killed in between leaves a mark.
    fn make_and_dress(&self, pair: &Pair) -> Step<Made> {
        let (Some((above, name)), Some(source)) = (pair.dest.above(), pair.source_entry()) else {
            return Ok(Made::Found);
        };
        let parent = above.open().at_dest("opening the directory above")?;
        let wanted = Wear::wanted(self.options, source, None).with(self.attributes_of_source(pair)?);
        let inherits = match &pair.above {
            Some(above) => self.inherits(above, &parent)?,
            None => self.inherits_nothing(),
        };
        if !pair.is_half_made() && !self.create(&parent, name, &wanted, inherits)? {
            return Ok(Made::Found);
        }
        match self.dress_made(pair, &parent, name, wanted, inherits) {
            Ok((dir, made)) => {
                pair.dest.keep(dir);
                Ok(made)
            }
            Err(Halt::Stopped) => Err(Halt::Failed(Failure::error(
                "it was made, and the run had to end before it had its owner and mode".to_owned(),
            ))),
            Err(halt) if pair.is_half_made() || self.stop.forbids_changes() => Err(halt),
            Err(halt) => Err(unmake(&parent, name, halt)),
        }
    }

    /// `false`: somebody else has made one since the scan. What it holds is looked at when it is met.
    fn create(&self, parent: &Dir, name: &[u8], wanted: &Wear, inherits: Inherits) -> Step<bool> {
        self.may_change()?;
        match parent.create_dir(name, self.first_mode(wanted, inherits)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let found = parent.look(name, Freshness::Server).at_dest("looking at what is there")?;
                found.iter().for_each(|entry| self.evidence.met(entry));
                match found.map(|entry| entry.kind) {
                    Some(EntryKind::Directory) => Ok(false),
                    Some(kind) => {
                        let source = EntryKind::Directory.describe();
                        Err(Halt::Failed(Failure::conflict(source, kind.describe())))
                    }
                    None => Err(error).at_dest("creating it"),
                }
            }
            created => created.at_dest("creating it").map(|()| true),
        }
    }

    /// The mode that a directory is made with.
    fn first_mode(&self, wanted: &Wear, inherits: Inherits) -> u32 {
        match wanted.comes_with_creation(self.options, inherits) {
            true => wanted.mode | OURS,
            false => HALF_MADE,
        }
    }

    /// Whether a directory may be the one that we have just made. Who may write to the one above it may have moved
    /// another to its name, maybe one of ours that nobody else may look into.
    fn is_as_made(&self, dir: &Dir, has: &Entry, first_mode: u32) -> Step<bool> {
        if has.mode & !0o2000 == first_mode || is_marked(first_mode) && is_marked(has.mode) {
            return Ok(true);
        }
        // Some file systems have modes of their own. One with nothing in it gives nothing away.
        let mut is_small = true;
        let part = Part::read(dir, false, || !self.stop.is_requested(), |_| is_small = false);
        Ok(part.at_dest("listing it").map(|part| Listing::of(vec![part]).is_empty())? && is_small)
    }

    /// Whether an empty directory is what a run leaves that was killed right after it had made it: marked, and still
    /// ours or just given to its owner. Without us it would stay so for ever, since a difference in owner or mode alone
    /// is no work.
    pub(in crate::pipeline) fn looks_half_made(&self, pair: &Pair) -> bool {
        let (Stands::OnBoth { source, dest }, Some(_)) = (&pair.stands, &pair.above) else { return false };
        let wanted = Wear::wanted(self.options, source, None);
        let is_ours = dest.uid == self.options.process_owner.0;
        is_marked(dest.mode)
            && !is_marked(wanted.mode | OURS)
            && (is_ours || self.options.carry_owner && dest.uid == source.uid)
    }

    /// A directory that is gone or replaced since the scan is not made: whoever is let in by an ACL is unknown.
    fn attributes_of_source(&self, pair: &Pair) -> Step<Attributes> {
        match pair.source.open() {
            Err(error) if is_elsewhere(&error) => {
                Err(Halt::Failed(Failure::deferred("changed while being copied")))
            }
            opened => self.attributes_at_source(&*opened.at_source("opening the source directory")?),
        }
    }

    /// Gives a directory that this run has made, or found half-made, what it shall have while it is being filled.
    fn dress_made(
        &self,
        pair: &Pair,
        parent: &Dir,
        name: &[u8],
        wanted: Wear,
        inherits: Inherits,
    ) -> Step<(Dir, Made)> {
        let dir = parent.open_dir(name).at_dest("opening it")?;
        let has = dir.look_at_self(Freshness::Cached).at_dest("looking at it")?;
        let is_the_one = match pair.dest_entry() {
            Some(half_made) => has.is_same_version_as(half_made),
            None => self.is_as_made(&dir, &has, self.first_mode(&wanted, inherits))?,
        };
        if !is_the_one {
            return Ok((dir, Made::Found)); // Somebody has begun to use it, or has put theirs in its place.
        }
        let mut mode = wanted.attributes.mode_without_acl(wanted.mode);
        if has.uid == self.options.process_owner.0 || pair.is_half_made() {
            let may_have_some = inherits.acl || pair.is_half_made();
            let inherited =
                if may_have_some { self.attributes_at_dest(&dir)? } else { Attributes::default() };
            let not_ours = OURS & !wanted.mode;
            let ours = Wear { mode: wanted.mode | OURS, ..wanted };
            mode = self.dress(&dir, since(pair), Wear::of(&has).with(inherited), &ours)? & !not_ours;
        } else if is_marked(has.mode) {
            // The server squashes root, or somebody has put theirs in its place. The mark has to go, the rest comes last.
            self.may_change()?;
            let mode = wanted.mode_at_first(self.options, inherits) | OURS;
            set_mode(&dir, mode).at_dest("setting the mode")?;
        }
        Ok((dir, Made::ByUs { inode: has.inode, mode }))
    }

    /// Everything in the directory is done: gives it its final mode and its mtime, where it was changed.
    pub(in crate::pipeline) fn finish_directory(&self, pair: &Arc<Pair>) {
        if !pair.is_touched() {
            return;
        }
        let started = SystemTime::now();
        let finished = self.may_change().and_then(|()| self.finish(pair)).map_err(|halt| match halt {
            Halt::Stopped => Halt::Failed(Failure::error(
                "what was done in it is done, and the run had to end before the directory had its mtime"
                    .to_owned(),
            )),
            halt => halt,
        });
        if let Err(Halt::Failed(failure)) = finished {
            let effect = Effect::new(Change::Update, Subject::Directory);
            self.record(Outcome::failed(pair.path(), effect, started, failure));
        }
    }

    fn finish(&self, pair: &Pair) -> Step<()> {
        let open = || pair.dest.open().at_dest("opening the directory to finish it");
        match (pair.source_entry(), pair.made.get()) {
            (Some(source), Some(Ok(Made::ByUs { inode, mode }))) => {
                self.finish_made(&*open()?, since(pair), source, (*inode, *mode))
            }
            _ if pair.dest_entry().is_some() => {
                let dir = open()?;
                self.may_change()?;
                let set = set_mtime(&*dir, pair.mtime());
                self.tolerate_directory_time(set).at_dest("setting the directory's mtime")
            }
            _ => Ok(()),
        }
    }

    fn finish_made(&self, dir: &Dir, since: Since, source: &Entry, (inode, mode): (u64, u32)) -> Step<()> {
        let has = dir.look_at_self(Freshness::Cached).at_dest("looking at the directory")?;
        if has.inode != inode {
            return Ok(()); // Not the one that we made: somebody has put theirs in its place.
        }
        // Its attributes it has since it was made; an ACL keeps its say, with the mode's group bits as the mask.
        self.dress(dir, since, Wear::of(&has), &Wear { mode, ..Wear::of(source) })?;
        self.may_change()?;
        set_mtime(dir, source.mtime).at_dest("setting the directory's mtime")
    }
}

/// A refusal on what an earlier run has made says nothing of what this one makes.
fn since(pair: &Pair) -> Since {
    if pair.is_half_made() { Since::Before } else { Since::ThisRun }
}

/// Whether a directory has the mode of one that is half made. A setgid bit may be handed down by the one above, and its
/// default ACL may take some of the owner's rights.
fn is_marked(mode: u32) -> bool {
    mode & !0o2700 == HALF_MADE & !0o700
}

/// Removes a directory that could not be dressed: the next run would find it there and leave its owner and mode
/// as they are for ever. It is empty, or somebody has put something in it and it stays.
fn unmake(parent: &Dir, name: &[u8], halt: Halt) -> Halt {
    match (parent.remove_dir(name), halt) {
        (Err(error), Halt::Failed(failure)) => Halt::Failed(Failure {
            reason: format!(
                "{}; it stays without its owner and mode, removing it failed: {error}",
                failure.reason
            ),
            ..failure
        }),
        (_, halt) => halt,
    }
}
