//! Notices: what a run finds out about the destination and about this process, and reports only
//! once.

use std::sync::atomic::AtomicBool;

/// What was found out, and what was reported.
#[derive(Debug, Default)]
pub(super) struct Notices {
    pub(super) owner_refused: AtomicBool,
    pub(super) group_refused: AtomicBool,
    pub(super) owner_refusal_told: AtomicBool,
    pub(super) unknown_owner_told: AtomicBool,
    pub(super) clock_compared: AtomicBool,
    pub(super) directory_time_refused: AtomicBool,
    pub(super) unsupported: Unsupported,
}

/// Kinds of xattrs that a side turned out not to support, and that were reported.
#[derive(Debug, Default)]
pub(super) struct Unsupported {
    pub(super) at_source: AtomicBool,
    pub(super) user_at_dest: AtomicBool,
    pub(super) acl_at_dest: AtomicBool,
}
