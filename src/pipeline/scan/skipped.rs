//! Skipped: source entries that do not arrive, and everything below a skipped directory. A
//! directory is skipped if its name at the destination is taken by something else, or closed.
//!
//! Nothing below such a directory is carried. But a file may have been moved there, and its former
//! name at the destination may be a candidate for deletion. So everything below is listed for the
//! evidence, and for nothing else. What cannot be listed stays unknown, as everywhere: it does not
//! keep anything from being deleted elsewhere.

use std::io;
use std::sync::Arc;

use rayon::Scope;

use super::Scan;
use crate::model::{Entry, EntryKind, Joined};
use crate::tree::{DirRef, Listing, ListingPart};

impl Scan<'_> {
    /// Notes that an entry in a source directory does not arrive, nor anything below it. Does so
    /// only if there are deletions that depend on it.
    pub(super) fn note_skipped<'s>(
        &'s self,
        scope: &Scope<'s>,
        directory: &Arc<DirRef>,
        name: &[u8],
        source: &Entry,
    ) {
        if self.context.options.deletion.is_none() {
            return;
        }
        self.context.evidence.did_not_arrive(source);
        if source.kind == EntryKind::Directory {
            let below = directory.child(name);
            scope.spawn(move |scope| self.note_all_in(scope, &below));
        }
    }

    fn note_all_in<'s>(&'s self, scope: &Scope<'s>, directory: &Arc<DirRef>) {
        let Some(listing) = self.list_whole(directory).ok().filter(|listing| !listing.is_log_dir())
        else {
            return;
        };
        let mut selection = self.context.options.selection.in_directory(|| directory.path());
        for (name, entry) in (0..listing.len()).map(|index| listing.get(index)) {
            if !selection.excludes(name, Joined::SourceOnly(entry)) {
                self.note_skipped(scope, directory, name, entry);
            }
        }
    }

    /// The whole listing of a directory, looked at by this thread alone: there is rarely much in
    /// it.
    fn list_whole(&self, place: &DirRef) -> io::Result<Listing> {
        let go_on = || !self.context.stop.is_requested();
        let dir = place.open()?;
        let mut unseen = Vec::new();
        let mut parts =
            vec![ListingPart::read(&dir, place.is_root(), go_on, |names| unseen.push(names))?];
        for names in unseen {
            parts.push(names.look(&dir, go_on)?);
        }
        Ok(Listing::of(parts))
    }
}
