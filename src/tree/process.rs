//! What this process is and may: open files, the owner and the permission bits of new files.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getegid, geteuid, getrlimit, setrlimit, umask};

/// Raises the soft limit on open files to the hard one and returns it.
///
/// No limit is returned as `usize::MAX`. A soft limit that cannot be raised stays as it is: what
/// is returned is always what holds.
pub fn raise_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let _stays_lower =
            setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    let current = getrlimit(Resource::Nofile).current;
    current.map_or(usize::MAX, |current| usize::try_from(current).unwrap_or(usize::MAX))
}

/// User and group that new files get by themselves.
pub fn owner_of_new_files() -> (u32, u32) {
    (geteuid().as_raw(), getegid().as_raw())
}

/// Takes the umask away and returns it, so that a new file has its final permission bits at once:
/// setting them later costs an NFS round trip for each file.
pub fn take_umask() -> u32 {
    umask(Mode::empty()).bits()
}
