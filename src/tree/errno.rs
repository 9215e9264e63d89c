//! What an error of a system call tells of the tree it was made on.

use std::io;

use rustix::io::Errno;

/// Whether an error tells of the file system as a whole, as a full disk, a lost server or a read-only mount do,
/// and not of one path that is closed to us or has a name that cannot be. What is not known to be of one
/// path counts as of the whole.
pub fn concerns_whole_tree(errno: Option<i32>) -> bool {
    let of_one_path = [
        Errno::TOOBIG, // An extended attribute that is too large here, and the same with RANGE.
        Errno::RANGE,
        Errno::ACCESS,
        Errno::AGAIN,
        Errno::BUSY,
        Errno::EXIST,
        Errno::FBIG,
        Errno::ILSEQ,
        Errno::INVAL,
        Errno::ISDIR,
        Errno::LOOP,
        Errno::MLINK,
        Errno::NAMETOOLONG,
        Errno::NOENT,
        Errno::NOTDIR,
        Errno::NOTEMPTY,
        Errno::PERM,
        Errno::TXTBSY,
        Errno::XDEV,
    ];
    errno.is_none_or(|errno| !of_one_path.contains(&Errno::from_raw_os_error(errno)))
}

/// Whether an error tells that a name no longer leads to what it led to: it is gone, something else
/// stands there, or there is something in a directory that was empty.
pub fn is_elsewhere(error: &io::Error) -> bool {
    let changed = [
        Errno::EXIST, // What some file systems say instead of ENOTEMPTY.
        Errno::ISDIR,
        Errno::LOOP,
        Errno::NOENT,
        Errno::NOTDIR,
        Errno::NOTEMPTY,
        Errno::XDEV,
    ];
    Errno::from_io_error(error).is_some_and(|errno| changed.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_one_path_are_told_from_those_of_the_whole_file_system() {
        for whole in
            [Errno::NOSPC, Errno::DQUOT, Errno::IO, Errno::ROFS, Errno::STALE, Errno::TIMEDOUT, Errno::MFILE]
        {
            assert!(concerns_whole_tree(Some(whole.raw_os_error())), "{whole}");
        }
        for one in [Errno::ACCESS, Errno::RANGE, Errno::TOOBIG, Errno::NAMETOOLONG, Errno::PERM] {
            assert!(!concerns_whole_tree(Some(one.raw_os_error())), "{one}");
        }
        assert!(concerns_whole_tree(None), "a write of nothing");
    }
}
