//! Summary: the counts of one run, or of a part of it. Parts add up.

use std::ops::AddAssign;

use super::{Cause, Change, Entry, Joined, Leave, Outcome, Subject, Verdict};

macro_rules! summary {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// Counts of paths, and of bytes. In a dry run `created`, `updated` and `deleted` count
        /// what would be done.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Summary {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl AddAssign<&Summary> for Summary {
            fn add_assign(&mut self, other: &Summary) {
                $(self.$field += other.$field;)*
            }
        }

        impl Summary {
            /// Every count under its name, in the order in which the opslog's footer has them.
            pub fn fields(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field),)*].into_iter()
            }

            /// Sets the count of that name. An unknown name (of a newer format) is ignored.
            pub fn set(&mut self, name: &str, value: u64) {
                match name {
                    $(stringify!($field) => self.$field = value,)*
                    _ => {}
                }
            }
        }
    };
}

summary! {
    /// Entries listed at the source, without reserved names.
    source_entries,
    /// Entries listed at the destination.
    dest_entries,
    /// Files, directories and symlinks that were made.
    created,
    /// Of these, directories.
    created_directories,
    /// Files and symlinks that got new content or metadata.
    updated,
    /// Of these, files that only got metadata.
    updated_metadata,
    /// Files, directories and symlinks that were deleted.
    deleted,
    /// Of what was carried, files whose copy an earlier run had begun.
    continued,
    /// Bytes of content transferred.
    copied_bytes,
    /// Files and symlinks that are the same on both sides.
    in_sync,
    /// Of these, files whose mtimes differ by no more than the threshold.
    close_mtimes,
    /// In a dry run: of these, files that the real run would still compare by content.
    to_compare,
    /// Files and symlinks that are newer at the destination.
    newer_at_dest,
    /// Entries that only the destination has and that are kept; a directory counts once.
    only_at_dest,
    /// Candidates for deletion, none of which was deleted because a guard withheld them all.
    withheld,
    /// Candidates for deletion that were left alone in the end. They were there again at the
    /// source, changed at the destination, not empty, or perhaps the old name of a file whose copy
    /// failed.
    spared,
    /// Candidates for deletion whose turn did not come because the run ended before.
    not_reached,
    /// Names that the user's globs leave out. A directory counts once.
    excluded,
    /// Files and symlinks that changed too recently to be touched.
    too_young,
    /// Paths where a directory meets something else.
    conflicts,
    /// Files that changed while they were being copied.
    deferred,
    /// Paths that failed.
    failed,
    /// Fifos, sockets and devices.
    special,
    /// Mount points below a root, and log directories of this tool.
    not_entered,
    /// Source files with more than one hard link.
    hard_linked,
    /// Temporaries of earlier, interrupted runs that were removed.
    swept,
}

impl Summary {
    /// Paths for which nothing was to be done: in sync, or newer at the destination.
    pub fn skipped(&self) -> u64 {
        self.in_sync + self.newer_at_dest
    }

    /// Whether a path was left behind that the user should know of.
    pub fn is_partial(&self) -> bool {
        self.failed + self.conflicts > 0
    }

    /// Operations that were carried out or, in a dry run, planned.
    pub fn changes(&self) -> u64 {
        self.created + self.updated + self.deleted
    }

    /// Counts what was listed under one name.
    pub fn add_listed(&mut self, joined: Joined<&Entry>) {
        self.source_entries += u64::from(joined.source().is_some());
        self.dest_entries += u64::from(joined.dest().is_some());
    }

    /// Counts one name that stays as it is. This is the one place that knows which reason goes into
    /// which count.
    pub fn add_left(&mut self, left: Leave) {
        match left {
            Leave::InSync { close } => {
                self.in_sync += 1;
                self.close_mtimes += u64::from(close);
            }
            Leave::NewerAtDest => self.newer_at_dest += 1,
            Leave::TooYoung => self.too_young += 1,
            Leave::Special => self.special += 1,
            Leave::MountPoint => self.not_entered += 1,
        }
    }

    /// Counts one finished operation.
    pub fn add_outcome(&mut self, outcome: &Outcome) {
        let effect = &outcome.effect;
        self.copied_bytes += effect.bytes;
        match (&outcome.verdict, effect.change) {
            (Verdict::Failed(failure), _) => match failure.cause {
                Cause::Error => self.failed += 1,
                Cause::Conflict => self.conflicts += 1,
                Cause::Deferred => self.deferred += 1,
            },
            (_, Change::Create) => {
                self.created += 1;
                self.created_directories += u64::from(effect.subject == Subject::Directory);
            }
            (_, Change::Update) => {
                self.updated += 1;
                self.updated_metadata += u64::from(effect.is_metadata_only());
            }
            (_, Change::Delete) => self.deleted += 1,
        }
    }
}
