//! Extended attributes of the file or directory that a handle refers to: the users' own and POSIX
//! ACLs, as raw bytes.
//!
//! In comes an open handle, out go names and values, and the reverse. Only `user.*` and the two
//! ACLs are ever seen. `security.*` and `trusted.*` belong to one machine, and `system.nfs4_acl`
//! names users as one server knows them. Symlinks have none of these (Linux, `xattr(7)`).

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

const USER: &[u8] = b"user.";
const ACCESS_ACL: &[u8] = b"system.posix_acl_access";
const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

/// The prefix of attributes on this tool's own temporaries. They are never carried.
const OURS: &[u8] = b"user.ha-sync.";
pub(super) const CHECKPOINT: &[u8] = b"user.ha-sync.copy";

/// Bytes for the names in the first call. Nearly every file has no attributes and needs one call.
const NAMES: usize = 1024;

/// Extended attributes by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Xattrs(BTreeMap<Vec<u8>, Vec<u8>>);

/// The kinds of attributes that are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XattrKind {
    /// The users' own bytes.
    User,
    /// A POSIX ACL, which grants access.
    Acl,
}

impl XattrKind {
    fn of(name: &[u8]) -> Option<Self> {
        match name {
            ACCESS_ACL | DEFAULT_ACL => Some(Self::Acl),
            _ => (name.starts_with(USER) && !name.starts_with(OURS)).then_some(Self::User),
        }
    }
}

impl Xattrs {
    /// Reads all attributes of these kinds.
    ///
    /// Fails with [`io::ErrorKind::Unsupported`] if the file system has no extended attributes.
    pub fn read(fd: impl AsFd, kinds: &[XattrKind]) -> io::Result<Self> {
        let wanted = |name: &&[u8]| XattrKind::of(name).is_some_and(|kind| kinds.contains(&kind));
        let mut xattrs = BTreeMap::new();
        for name in list(&fd)?.split(|byte| *byte == 0).filter(wanted) {
            if let Some(value) = value(&fd, name)? {
                xattrs.insert(name.to_vec(), value);
            }
        }
        Ok(Self(xattrs))
    }

    /// Whether there are no attributes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an ACL grants access, and not the mode alone.
    pub fn restrict_access(&self) -> bool {
        self.0.contains_key(ACCESS_ACL)
    }

    /// Names and values of one kind.
    pub fn of_kind(&self, kind: XattrKind) -> impl Iterator<Item = (&[u8], &[u8])> {
        let all = self.0.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        all.filter(move |(name, _)| XattrKind::of(name) == Some(kind))
    }

    /// Whether there is an attribute of this name with this value.
    pub fn holds(&self, name: &[u8], value: &[u8]) -> bool {
        self.0.get(name).is_some_and(|held| held == value)
    }

    /// Whether there is an attribute of this name.
    pub fn has(&self, name: &[u8]) -> bool {
        self.0.contains_key(name)
    }

    /// The permission bits for a place where the ACL cannot be kept. They grant access to nobody to
    /// whom the ACL denies it.
    ///
    /// With an ACL, the group bits of a mode are its mask: the most that any named user or group
    /// may have. The owning group may have less. Without the ACL, a user or group that it names
    /// falls under the bits of the group or of the others.
    pub fn mode_without_acl(&self, mode: u32) -> u32 {
        let Some(acl) = self.0.get(ACCESS_ACL) else { return mode };
        let group_class: Vec<u32> = entries(acl)
            .filter(|entry| GROUP_CLASS.contains(&entry.tag))
            .map(|entry| entry.bits)
            .collect();
        let least = group_class.iter().fold(mode >> 3 & 7, |least, bits| least & bits);
        mode & !0o77 | least << 3 | least & mode
    }
}

/// Sets an attribute, whether it exists or not.
pub fn set_xattr(fd: impl AsFd, name: &[u8], value: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty())?)
}

/// Removes an attribute, if it exists.
pub fn remove_xattr(fd: impl AsFd, name: &[u8]) -> io::Result<()> {
    match rustix::fs::fremovexattr(fd, name) {
        Err(Errno::NODATA) => Ok(()),
        result => Ok(result?),
    }
}

