//! Comparing two files of the same size by MD5, and carrying only the metadata if their contents
//! are equal.

use std::io;

use crate::model::{Change, Effect, Entry, Failure, Leave, Md5, Side, Subject};
use crate::pipeline::classify::{Hashed, break_tie};
use crate::pipeline::execute::attempt::Attempt;
use crate::pipeline::execute::done::Done;
use crate::pipeline::execute::metadata::{Metadata, Origin};
use crate::pipeline::halt::{Doing, Halt, OpResult};
use crate::pipeline::options::Fsync;
use crate::tree::{File, Freshness, set_mtime, set_mtime_to_now, try_times};

/// The two open files and their digests.
struct Compared {
    source: Md5,
    dest: Md5,
    source_file: File,
    dest_file: File,
}

impl Attempt<'_, '_> {
    /// The source is newer. Carries the content if it differs, else owner, mode, attributes and
    /// mtime.
    pub(in crate::pipeline::execute) fn compare_then_carry(&mut self) -> OpResult<Done> {
        let len = self.source().file_len().ok_or(Halt::Overtaken)?;
        let compared = self.compare(len)?;
        let Some(dest) = self.dest().cloned() else { return Err(Halt::Overtaken) };
        // A file with several names would change under all of them. Its other names, inside or
        // outside the tree, may belong to another file at the source. A copy can take the place of
        // this name alone.
        if compared.source == compared.dest && dest.links <= 1 {
            if let Some(done) = self.carry_metadata(&compared, &dest, len)? {
                return Ok(done);
            }
        } else {
            self.expect_same_versions(&compared)?;
        }
        self.copy_file(Some(compared.dest))
    }

    /// Neither side is newer. Equal contents are in sync; otherwise the tie is broken in the same
    /// way from both sides.
    pub(in crate::pipeline::execute) fn compare_then_break_tie(&mut self) -> OpResult<Done> {
        let len = self.source().file_len().ok_or(Halt::Overtaken)?;
        let compared = self.compare(len)?;
        self.expect_same_versions(&compared)?;
        let Compared { source, dest, .. } = compared;
        let Some(dest_entry) = self.dest() else { return Err(Halt::Overtaken) };
        if source == dest {
            let close = !self.context.rules.are_alike(self.source().mtime, dest_entry.mtime);
            return Ok(Done::Left(Leave::InSync { close }));
        }
        let source = Hashed { entry: self.source(), md5: source };
        match break_tie(source, Hashed { entry: dest_entry, md5: dest }) {
            Side::Source => self.copy_file(Some(dest)),
            Side::Dest => Ok(Done::Left(Leave::NewerAtDest)),
        }
    }

    fn compare(&mut self, len: u64) -> OpResult<Compared> {
        let (source, dest) = (self.open_source_dir()?, self.open_dest_dir()?);
        let source_file = self.open_file(&source, Side::Source)?;
        let dest_file = self.open_file(&dest, Side::Dest)?;
        Ok(Compared {
            source: self.copier.digest(&source_file, Side::Source, len)?,
            dest: self.copier.digest(&dest_file, Side::Dest, len)?,
            source_file,
            dest_file,
        })
    }

    /// Expects that what was hashed is what was classified, before and after hashing. The digest of
    /// a file that changed in between says nothing.
    fn expect_same_versions(&self, compared: &Compared) -> OpResult<()> {
        let source = compared
            .source_file
            .look(Freshness::Server)
            .at_source("looking at the source again")?;
        if !source.is_same_version_as(self.source()) {
            return Err(Halt::SourceChanged);
        }
        let dest = compared
            .dest_file
            .look(Freshness::Server)
            .at_dest("looking at the destination again")?;
        match self.dest() {
            Some(scanned) if dest.is_same_version_as(scanned) => Ok(()),
            _ => Err(Halt::Overtaken),
        }
    }

    /// Gives the existing file the metadata of the source, and its mtime last: until the file has
    /// the source's mtime, the next run comes back to it. `None` if this process may not change the
    /// file; a copy can take its place.
    fn carry_metadata(
        &self,
        compared: &Compared,
        dest: &Entry,
        len: u64,
    ) -> OpResult<Option<Done>> {
        let (source, file) = (self.source(), &compared.dest_file);
        let has = Metadata::of(dest).with(self.tools.xattrs_at_dest(file)?);
        let wanted = Metadata::wanted(self.context.options, source, Some(dest))
            .with(self.tools.xattrs_at_source(&compared.source_file)?);
        self.expect_same_versions(compared)?;
        self.context.may_change()?;
        if has != wanted {
            if !is_allowed(file, try_times(file))? {
                return Ok(None);
            }
            self.tools.apply_metadata(file, Origin::Existing, has, &wanted)?;
            // Applying the metadata took time. A change since the last look would be dated back,
            // and no run would ever see it.
            let now = file.look(Freshness::Server).at_dest("looking at the destination again")?;
            if (&now.kind, now.mtime) != (&dest.kind, dest.mtime) {
                return undone("the destination was changed");
            }
            if self.context.stop.forbids_changes() {
                return undone("the run had to end");
            }
        }
        if !is_allowed(file, set_mtime(file, source.mtime))? {
            return Ok(None);
        }
        // An edit between that look and the setting of the mtime shows by the size alone. The
        // server has told the size with its answer.
        let now = file.look(Freshness::Told).at_dest("looking at the destination again")?;
        if now.file_len() != Some(len) {
            set_mtime_to_now(file).at_dest("setting the mtime")?;
            return undone("the destination was changed");
        }
        if self.context.options.io.fsync == Fsync::EachFile {
            file.sync().at_dest("writing to disk")?;
        }
        Ok(Some(Done::Changed(Effect {
            size_before: Some(len),
            size_after: Some(len),
            md5_before: Some(compared.dest),
            md5_after: Some(compared.source),
            ..Effect::new(Change::Update, Subject::File)
        })))
    }
}

/// Whether the times of the file could be set. They cannot if the file belongs to another user, or
/// to root on a server that squashes root.
///
/// Fails for an immutable file, because it cannot be replaced either.
fn is_allowed(file: &File, set: io::Result<()>) -> OpResult<bool> {
    match set {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            match file.is_immutable().at_dest("looking at the file's flags")? {
                true => Err(error).at_dest("changing an immutable file"),
                false => Ok(false),
            }
        }
        set => set.at_dest("setting the times").map(|()| true),
    }
}

fn undone<T>(reason: &str) -> OpResult<T> {
    let reason =
        format!("{reason} before it had its mtime: it may have got its owner, mode and attributes");
    Err(Halt::Failed(Failure::error(reason)))
}
