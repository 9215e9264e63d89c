//! What the stages need to know of the user's wishes and of the process.

use super::classify::Rules;
use super::filter::Filter;
use super::guard::MaxDelete;
use crate::model::Name;

/// What the stages need to know of the user's wishes and of the process.
#[derive(Clone, Debug)]
pub struct Options {
    /// Tells this run's temporaries from others'; random.
    pub run: u64,
    /// Plan only: neither tree is touched.
    pub dry_run: bool,
    /// What decides.
    pub rules: Rules,
    /// What is left out.
    pub filter: Filter,
    /// Under which conditions what only the destination has is deleted; nothing: it is kept.
    pub delete_missing: Option<MaxDelete>,
    /// A file that must be in both roots.
    pub require_file: Option<Name>,
    /// Threads that copy, hash, make directories and delete.
    pub workers: usize,
    /// Threads that list directories.
    pub scan_threads: usize,
    /// Bytes that are read in a second at most, by all workers together; nothing: no limit.
    pub bwlimit: Option<u64>,
    /// Compute the MD5 of everything that is copied.
    pub hash_copies: bool,
    /// Carry owner and group.
    pub carry_owner: bool,
    /// Carry the permission bits.
    pub carry_mode: bool,
    /// Carry extended attributes and, with the permission bits, ACLs.
    pub carry_xattrs: bool,
    /// When files are written through to disk.
    pub fsync: Fsync,
    /// Another machine keeps the destination.
    pub dest_on_network: bool,
    /// Remove temporaries of earlier runs: only for who holds the lock, everybody else's may be in use.
    pub sweep: bool,
    /// An interrupted copy of more bytes than this is gone on with, under the same conditions as sweeping.
    pub continue_above: u64,
    /// User and group that new files get by themselves.
    pub process_owner: (u32, u32),
    /// Permission bits that new files lack where the mode is not carried.
    pub umask: u32,
}

impl Options {
    /// Whether the copy of a file of that size is gone on with after an interruption. It has to be known then
    /// what is on disk.
    pub(super) fn continues(&self, len: Option<u64>) -> bool {
        self.sweep && self.fsync != Fsync::Never && len.is_some_and(|len| len > self.continue_above)
    }
}

#[cfg(test)]
impl Options {
    /// One worker of root, everything carried, nothing else asked.
    pub(super) fn for_tests() -> Self {
        Self {
            run: 0,
            dry_run: false,
            rules: Rules {
                mtime_threshold: std::time::Duration::ZERO,
                granularity: std::time::Duration::ZERO,
                checksum: super::Checksum::Mismatch,
                min_age: None,
            },
            filter: Filter::builder().build().expect("no patterns are good patterns"),
            delete_missing: None,
            require_file: None,
            workers: 1,
            scan_threads: 1,
            bwlimit: None,
            hash_copies: true,
            carry_owner: true,
            carry_mode: true,
            carry_xattrs: true,
            fsync: Fsync::Never,
            dest_on_network: false,
            sweep: false,
            continue_above: u64::MAX,
            process_owner: (0, 0),
            umask: 0,
        }
    }
}

/// When files are written through to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Each file before it gets its name.
    EachFile,
    /// All of the destination's file system, once, at the end.
    AtEnd,
    /// When the kernel likes.
    Never,
}