/// Whether a directory has a default ACL, which whatever is made in it inherits.
pub fn hands_down_acl(dir: impl AsFd) -> io::Result<bool> {
    match rustix::fs::fgetxattr_query(dir, DEFAULT_ACL) {
        Ok(_) => Ok(true),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// The names of all attributes, each with a NUL at its end.
fn list(fd: impl AsFd) -> io::Result<Vec<u8>> {
    let mut names = Vec::with_capacity(NAMES);
    loop {
        match rustix::fs::flistxattr(&fd, rustix::buffer::spare_capacity(&mut names)) {
            Err(Errno::RANGE) => {
                names = Vec::with_capacity(rustix::fs::flistxattr_query(&fd)? + NAMES);
            }
            result => return result.map(|_| names).map_err(Into::into),
        }
    }
}

/// The value of an attribute. `None` if there is none of this name (any more).
pub(super) fn value(fd: impl AsFd, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    loop {
        let read = rustix::fs::fgetxattr_query(&fd, name).and_then(|len| {
            let mut value = Vec::with_capacity(len.max(1));
            rustix::fs::fgetxattr(&fd, name, rustix::buffer::spare_capacity(&mut value))
                .map(|_| value)
        });
        match read {
            Err(Errno::RANGE) => {} // The value has grown in between.
            Err(Errno::NODATA) => return Ok(None),
            result => return result.map(Some).map_err(Into::into),
        }
    }
}

/// Tags of the ACL entries that the mask limits: named users, the owning group, named groups.
const GROUP_CLASS: [u16; 3] = [0x02, 0x04, 0x08];

struct AclEntry {
    tag: u16,
    bits: u32,
}

/// The entries of a raw ACL. It has a version, then tag, permission bits and id of each entry
/// (Linux, `posix_acl_xattr.h`).
fn entries(acl: &[u8]) -> impl Iterator<Item = AclEntry> {
    acl.get(4..).unwrap_or_default().chunks_exact(8).map(|entry| AclEntry {
        tag: u16::from_le_bytes([entry[0], entry[1]]),
        bits: u16::from_le_bytes([entry[2], entry[3]]).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_acl(entries: &[(u16, u16)]) -> Xattrs {
        let mut acl = 2u32.to_le_bytes().to_vec();
        for (tag, bits) in entries {
            acl.extend(tag.to_le_bytes());
            acl.extend(bits.to_le_bytes());
            acl.extend(u32::MAX.to_le_bytes());
        }
        Xattrs([(ACCESS_ACL.to_vec(), acl)].into())
    }

    #[test]
    fn only_users_own_attributes_and_acls_are_carried() {
        let cases: [(&str, Option<XattrKind>); 8] = [
            ("user.comment", Some(XattrKind::User)),
            ("user.ha-sync.copy", None),
            ("system.posix_acl_access", Some(XattrKind::Acl)),
            ("system.posix_acl_default", Some(XattrKind::Acl)),
            ("system.nfs4_acl", None),
            ("security.capability", None),
            ("trusted.overlay.opaque", None),
            ("", None),
        ];
        for (name, kind) in cases {
            assert_eq!(XattrKind::of(name.as_bytes()), kind, "{name}");
        }
    }

    #[test]
    fn a_mode_without_its_acl_lets_in_nobody_whom_the_acl_keeps_out() {
        const OWNER: (u16, u16) = (0x01, 6);
        // Named users and groups, the owning group, the mask, others; the mode with it, and the
        // mode without.
        type Case<'a> = (&'a [(u16, u16)], u32, u32);
        let cases: [Case<'_>; 5] = [
            (&[OWNER, (0x02, 6), (0x04, 0), (0x10, 6), (0x20, 0)], 0o660, 0o600),
            (&[OWNER, (0x02, 0), (0x04, 4), (0x10, 4), (0x20, 4)], 0o644, 0o600),
            (&[OWNER, (0x02, 6), (0x04, 4), (0x10, 6), (0x20, 0)], 0o660, 0o640),
            (&[OWNER, (0x08, 7), (0x04, 7), (0x10, 5), (0x20, 5)], 0o2755, 0o2755),
            (&[], 0o644, 0o644),
        ];
        for (entries, mode, without) in cases {
            assert_eq!(with_acl(entries).mode_without_acl(mode), without, "{entries:?}");
        }
        assert_eq!(Xattrs::default().mode_without_acl(0o4751), 0o4751);
    }
}
