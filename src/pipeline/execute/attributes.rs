//! Extended attributes and ACLs of what is carried: what the source has, and nothing else.
//!
//! They come with the content, as owner and mode do; a difference in them alone is no work. A file that is
//! replaced is a new file, so there is nothing to remove, but for what it gets by itself: a directory with
//! a default ACL hands it down to whatever is made in it. What a side cannot hold is told once.
//!
//! An ACL says who is let in, so it goes with the mode, and in an order in which nobody is let in for a moment:
//! a new file is its owner's alone until its owner is the right one, then gets its ACL, which sets the
//! permission bits with it in one step; an ACL that goes is closed before, since its mask would become the
//! rights of the owning group.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use super::dress::{Inherits, Wear};
use super::step::{Doing, Halt, Step};
use crate::model::{Failure, Side};
use crate::pipeline::pair::Pair;
use crate::pipeline::stage::Stage;
use crate::tree::{
    AttributeKind, Attributes, Dir, Freshness, hands_down_acl, remove_attribute, set_attribute, set_mode,
};

/// What a side turned out not to know, and was told.
#[derive(Debug, Default)]
pub(super) struct Unsupported {
    at_source: AtomicBool,
    user_at_dest: AtomicBool,
    acl_at_dest: AtomicBool,
}

impl Stage<'_> {
    fn carried_kinds(&self) -> &'static [AttributeKind] {
        match (self.options.carry_xattrs, self.options.carry_mode) {
            (true, true) => &[AttributeKind::User, AttributeKind::Acl],
            (true, false) => &[AttributeKind::User],
            (false, _) => &[],
        }
    }

    /// What the source has of the attributes that are carried.
    pub(super) fn attributes_at_source(&self, fd: impl AsFd) -> Step<Attributes> {
        if !self.options.carry_xattrs || self.notices.unsupported.at_source.load(Ordering::Relaxed) {
            return Ok(Attributes::default());
        }
        match Attributes::read(fd, self.carried_kinds()) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.notices.unsupported.at_source.store(true, Ordering::Relaxed);
                Ok(Attributes::default())
            }
            read => read.at_source("reading the extended attributes"),
        }
    }

    /// What something at the destination has of them.
    pub(super) fn attributes_at_dest(&self, fd: impl AsFd) -> Step<Attributes> {
        match Attributes::read(fd, self.carried_kinds()) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Attributes::default()),
            read => read.at_dest("reading the extended attributes"),
        }
    }

    /// What a new entry in the pair's directory gets by itself. Asked once for each directory.
    pub(super) fn inherits(&self, pair: &Pair, dir: &Dir) -> Step<Inherits> {
        if let Some(known) = pair.inherits.get() {
            return Ok(*known);
        }
        let mut inherits = self.inherits_nothing();
        if self.options.carry_owner {
            let parent = dir.look_at_self(Freshness::Cached).at_dest("looking at the directory")?;
            if parent.mode & 0o2000 != 0 {
                inherits.owner.1 = parent.gid;
            }
        }
        if self.carried_kinds().contains(&AttributeKind::Acl)
            && !self.notices.unsupported.acl_at_dest.load(Ordering::Relaxed)
        {
            inherits.acl = hands_down_acl(dir).at_dest("reading the directory's default ACL")?;
        }
        Ok(*pair.inherits.get_or_init(|| inherits))
    }

    /// What a new entry gets where the directory hands nothing down.
    pub(super) fn inherits_nothing(&self) -> Inherits {
        Inherits { owner: self.options.process_owner, acl: false }
    }

    /// Gives it the users' own attributes that are wanted, and takes those away that are not.
    ///
    /// While it is still ours: who owns a file, but may not write to it, may not set these (`xattr(7)`).
    pub(super) fn set_user_attributes(&self, fd: impl AsFd, has: &mut Wear, wanted: &Wear) -> Step<()> {
        let change = Difference::between(&has.attributes, &wanted.attributes, AttributeKind::User);
        if change.is_none() || self.notices.unsupported.user_at_dest.load(Ordering::Relaxed) {
            return Ok(());
        }
        if has.mode & 0o200 == 0 {
            has.mode |= 0o200;
            self.may_change()?;
            set_mode(&fd, has.mode).at_dest("setting the mode")?;
        }
        self.change_attributes(
            fd,
            &change,
            &self.notices.unsupported.user_at_dest,
            "extended attributes (user.*)",
        )
        .map(|_| ())
    }

    /// Gives it the ACLs that are wanted, and takes those away that are not. Returns the mode that it shall have then;
    /// `has` keeps the one that it has.
    pub(super) fn set_acls(&self, fd: impl AsFd, has: &mut Wear, wanted: &Wear) -> Step<u32> {
        let (held, acls) = (&has.attributes, &wanted.attributes);
        let change = Difference::between(held, acls, AttributeKind::Acl);
        let unsupported = &self.notices.unsupported.acl_at_dest;
        if change.is_none() {
            return Ok(wanted.mode);
        }
        if held.restrict_access() && !acls.restrict_access() && has.mode & 0o077 != 0 {
            has.mode &= 0o700;
            self.may_change()?;
            set_mode(&fd, has.mode).at_dest("setting the mode")?;
        }
        let is_kept = !unsupported.load(Ordering::Relaxed)
            && self.change_attributes(fd, &change, unsupported, "POSIX ACLs")?;
        Ok(if is_kept { wanted.mode } else { acls.mode_without_acl(wanted.mode) })
    }

    /// Makes a change. `false`: the destination does not know such attributes, which is told the first time.
    fn change_attributes(
        &self,
        fd: impl AsFd,
        change: &Difference<'_>,
        unsupported: &AtomicBool,
        what: &str,
    ) -> Step<bool> {
        let failed = |name: &[u8], error: &io::Error| {
            let doing = format!("setting the extended attribute {}", String::from_utf8_lossy(name));
            match error.kind() {
                // Of this file's attributes, not of the disk: that one is full shows where data is written.
                io::ErrorKind::StorageFull => {
                    let hint = "it may be larger than the destination's file system allows";
                    Halt::Failed(Failure::error(format!("{doing}: {error}; {hint}")))
                }
                _ => Halt::Failed(Failure::fault(Side::Dest, &doing, error)),
            }
        };
        let removed = change.gone.iter().map(|name| (*name, remove_attribute(&fd, name)));
        let set = change.new.iter().map(|(name, value)| (*name, set_attribute(&fd, name, value)));
        let mut changes = removed.chain(set);
        loop {
            self.may_change()?;
            let Some((name, done)) = changes.next() else { return Ok(true) };
            match done {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    if !unsupported.swap(true, Ordering::Relaxed) {
                        self.monitor.warn(&format!(
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

/// What makes one set of attributes the other.
struct Difference<'a> {
    gone: Vec<&'a [u8]>,
    new: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Difference<'a> {
    fn between(has: &'a Attributes, wanted: &'a Attributes, kind: AttributeKind) -> Self {
        let gone = has.of_kind(kind).map(|(name, _)| name).filter(|name| !wanted.has(name)).collect();
        let new = wanted.of_kind(kind).filter(|(name, value)| !has.holds(name, value)).collect();
        Self { gone, new }
    }

    fn is_none(&self) -> bool {
        self.gone.is_empty() && self.new.is_empty()
    }
}
