//! Extended attributes and ACLs of what is carried: those of the source and no others.
//!
//! They are carried with the content, like owner and mode. A difference in them alone is not work
//! for a run. A file that is replaced is a new file, so there is nothing to remove from it, except
//! for what it inherits: a directory with a default ACL hands it down to everything that is made in
//! it. If a side cannot hold some kind of attributes, that is reported once.
//!
//! An ACL decides who has access. So it is applied with the mode, and in an order in which nobody
//! gets access by accident, not even for a moment. Only its owner has access to a new file until
//! that owner is the right one. Then the file gets its ACL, which sets the permission bits in the
//! same step. Before an ACL is removed, the file is closed to everybody else, because the mask of
//! the ACL would become the rights of the owning group.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Metadata;
use crate::model::{Failure, Side};
use crate::pipeline::execute::tools::Tools;
use crate::pipeline::halt::{Doing, Halt, OpResult};
use crate::pipeline::node::{DirNode, Inherits};
use crate::tree::{
    Dir, Freshness, XattrKind, Xattrs, hands_down_acl, remove_xattr, set_mode, set_xattr,
};

impl Tools<'_> {
    fn carried_kinds(&self) -> &'static [XattrKind] {
        match (self.context.options.metadata.xattrs, self.context.options.metadata.mode) {
            (true, true) => &[XattrKind::User, XattrKind::Acl],
            (true, false) => &[XattrKind::User],
            (false, _) => &[],
        }
    }

    /// The source's attributes of the kinds that are carried.
    pub(in crate::pipeline::execute) fn xattrs_at_source(&self, fd: impl AsFd) -> OpResult<Xattrs> {
        if !self.context.options.metadata.xattrs
            || self.notices.unsupported.at_source.load(Ordering::Relaxed)
        {
            return Ok(Xattrs::default());
        }
        match Xattrs::read(fd, self.carried_kinds()) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.notices.unsupported.at_source.store(true, Ordering::Relaxed);
                Ok(Xattrs::default())
            }
            read => read.at_source("reading the extended attributes"),
        }
    }

    /// The attributes of those kinds that a file or directory at the destination has.
    pub(in crate::pipeline::execute) fn xattrs_at_dest(&self, fd: impl AsFd) -> OpResult<Xattrs> {
        match Xattrs::read(fd, self.carried_kinds()) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Xattrs::default()),
            read => read.at_dest("reading the extended attributes"),
        }
    }

    /// What a new entry in the node's destination directory inherits. It is looked up once for each
    /// directory.
    pub(in crate::pipeline::execute) fn inherits(
        &self,
        node: &DirNode,
        dir: &Dir,
    ) -> OpResult<Inherits> {
        if let Some(known) = node.inherits.get() {
            return Ok(*known);
        }
        let mut inherits = self.inherits_nothing();
        if self.context.options.metadata.owner {
            let parent = dir.look_at_self(Freshness::Cached).at_dest("looking at the directory")?;
            if parent.mode & 0o2000 != 0 {
                inherits.owner.gid = parent.gid;
            }
        }
        if self.carried_kinds().contains(&XattrKind::Acl)
            && !self.notices.unsupported.acl_at_dest.load(Ordering::Relaxed)
        {
            inherits.acl = hands_down_acl(dir).at_dest("reading the directory's default ACL")?;
        }
        Ok(*node.inherits.get_or_init(|| inherits))
    }

    /// What a new entry gets if the directory hands nothing down.
    pub(in crate::pipeline::execute) fn inherits_nothing(&self) -> Inherits {
        Inherits { owner: self.context.options.process.owner, acl: false }
    }

    /// Sets the wanted `user.*` attributes and removes those that are not wanted.
    ///
    /// This is done while the entry is still ours: an owner who may not write to a file may not set
    /// these attributes (`xattr(7)`).
    pub(in crate::pipeline::execute) fn set_user_xattrs(
        &self,
        fd: impl AsFd,
        has: &mut Metadata,
        wanted: &Metadata,
    ) -> OpResult<()> {
        let change = Difference::between(&has.xattrs, &wanted.xattrs, XattrKind::User);
        if change.is_none() || self.notices.unsupported.user_at_dest.load(Ordering::Relaxed) {
            return Ok(());
        }
        if has.mode & 0o200 == 0 {
            has.mode |= 0o200;
            self.context.may_change()?;
            set_mode(&fd, has.mode).at_dest("setting the mode")?;
        }
        self.change_xattrs(
            fd,
            &change,
            &self.notices.unsupported.user_at_dest,
            "extended attributes (user.*)",
        )
        .map(|_| ())
    }

    /// Sets the wanted ACLs and removes those that are not wanted. Returns the mode that the entry
    /// is to have then. `has` keeps track of its present mode.
    pub(in crate::pipeline::execute) fn set_acls(
        &self,
        fd: impl AsFd,
        has: &mut Metadata,
        wanted: &Metadata,
    ) -> OpResult<u32> {
        let (held, acls) = (&has.xattrs, &wanted.xattrs);
        let change = Difference::between(held, acls, XattrKind::Acl);
        let unsupported = &self.notices.unsupported.acl_at_dest;
        if change.is_none() {
            return Ok(wanted.mode);
        }
        if held.restrict_access() && !acls.restrict_access() && has.mode & 0o077 != 0 {
            has.mode &= 0o700;
            self.context.may_change()?;
            set_mode(&fd, has.mode).at_dest("setting the mode")?;
        }
        let is_kept = !unsupported.load(Ordering::Relaxed)
            && self.change_xattrs(fd, &change, unsupported, "POSIX ACLs")?;
        Ok(if is_kept { wanted.mode } else { acls.mode_without_acl(wanted.mode) })
    }

    /// Makes a change. Returns `false` if the destination does not support such attributes. That is
    /// reported the first time.
    fn change_xattrs(
        &self,
        fd: impl AsFd,
        change: &Difference<'_>,
        unsupported: &AtomicBool,
        what: &str,
    ) -> OpResult<bool> {
        let failed = |name: &[u8], error: &io::Error| {
            let doing = format!("setting the extended attribute {}", String::from_utf8_lossy(name));
            match error.kind() {
                // The space for this file's attributes is full, not the disk. A full disk shows
                // when data is written.
                io::ErrorKind::StorageFull => {
                    let hint = "it may be larger than the destination's file system allows";
                    Halt::Failed(Failure::error(format!("{doing}: {error}; {hint}")))
                }
                _ => Halt::Failed(Failure::fault(Side::Dest, &doing, error)),
            }
        };
        let removed = change.gone.iter().map(|name| (*name, remove_xattr(&fd, name)));
        let set = change.new.iter().map(|(name, value)| (*name, set_xattr(&fd, name, value)));
        let mut changes = removed.chain(set);
        loop {
            self.context.may_change()?;
            let Some((name, done)) = changes.next() else { return Ok(true) };
            match done {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    if !unsupported.swap(true, Ordering::Relaxed) {
                        self.context.monitor.warn(&format!(
                            "the destination's file system holds no {what}: files are carried without them. \
                             If that is meant, say --xattrs=false"
                        ));
                    }
                    return Ok(false);
                }
                Err(error) => return Err(failed(name, &error)),
            }
        }
    }
}

/// The changes that turn one set of attributes into another.
struct Difference<'a> {
    gone: Vec<&'a [u8]>,
    new: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Difference<'a> {
    fn between(has: &'a Xattrs, wanted: &'a Xattrs, kind: XattrKind) -> Self {
        let gone =
            has.of_kind(kind).map(|(name, _)| name).filter(|name| !wanted.has(name)).collect();
        let new = wanted.of_kind(kind).filter(|(name, value)| !has.holds(name, value)).collect();
        Self { gone, new }
    }

    fn is_none(&self) -> bool {
        self.gone.is_empty() && self.new.is_empty()
    }
}
