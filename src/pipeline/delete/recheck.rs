//! Recheck: the last look before a deletion. Is a candidate still what it was taken for, on both
//! sides?

use std::io;

use super::candidates::Batch;
use crate::model::{Entry, EntryKind, Failure, Side};
use crate::pipeline::context::Context;
use crate::pipeline::halt::{Doing, Halt};
use crate::pipeline::node::Candidate;
use crate::pipeline::options::DeletionMethod;
use crate::tree::{Dir, Freshness, PathResolver, is_elsewhere};

/// One worker's path resolvers for the two trees.
pub(in crate::pipeline) struct Resolvers {
    pub(in crate::pipeline) source: PathResolver,
    pub(in crate::pipeline) dest: PathResolver,
}

/// Why a candidate is still there.
#[derive(Clone, Debug)]
pub(in crate::pipeline) enum Refusal {
    /// It is not what it was taken for.
    Spared(&'static str),
    /// It is a directory and not empty.
    NotEmpty,
    /// Nothing may be changed any more.
    Stopped,
    /// A system call failed.
    Failed(Failure),
}

pub(in crate::pipeline) type Tried<T> = Result<T, Refusal>;

/// The open directories of one batch.
pub(in crate::pipeline) struct Directories<'t> {
    source: &'t Dir,
    /// A name in `source` whose absence shows that the whole batch is absent there; `None` if each
    /// name has to be looked up.
    missing: Option<&'t [u8]>,
    dest: &'t Dir,
}

/// Opens the batch's directories.
pub(in crate::pipeline) fn open<'t>(
    resolvers: &'t mut Resolvers,
    batch: &'t Batch,
) -> Tried<Directories<'t>> {
    let source = resolvers.source.open(&batch.directory, batch.shared);
    let source: &Dir = unless_elsewhere(source, Side::Source, "opening the source directory")?;
    // An NFS client that has seen that a name is absent goes on saying so, even when the server
    // should be asked for the name, until it learns that the directory has changed (Linux,
    // `fs/nfs/dir.c`). So look at the directory first.
    source.look_at_self(Freshness::Server).at_source("looking at the source directory again")?;
    let missing = batch.directory.names().nth(batch.shared);
    let dest = resolvers.dest.open(&batch.directory, usize::MAX);
    let dest = unless_elsewhere(dest, Side::Dest, "opening the destination directory")?;
    Ok(Directories { source, missing, dest })
}

impl Directories<'_> {
    /// Deletes one candidate if both sides are as they have to be.
    pub(in crate::pipeline) fn delete(
        &self,
        Candidate { name, entry }: &Candidate,
        method: DeletionMethod,
        context: &Context<'_>,
    ) -> Tried<()> {
        // Only a name that the source denies is absent: an error does not show that.
        let absent = self.missing.unwrap_or(name);
        if self
            .source
            .look(absent, Freshness::Server)
            .at_source("looking at the source again")?
            .is_some()
        {
            return Err(Refusal::Spared("it is there again at the source"));
        }
        match self.dest.look(name, Freshness::Server).at_dest("looking at the destination again")? {
            Some(now) if is_still(&now, entry) => {}
            Some(_) => return Err(Refusal::Spared("it has changed since it was scanned")),
            None => return Err(Refusal::Spared("it is gone already")),
        }
        context.may_change()?;
        let deleted = match (method, &entry.kind) {
            (DeletionMethod::Remove, EntryKind::Directory) => self.dest.remove_dir(name),
            (DeletionMethod::Remove, _) => self.dest.unlink(name),
        };
        match deleted {
            Err(error) if is_elsewhere(&error) && entry.kind == EntryKind::Directory => {
                Err(Refusal::NotEmpty)
            }
            deleted => unless_elsewhere(deleted, Side::Dest, "deleting"),
        }
    }
}

/// Whether what stands there now is what was scanned.
fn is_still(now: &Entry, scanned: &Entry) -> bool {
    let is_the_same = now.kind == scanned.kind && now.inode == scanned.inode;
    match scanned.kind {
        // Deletions in it have changed its times. Whether it is empty is for `rmdir` to say.
        EntryKind::Directory => is_the_same,
        // Deleting one name of a file changes the ctime under its other names.
        EntryKind::File { .. } if now.links < scanned.links => {
            is_the_same && now.mtime == scanned.mtime
        }
        _ => now.is_same_version_as(scanned),
    }
}

/// A candidate that was moved or replaced meanwhile is spared: that is not a failure.
pub(in crate::pipeline) fn unless_elsewhere<T>(
    result: io::Result<T>,
    side: Side,
    doing: &str,
) -> Tried<T> {
    match result {
        Err(error) if is_elsewhere(&error) => Err(Refusal::Spared("it is no longer where it was")),
        result => Ok(result.on(side, doing)?),
    }
}

impl From<Halt> for Refusal {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Failed(failure) => Self::Failed(failure),
            Halt::Stopped => Self::Stopped,
            Halt::Overtaken | Halt::SourceChanged => {
                Self::Spared("it has changed since it was scanned")
            }
        }
    }
}
