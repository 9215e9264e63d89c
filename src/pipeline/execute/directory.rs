//! Making a directory when the first entry in it needs it, and finishing it after the last one.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use super::done::Done;
use super::metadata::{Metadata, Origin};
use super::tools::Tools;
use crate::model::{
    Change, Effect, Entry, EntryKind, Failure, Outcome, Subject, Timestamp, Verdict,
};
use crate::pipeline::half_made::{HALF_MADE, OURS, is_marked};
use crate::pipeline::halt::{Doing, Halt, OpResult};
use crate::pipeline::node::{DirNode, Inherits, Made};
use crate::tree::{
    Dir, Freshness, Listing, ListingPart, OpenDir, Xattrs, is_elsewhere, set_mode, set_mtime,
};

impl Tools<'_> {
    /// Carries the directory itself.
    pub(super) fn make_directory(&self, node: &DirNode) -> OpResult<Done> {
        self.need_directory(node)?;
        Ok(Done::Recorded)
    }

    /// Opens the node's destination directory, and makes it first if need be.
    pub(super) fn open_dest<'p>(&self, node: &'p DirNode) -> OpResult<OpenDir<'p>> {
        self.need_directory(node)?;
        node.dest.open().at_dest("opening the destination directory")
    }

    /// Makes the directory and those above it, unless they exist. The first worker that needs a
    /// directory makes it. If that fails, it has failed for everything below.
    fn need_directory(&self, node: &DirNode) -> OpResult<()> {
        let mut missing = Vec::new();
        let mut next = Some(node);
        while let Some(node) = next.filter(|node| node.is_to_be_made() && node.made.get().is_none())
        {
            missing.push(node);
            next = node.above.as_deref();
        }
        for node in missing.into_iter().rev() {
            let above_failed =
                node.above.as_ref().and_then(|above| above.made.get()?.as_ref().err());
            let made = node.made.get_or_init(|| match above_failed {
                Some(failure) => Err(failure.clone()),
                None => self.make(node),
            });
            if let Err(failure) = made {
                return Err(Halt::Failed(failure.clone()));
            }
        }
        match node.made.get() {
            Some(Err(failure)) => Err(Halt::Failed(failure.clone())),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// Makes the directory and records that at once: the run may end before the directory's own
    /// turn comes.
    fn make(&self, node: &DirNode) -> Result<Made, Failure> {
        let started = SystemTime::now();
        let change = if node.is_half_made() { Change::Update } else { Change::Create };
        if change == Change::Create {
            node.above.iter().for_each(|above| above.mark_changed());
            node.mark_changed();
        }
        let made = self.make_and_apply(node).map_err(|halt| match halt {
            Halt::Failed(failure) => Failure {
                reason: format!("making the directory {}: {}", node.path(), failure.reason),
                ..failure
            },
            _ => Failure::deferred("the run is ending"),
        })?;
        if made != Made::Found {
            node.mark_changed();
            let (path, effect) = (node.path(), Effect::new(change, Subject::Directory));
            self.context.record(Outcome {
                path,
                effect,
                started,
                ended: SystemTime::now(),
                verdict: Verdict::Done,
            });
        }
        Ok(made)
    }

    /// Creates the directory, and sets its owner and mode at once, except for the bits that give us
    /// access. A run that is killed hours later must not leave a directory that nobody ever
    /// corrects. A run that is killed in between leaves a mark.
    fn make_and_apply(&self, node: &DirNode) -> OpResult<Made> {
        let (Some((above, name)), Some(source)) = (node.dest.above(), node.source_entry()) else {
            return Ok(Made::Found);
        };
        let parent = above.open().at_dest("opening the directory above")?;
        let wanted =
            Metadata::wanted(self.context.options, source, None).with(self.xattrs_of_source(node)?);
        let inherits = match &node.above {
            Some(above) => self.inherits(above, &parent)?,
            None => self.inherits_nothing(),
        };
        if !node.is_half_made() && !self.create(&parent, name, &wanted, inherits)? {
            return Ok(Made::Found);
        }
        match self.apply_to_made(node, &parent, name, wanted, inherits) {
            Ok((dir, made)) => {
                node.dest.keep(dir);
                Ok(made)
            }
            Err(Halt::Stopped) => Err(Halt::Failed(Failure::error(
                "it was made, and the run had to end before it had its owner and mode".to_owned(),
            ))),
            Err(halt) if node.is_half_made() || self.context.stop.forbids_changes() => Err(halt),
            Err(halt) => Err(unmake(&parent, name, halt)),
        }
    }

    /// Creates the directory. Returns `false` if somebody else has made one since the scan. What
    /// that one holds is looked at when an operation gets to it.
    fn create(
        &self,
        parent: &Dir,
        name: &[u8],
        wanted: &Metadata,
        inherits: Inherits,
    ) -> OpResult<bool> {
        self.context.may_change()?;
        match parent.create_dir(name, self.first_mode(wanted, inherits)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let found =
                    parent.look(name, Freshness::Server).at_dest("looking at what is there")?;
                found.iter().for_each(|entry| self.context.evidence.aliased(entry));
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

    /// The mode with which a directory is created.
    fn first_mode(&self, wanted: &Metadata, inherits: Inherits) -> u32 {
        match wanted.comes_with_creation(self.context.options, inherits) {
            true => wanted.mode | OURS,
            false => HALF_MADE,
        }
    }

    /// Whether a directory may be the one that we have just made. Anybody who may write to the
    /// directory above may have moved another one to its name, perhaps one of ours that nobody else
    /// may read.
    fn is_as_made(&self, dir: &Dir, has: &Entry, first_mode: u32) -> OpResult<bool> {
        if has.mode & !0o2000 == first_mode || is_marked(first_mode) && is_marked(has.mode) {
            return Ok(true);
        }
        // Some file systems have modes of their own. An empty directory gives nothing away.
        let mut is_small = true;
        let part = ListingPart::read(
            dir,
            false,
            || !self.context.stop.is_requested(),
            |_| is_small = false,
        );
        Ok(part.at_dest("listing it").map(|part| Listing::of(vec![part]).is_empty())? && is_small)
    }

    /// The attributes of the source directory. If it is gone or was replaced since the scan, the
    /// directory is not made, because it is not known to whom an ACL gives access.
    fn xattrs_of_source(&self, node: &DirNode) -> OpResult<Xattrs> {
        match node.source.open() {
            Err(error) if is_elsewhere(&error) => {
                Err(Halt::Failed(Failure::deferred("changed while being copied")))
            }
            opened => self.xattrs_at_source(&*opened.at_source("opening the source directory")?),
        }
    }

    /// Applies to a directory that this run has made, or found half-made, the metadata that it is
    /// to have while it is being filled.
    fn apply_to_made(
        &self,
        node: &DirNode,
        parent: &Dir,
        name: &[u8],
        wanted: Metadata,
        inherits: Inherits,
    ) -> OpResult<(Dir, Made)> {
        let dir = parent.open_dir(name).at_dest("opening it")?;
        let has = dir.look_at_self(Freshness::Cached).at_dest("looking at it")?;
        let is_the_one = match node.dest_entry() {
            Some(half_made) => has.is_same_version_as(half_made),
            None => self.is_as_made(&dir, &has, self.first_mode(&wanted, inherits))?,
        };
        if !is_the_one {
            // Somebody has begun to use it, or has put another one in its place.
            return Ok((dir, Made::Found));
        }
        let mut mode = wanted.xattrs.mode_without_acl(wanted.mode);
        if has.uid == self.context.options.process.owner.uid || node.is_half_made() {
            let may_have_some = inherits.acl || node.is_half_made();
            let inherited =
                if may_have_some { self.xattrs_at_dest(&dir)? } else { Xattrs::default() };
            let not_ours = OURS & !wanted.mode;
            let ours = Metadata { mode: wanted.mode | OURS, ..wanted };
            mode =
                self.apply_metadata(&dir, origin(node), Metadata::of(&has).with(inherited), &ours)?
                    & !not_ours;
        } else if is_marked(has.mode) {
            // The server squashes root, or somebody has put another directory in its place. The
            // mark has to go now; the rest comes last.
            self.context.may_change()?;
            let mode = wanted.mode_at_first(self.context.options, inherits) | OURS;
            set_mode(&dir, mode).at_dest("setting the mode")?;
        }
        Ok((dir, Made::ByUs { inode: has.inode, mode }))
    }

    /// Finishes a directory when everything in it is done. If it was changed, it gets its final
    /// mode and its mtime.
    pub(in crate::pipeline) fn finish_directory(&self, node: &Arc<DirNode>) {
        if !node.is_changed() {
            return;
        }
        let started = SystemTime::now();
        let finished =
            self.context.may_change().and_then(|()| self.finish(node)).map_err(|halt| match halt {
                Halt::Stopped => Halt::Failed(Failure::error(
                    "what was done in it is done, and the run had to end before the directory had its mtime"
                        .to_owned(),
                )),
                halt => halt,
            });
        if let Err(Halt::Failed(failure)) = finished {
            let effect = Effect::new(Change::Update, Subject::Directory);
            self.context.record(Outcome::failed(node.path(), effect, started, failure));
        }
    }

    fn finish(&self, node: &DirNode) -> OpResult<()> {
        let open = || node.dest.open().at_dest("opening the directory to finish it");
        match (node.source_entry(), node.made.get()) {
            (Some(source), Some(Ok(made @ Made::ByUs { .. }))) => {
                self.finish_made(&*open()?, origin(node), source, *made)
            }
            _ if node.dest_entry().is_some() => {
                let dir = open()?;
                self.context.may_change()?;
                self.set_directory_mtime(&dir, node.mtime())
            }
            _ => Ok(()),
        }
    }

    /// Sets the mtime of a directory that existed before this run.
    pub(in crate::pipeline) fn set_directory_mtime(
        &self,
        dir: &Dir,
        mtime: Timestamp,
    ) -> OpResult<()> {
        self.tolerate_directory_time(set_mtime(dir, mtime)).at_dest("setting the directory's mtime")
    }

    fn finish_made(&self, dir: &Dir, origin: Origin, source: &Entry, made: Made) -> OpResult<()> {
        let Made::ByUs { inode, mode } = made else { return Ok(()) };
        let has = dir.look_at_self(Freshness::Cached).at_dest("looking at the directory")?;
        if has.inode != inode {
            // It is not the one that we made: somebody has put another one in its place.
            return Ok(());
        }
        // The directory has had its xattrs since it was made. Its ACL stays in force, with the
        // group bits of the mode as the mask.
        self.apply_metadata(
            dir,
            origin,
            Metadata::of(&has),
            &Metadata { mode, ..Metadata::of(source) },
        )?;
        self.context.may_change()?;
        set_mtime(dir, source.mtime).at_dest("setting the directory's mtime")
    }
}

/// A refusal for a directory that an earlier run has made says nothing about what this run makes.
fn origin(node: &DirNode) -> Origin {
    if node.is_half_made() { Origin::Existing } else { Origin::Created }
}

/// Removes a directory to which the metadata could not be applied. Otherwise the next run would
/// find it there and leave its owner and mode as they are for ever. If somebody has put something
/// in it, it stays.
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
