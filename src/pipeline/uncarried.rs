//! Uncarried: source directories whose name at the destination is taken by something else, or closed.
//!
//! Nothing below one of them is carried, but a file may have been moved there, and its former name
//! at the destination may be a candidate for deletion. So everything below is listed for the
//! [evidence](super::evidence), and for nothing else. What cannot be listed stays unknown, as everywhere: it
//! keeps nothing from being deleted elsewhere.

use std::io;
use std::sync::Arc;

use rayon::Scope;

use super::stage::Stage;
use crate::model::{Entry, EntryKind, Joined};
use crate::tree::{Listing, Part, Place};

impl Stage<'_> {
    /// Notes that an entry in a source directory does not arrive, nor anything below it, where that matters.
    pub(super) fn stays_behind<'s>(
        &'s self,
        scope: &Scope<'s>,
        directory: &Arc<Place>,
        name: &[u8],
        source: &Entry,
    ) {
        if self.options.delete_missing.is_none() {
            return;
        }
        self.evidence.did_not_arrive(source);
        if source.kind == EntryKind::Directory {
            let below = directory.child(name);
            scope.spawn(move |scope| self.note_all_in(scope, &below));
        }
    }

    fn note_all_in<'s>(&'s self, scope: &Scope<'s>, directory: &Arc<Place>) {
        let Some(listing) = self.list_whole(directory).ok().filter(|listing| !listing.is_log_dir()) else {
            return;
        };
        let mut filter = self.options.filter.in_directory(|| directory.path());
        for (name, entry) in (0..listing.len()).map(|index| listing.get(index)) {
            if !filter.excludes(name, Joined::SourceOnly(entry)) {
                self.stays_behind(scope, directory, name, entry);
            }
        }
    }

    /// Everything in the directory, looked at by this thread alone: it is rarely much.
    fn list_whole(&self, place: &Place) -> io::Result<Listing> {
        let go_on = || !self.stop.is_requested();
        let dir = place.open()?;
        let mut unseen = Vec::new();
        let mut parts = vec![Part::read(&dir, place.is_root(), go_on, |names| unseen.push(names))?];
        for names in unseen {
            parts.push(names.look(&dir, go_on)?);
        }
        Ok(Listing::of(parts))
    }
}
