//! The source of a copy: an open file that is what was decided on.

use std::io;

use crate::model::{Entry, Failure, Side};
use crate::pipeline::execute::attempt::Attempt;
use crate::pipeline::halt::{Doing, Halt, OpResult};
use crate::tree::{Dir, File, Layout, Xattrs};

/// A source that is open and still what was decided on.
pub(in crate::pipeline::execute) struct Source {
    pub(in crate::pipeline::execute) file: File,
    pub(in crate::pipeline::execute) seen: Entry,
    pub(in crate::pipeline::execute) layout: Layout,
    pub(in crate::pipeline::execute) xattrs: Xattrs,
}

impl Attempt<'_, '_> {
    /// Opens the source, if it is still what was decided on.
    pub(in crate::pipeline::execute) fn open_source(&self) -> OpResult<Source> {
        let file = self.open_file(&*self.open_source_dir()?, Side::Source)?;
        let (seen, layout) = file.look_for_holes().at_source("looking at the source")?;
        if !seen.is_same_version_as(self.source()) {
            return Err(Halt::Overtaken);
        }
        let xattrs = self.tools.xattrs_at_source(&file)?;
        Ok(Source { file, seen, layout, xattrs })
    }

    /// Opens a name that held a regular file when it was looked at.
    pub(in crate::pipeline::execute) fn open_file(&self, dir: &Dir, side: Side) -> OpResult<File> {
        match dir.open_file(self.name) {
            // Somebody holds a lease on it (Samba does), and we do not wait.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(Halt::Failed(Failure::deferred("in use by another program")))
            }
            opened => opened
                .on(side, &format!("opening the file at {}", side.name()))?
                .ok_or(Halt::Overtaken),
        }
    }
}
