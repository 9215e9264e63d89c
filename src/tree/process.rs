//! This process's limits and identity: open files, owner and permission bits of new files.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getegid, geteuid, getrlimit, setrlimit, umask};

use crate::model::Owner;

/// Raises the soft limit on open files to the hard one and returns the limit that now holds.
///
/// `usize::MAX` if there is no limit. A soft limit that cannot be raised stays as it is, and is
/// what is returned.
pub fn raise_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let _stays_lower =
            setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    let current = getrlimit(Resource::Nofile).current;
    current.map_or(usize::MAX, |current| usize::try_from(current).unwrap_or(usize::MAX))
}

/// User and group that new files get by default.
pub fn owner_of_new_files() -> Owner {
    Owner { uid: geteuid().as_raw(), gid: getegid().as_raw() }
}

/// Clears the umask and returns what it was.
///
/// Without a umask, a new file has its final permission bits at once. Setting them later would cost
/// an NFS round trip for each file.
pub fn take_umask() -> u32 {
    umask(Mode::empty()).bits()
}
