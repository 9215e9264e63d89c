//! Making a directory when the first thing in it needs it, and finishing it after the last.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use super::Done;
use super::dress::Wear;
use super::step::{Doing, Halt, Step};
use crate::model::{Change, EntryKind, Failure, Outcome, Subject};
use crate::pipeline::pair::Pair;
use crate::pipeline::stage::Stage;
use crate::tree::{Freshness, Opened, set_mtime};

/// While it is being filled we must be able to get in, whatever mode it will have.
const OURS: u32 = 0o700;

impl Stage<'_> {
    /// Carries the directory itself.
    pub(super) fn make_directory(&self, pair: &Pair) -> Step<Done> {
        self.need_directory(pair)?;
        Ok(Done::Changed {
            change: Change::Create,
            subject: Subject::Directory,
            size_before: None,
            size_after: None,
            md5_before: None,
            md5_after: None,
            bytes: 0,
        })
    }

    /// The pair's directory at the destination, made if need be and opened.
    pub(super) fn open_dest<'p>(&self, pair: &'p Pair) -> Step<Opened<'p>> {
        self.need_directory(pair)?;
        pair.dest.open().doing("opening the destination directory")
    }

    /// Makes the directory, and those above it, unless they are there. Whoever comes first does it;
    /// where it failed, it has failed for everything below.
    fn need_directory(&self, pair: &Pair) -> Step<()> {
        let mut missing = Vec::new();
        let mut next = Some(pair);
        while let Some(pair) = next.filter(|pair| pair.dest_entry.is_none() && pair.made.get().is_none()) {
            missing.push(pair);
            next = pair.above.as_deref();
        }
        for pair in missing.into_iter().rev() {
            let above_failed = pair
                .above
                .as_ref()
                .and_then(|above| above.made.get()?.as_ref().err());
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
            Some(Ok(())) | None => Ok(()),
        }
    }

    fn make(&self, pair: &Pair) -> Result<(), Failure> {
        let Some((above, name)) = pair.dest.above() else {
            return Ok(());
        };
        let result = (|| {
            if let Some(above) = &pair.above {
                above.touch();
            }
            let dir = above.open()?;
            pair.touch();
            match dir.create_dir(name, pair.source_entry.mode & 0o777 | OURS) {
                // Made by somebody else since the scan. What it holds is looked at when it is met.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    match dir.look(name, Freshness::Server)?.map(|entry| entry.kind) {
                        Some(EntryKind::Directory) => Ok(()),
                        _ => Err(error),
                    }
                }
                result => result,
            }
        })();
        result.map_err(|error| Failure::error(format!("making the directory {}: {error}", pair.path())))
    }

    /// Everything in the directory is done: gives it its owner, mode and mtime, where it was changed.
    pub(in crate::pipeline) fn finish_directory(&self, pair: &Arc<Pair>) {
        let is_there = pair.dest_entry.is_some() || matches!(pair.made.get(), Some(Ok(())));
        if !pair.is_touched() || !is_there {
            return;
        }
        let started = SystemTime::now();
        if let Err(Halt::Failed(failure)) = self.finish(pair) {
            self.record(Outcome::failed(
                pair.path(),
                Change::Update,
                Subject::Directory,
                started,
                failure,
            ));
        }
    }

    fn finish(&self, pair: &Pair) -> Step<()> {
        let dir = pair.dest.open().doing("opening the directory to finish it")?;
        let source = &pair.source_entry;
        let mtime = match &pair.dest_entry {
            // Newest wins here too: what was changed there before us may be younger than the source's last change.
            Some(dest) => source.mtime.max(dest.mtime),
            None => {
                let now = dir.look_at_self().doing("looking at the directory")?;
                self.dress(&*dir, Wear::of(&now), Wear::wanted(self.options, source, None))?;
                source.mtime
            }
        };
        let set = set_mtime(&*dir, mtime);
        let set = if pair.dest_entry.is_some() {
            self.tolerate_directory_time(set)
        } else {
            set
        };
        set.doing("setting the directory's mtime")
    }
}
