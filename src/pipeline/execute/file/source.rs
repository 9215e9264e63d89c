//! The source of a copy: an open file that is still the version that the decision rests on.

use std::io;

use crate::model::{Entry, Failure, Side};
use crate::pipeline::execute::attempt::Attempt;
use crate::pipeline::halt::{Doing, Halt, OpResult};
use crate::tree::{Dir, File, Layout, Xattrs};

/// A source that is open and still the version that the decision rests on.
pub(in crate::pipeline::execute) struct Source {
    pub(in crate::pipeline::execute) file: File,
    pub(in crate::pipeline::execute) seen: Entry,
    pub(in crate::pipeline::execute) layout: Layout,
    pub(in crate::pipeline::execute) xattrs: Xattrs,
}

impl Attempt<'_, '_> {
    /// Opens the source. Fails if it is no longer the version that the decision rests on.
    pub(in crate::pipeline::execute) fn open_source(&self) -> OpResult<Source> {
        let file = self.open_file(&*self.open_source_dir()?, Side::Source)?;
        let (seen, layout) = file.look_for_holes().at_source("looking at the source")?;
        if !seen.is_same_version_as(self.source()) {
            return Err(Halt::Overtaken);
        }
        let xattrs = self.tools.xattrs_at_source(&file)?;
        Ok(Source { file, seen, layout, xattrs })
    }

    /// Opens a name that was a regular file when it was last looked at.
    pub(in crate::pipeline::execute) fn open_file(&self, dir: &Dir, side: Side) -> OpResult<File> {
        match dir.open_file(self.name) {
            // Another process holds a lease on it, as Samba does. We do not wait for it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(Halt::Failed(Failure::deferred("in use by another program")))
            }
            opened => opened
                .on(side, &format!("opening the file at {}", side.name()))?
                .ok_or(Halt::Overtaken),
        }
    }
}
