//! Reserved names: they are not the user's, and are never synced in either tree.

/// A directory that holds this file is a log directory of this tool and is never synced.
pub const LOG_DIR_TAG: &str = ".ha-sync-log-dir";

/// Names that file systems put into their root, for recovered fragments and for snapshots.
const AT_ROOTS: [&[u8]; 3] = [b"lost+found", b".snapshot", b".zfs"];

/// What a reserved name is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reserved {
    /// `.` and `..`, and the file system's own names.
    System,
    /// The name that an NFS client gives to a file that was removed and is still open there.
    SillyRename,
    /// A temporary of this tool. Only a file or symlink is one: a directory of that name is the
    /// user's.
    Temporary,
    /// The tag of a log directory.
    LogDirTag,
}

/// What a name is reserved for. `None` if it is not reserved. `at_root`: it was listed in the root
/// itself.
pub(super) fn reserved(name: &[u8], at_root: bool) -> Option<Reserved> {
    if at_root && AT_ROOTS.contains(&name) {
        return Some(Reserved::System);
    }
    if name.first() != Some(&b'.') {
        return None;
    }
    if matches!(name, b"." | b"..") {
        Some(Reserved::System)
    } else if is_silly_rename(name) {
        Some(Reserved::SillyRename)
    } else if name == LOG_DIR_TAG.as_bytes() {
        Some(Reserved::LogDirTag)
    } else {
        is_temporary(name).then_some(Reserved::Temporary)
    }
}

/// Whether a name is `.nfs` and 24 hex digits: an open file that was removed on an NFS client
/// (Linux, `fs/nfs/unlink.c`: the file id in 16 digits and a counter in 8).
fn is_silly_rename(name: &[u8]) -> bool {
    name.strip_prefix(b".nfs").is_some_and(|rest| rest.len() == 24 && is_hex(rest))
}

/// Whether a name is exactly `.ha-sync.<16 hex>.<8 hex>.tmp`.
fn is_temporary(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(b".ha-sync.").and_then(|rest| rest.strip_suffix(b".tmp"))
    else {
        return false;
    };
    rest.len() == 25 && rest[16] == b'.' && is_hex(&rest[..16]) && is_hex(&rest[17..])
}

fn is_hex(digits: &[u8]) -> bool {
    digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_are_reserved() {
        let cases: [(&str, bool, Option<Reserved>); 16] = [
            (".", false, Some(Reserved::System)),
            ("..", false, Some(Reserved::System)),
            ("...", false, None),
            ("lost+found", true, Some(Reserved::System)),
            ("lost+found", false, None),
            (".snapshot", true, Some(Reserved::System)),
            (".zfs", false, None),
            (".nfs000000000042e1f500000001", false, Some(Reserved::SillyRename)),
            (".nfs000000000042e1f50000000", false, None),
            (".nfsrc", false, None),
            (".ha-sync.0123456789abcdef.00000001.tmp", false, Some(Reserved::Temporary)),
            (".ha-sync.0123456789abcdef.00000001.tmp2", false, None),
            (".ha-sync.0123456789abcdeg.00000001.tmp", false, None),
            (".ha-sync.0123456789abcdef-00000001.tmp", false, None),
            (".ha-sync-log-dir", false, Some(Reserved::LogDirTag)),
            ("ha-sync-log-dir", false, None),
        ];
        for (name, at_root, expected) in cases {
            assert_eq!(reserved(name.as_bytes(), at_root), expected, "{name}");
        }
    }
}
