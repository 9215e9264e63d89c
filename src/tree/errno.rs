//! What the error of a system call tells of the tree that the call was made on.

use std::io;

use rustix::io::Errno;

/// Whether an error concerns the file system as a whole, such as a full disk, a lost server or a
/// read-only mount, and not just one path, such as a missing permission or a name that is not
/// allowed.
///
/// An error that is not known to concern one path counts as one of the whole. So does `None`, an
/// error without a number.
pub fn concerns_whole_tree(errno: Option<i32>) -> bool {
    let of_one_path = [
        Errno::TOOBIG, // An extended attribute that is too large here; so is RANGE.
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

/// Whether an error tells that a name no longer leads to what it led to. The name is gone,
/// something else has it, or a directory that was empty is not any more.
pub fn is_elsewhere(error: &io::Error) -> bool {
    let changed = [
        Errno::EXIST, // Some file systems return it instead of ENOTEMPTY.
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
        for whole in [
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::IO,
            Errno::ROFS,
            Errno::STALE,
            Errno::TIMEDOUT,
            Errno::MFILE,
        ] {
            assert!(concerns_whole_tree(Some(whole.raw_os_error())), "{whole}");
        }
        for one in [Errno::ACCESS, Errno::RANGE, Errno::TOOBIG, Errno::NAMETOOLONG, Errno::PERM] {
            assert!(!concerns_whole_tree(Some(one.raw_os_error())), "{one}");
        }
        assert!(concerns_whole_tree(None), "a write of nothing");
    }
}
