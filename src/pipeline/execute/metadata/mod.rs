//! Owner, mode and extended attributes of what is carried, as far as this process may set them.

pub(in crate::pipeline::execute) mod mtimes;
pub(in crate::pipeline::execute) mod xattrs;

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::notices::Notices;
use super::tools::Tools;
use crate::model::{Entry, EntryKind, Owner, Timestamp};
use crate::pipeline::halt::{Doing, OpResult};
use crate::pipeline::node::Inherits;
use crate::pipeline::options::Options;
use crate::tree::{Xattrs, set_mode, set_owner};

/// How far two clocks may be apart before the user is told.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// Owner, permission bits and extended attributes of an entry. The ACLs among these also decide who
/// has access to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline::execute) struct Metadata {
    pub(in crate::pipeline::execute) uid: u32,
    pub(in crate::pipeline::execute) gid: u32,
    pub(in crate::pipeline::execute) mode: u32,
    pub(in crate::pipeline::execute) xattrs: Xattrs,
}

/// Where an entry comes from. It decides what a refusal to set its owner means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline::execute) enum Origin {
    /// This run has created the entry. What is refused here is refused for every new entry.
    Created,
    /// The entry existed before. The refusal may have a reason that concerns this entry alone.
    Existing,
}

/// The result of setting an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owned {
    /// Something was set. The kernel may have cleared the set-id bits with it.
    changed: bool,
    /// The user and the group are the wanted ones.
    as_wanted: bool,
}

impl Metadata {
    pub(in crate::pipeline::execute) fn of(entry: &Entry) -> Self {
        Self { uid: entry.uid, gid: entry.gid, mode: entry.mode, xattrs: Xattrs::default() }
    }

    pub(in crate::pipeline::execute) fn with(self, xattrs: Xattrs) -> Self {
        Self { xattrs, ..self }
    }

    fn owner(&self) -> Owner {
        Owner { uid: self.uid, gid: self.gid }
    }

    /// The metadata of the finished entry. `replaced` is the entry whose place it takes.
    pub(in crate::pipeline::execute) fn wanted(
        options: &Options,
        source: &Entry,
        replaced: Option<&Entry>,
    ) -> Self {
        let mode = match replaced {
            Some(Entry { mode, kind: EntryKind::File { .. }, .. }) if !options.metadata.mode => {
                *mode
            }
            _ => options.mode_of_new(source),
        };
        Self { mode, ..Self::of(source) }
    }

    /// Whether a new entry has all of this as soon as it is created with the permission bits.
    pub(in crate::pipeline::execute) fn comes_with_creation(
        &self,
        options: &Options,
        inherits: Inherits,
    ) -> bool {
        self.is_owned_at_once(options, inherits)
            && !inherits.acl
            && self.xattrs.is_empty()
            && self.mode & 0o6000 == 0
    }

    fn is_owned_at_once(&self, options: &Options, inherits: Inherits) -> bool {
        !options.metadata.owner || self.owner() == inherits.owner
    }

    /// Permission bits for the moment of creation. They never give access to more people than the
    /// finished entry does.
    ///
    /// Until its owner is set, the entry belongs to somebody else. The members of its future group
    /// are among the others until then, and the reverse. So group and others get only what all
    /// three classes will have. Set-id bits come last. If an ACL will apply, or if the directory
    /// hands one down, only the owner has access at first.
    pub(in crate::pipeline::execute) fn mode_at_first(
        &self,
        options: &Options,
        inherits: Inherits,
    ) -> u32 {
        if inherits.acl || !self.xattrs.is_empty() {
            return self.mode & 0o700 | 0o600;
        }
        match self.is_owned_at_once(options, inherits) {
            true => self.mode & 0o777,
            false => self.mode_for_whoever_owns_it(),
        }
    }

    /// The permission bits of the owner, and for everybody else those that all three classes have.
    fn mode_for_whoever_owns_it(&self) -> u32 {
        let (owner, group, others) = (self.mode >> 6 & 7, self.mode >> 3 & 7, self.mode & 7);
        let all = owner & group & others;
        owner << 6 | all << 3 | all
    }
}

impl Tools<'_> {
    /// Applies owner, mode and extended attributes to what the handle refers to; `has` is its
    /// present metadata. Returns the mode that was wanted in the end. It has fewer bits than that
    /// of `wanted` if an ACL could not be set.
    pub(in crate::pipeline::execute) fn apply_metadata(
        &self,
        fd: impl AsFd,
        origin: Origin,
        mut has: Metadata,
        wanted: &Metadata,
    ) -> OpResult<u32> {
        self.context.may_change()?;
        if origin == Origin::Existing {
            self.close_to_the_new_group(&fd, &mut has, wanted)?;
        }
        self.set_user_xattrs(&fd, &mut has, wanted)?;
        self.context.may_change()?;
        let owned = self.own(origin, &has, wanted, |uid, gid| set_owner(&fd, uid, gid))?;
        self.context.may_change()?;
        let wanted_mode = self.set_acls(&fd, &mut has, wanted)?;
        // Set-id bits lend the owner's rights. On a file that does not have the wanted owner, they
        // would lend somebody else's.
        let mode = if owned.as_wanted { wanted_mode } else { wanted_mode & 0o1777 };
        let is_set_anew = has.xattrs.restrict_access() || wanted.xattrs.restrict_access();
        if mode != has.mode || is_set_anew || (owned.changed && mode & 0o6000 != 0) {
            self.context.may_change()?;
            set_mode(&fd, mode).at_dest("setting the mode")?;
        }
        Ok(wanted_mode)
    }

    /// While an existing file changes owner, its old mode applies to the new owner. Drop the bits
    /// first that neither the old nor the new state grants.
    fn close_to_the_new_group(
        &self,
        fd: impl AsFd,
        has: &mut Metadata,
        wanted: &Metadata,
    ) -> OpResult<()> {
        let closed = has.mode & (0o7700 | wanted.mode_for_whoever_owns_it());
        if !self.context.options.metadata.owner
            || (has.uid, has.gid) == (wanted.uid, wanted.gid)
            || closed == has.mode
        {
            return Ok(());
        }
        self.context.may_change()?;
        set_mode(fd, closed).at_dest("setting the mode")?;
        has.mode = closed;
        Ok(())
    }

    /// Sets the owner and group of a symlink, which has no mode.
    pub(in crate::pipeline::execute) fn own_symlink(
        &self,
        has: Owner,
        source: &Entry,
        set: impl Fn(Option<u32>, Option<u32>) -> io::Result<()>,
    ) -> OpResult<()> {
        let has = Metadata { uid: has.uid, gid: has.gid, ..Metadata::of(source) };
        self.own(Origin::Created, &has, &Metadata::of(source), set).map(|_| ())
    }

    /// Sets the owner and group; `set` gets only what differs. What was refused once for a new
    /// entry is not tried again: on an export that squashes root it never works. The group may be
    /// one of ours even if the user is not.
    fn own(
        &self,
        origin: Origin,
        has: &Metadata,
        wanted: &Metadata,
        set: impl Fn(Option<u32>, Option<u32>) -> io::Result<()>,
    ) -> OpResult<Owned> {
        let as_wanted = (has.uid, has.gid) == (wanted.uid, wanted.gid);
        if as_wanted || !self.context.options.metadata.owner {
            return Ok(Owned { changed: false, as_wanted });
        }
        let Notices { owner_refused, group_refused, .. } = &self.notices;
        let wants = |value: u32, has: u32, refused: &AtomicBool| {
            Some(value).filter(|value| *value != has && !refused.load(Ordering::Relaxed))
        };
        let attempt = |uid, gid, refused| {
            self.context.may_change()?;
            self.is_allowed(set(uid, gid), origin, wanted, refused)
        };
        let gid = wants(wanted.gid, has.gid, group_refused);
        let both = wants(wanted.uid, has.uid, owner_refused).filter(|_| gid.is_some());
        let (user_set, group_set) = if both.is_some() && attempt(both, gid, owner_refused)? {
            (true, true)
        } else {
            let uid = wants(wanted.uid, has.uid, owner_refused);
            let user_set = uid.is_some() && attempt(uid, None, owner_refused)?;
            (user_set, gid.is_some() && attempt(None, gid, group_refused)?)
        };
        Ok(Owned {
            changed: user_set || group_set,
            as_wanted: (user_set || has.uid == wanted.uid) && (group_set || has.gid == wanted.gid),
        })
    }

    /// Whether the owner could be set. Only the first refusal is reported.
    fn is_allowed(
        &self,
        set: io::Result<()>,
        origin: Origin,
        wanted: &Metadata,
        refused: &AtomicBool,
    ) -> OpResult<bool> {
        match set {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                refused.fetch_or(origin == Origin::Created, Ordering::Relaxed);
                if !self.notices.owner_refusal_told.swap(true, Ordering::Relaxed) {
                    self.context.monitor.warn(&format!(
                        "the destination refuses to set owners ({error}): such files keep the owner they have, new \
                         ones whoever runs this. Run as root on an export without root_squash, or say --owner=false"
                    ));
                }
                Ok(false)
            }
            // This user or group has no number in this user namespace, or no name at the server.
            // Others do.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                if !self.notices.unknown_owner_told.swap(true, Ordering::Relaxed) {
                    self.context.monitor.warn(&format!(
                        "the destination does not know every user and group, {}:{} for one ({error}): what is theirs \
                         will not belong to them",
                        wanted.uid, wanted.gid
                    ));
                }
                Ok(false)
            }
            result => result.at_dest("setting the owner").map(|()| true),
        }
    }

    /// Compares the destination's clock with ours, once per run. `born` is the destination's time
    /// at which something was made, and that was between `before` and now.
    pub(in crate::pipeline::execute) fn compare_clocks(&self, before: SystemTime, born: Timestamp) {
        if self.notices.clock_compared.swap(true, Ordering::Relaxed) {
            return;
        }
        let (before, after) = (Timestamp::from(before), Timestamp::from(SystemTime::now()));
        let apart =
            if born < before { before.distance(born) } else { born.distance(born.min(after)) };
        if apart > CLOCK_TOLERANCE {
            self.context.monitor.warn(&format!(
                "the destination's clock and this machine's are {:.1} s apart: the newest mtime wins, and it is only \
                 as true as the clocks of those who write. Check NTP on both",
                apart.as_secs_f64()
            ));
        }
    }

    /// Tolerates that the mtime of another user's directory cannot be set. It keeps the mtime that
    /// our change gave it, and nothing depends on that.
    pub(in crate::pipeline::execute) fn tolerate_directory_time(
        &self,
        result: io::Result<()>,
    ) -> io::Result<()> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                if !self.notices.directory_time_refused.swap(true, Ordering::Relaxed) {
                    self.context.monitor.warn(
                        "the mtime of a directory that belongs to another user cannot be restored",
                    );
                }
                Ok(())
            }
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::options::Process;

    #[test]
    fn a_new_file_never_lets_in_more_people_than_the_finished_one() {
        let process = Process::new(0, true, Timestamp::default());
        let owner = Owner { uid: 0, gid: 0 };
        let options = Options::plain(Process { owner, ..process });
        let [ours, their_group, an_acl] = [(0, false), (7, false), (0, true)]
            .map(|(gid, acl)| Inherits { owner: Owner { uid: 0, gid }, acl });
        for mode in 0..=0o7777 {
            let metadata = |id| Metadata { uid: id, gid: id, mode, xattrs: Xattrs::default() };
            assert_eq!(
                metadata(0).mode_at_first(&options, ours),
                mode & 0o777,
                "{mode:o}: nothing to wait for but set-id bits"
            );
            assert_eq!(
                metadata(0).mode_at_first(&options, an_acl) & 0o077,
                0,
                "{mode:o}: an ACL is handed down"
            );
            let theirs = metadata(7).mode_at_first(&options, ours);
            assert_eq!(
                metadata(0).mode_at_first(&options, their_group),
                theirs,
                "{mode:o}: a group is handed down"
            );
            let (group, others) = (mode >> 3 & 7, mode & 7);
            // Members of the future group may be among the others for now, and the reverse.
            for people in [theirs >> 3 & 7, theirs & 7] {
                assert_eq!(
                    people & !(group & others & mode >> 6),
                    0,
                    "{mode:o} begins as {theirs:o}"
                );
            }
            assert_eq!(theirs >> 6, mode >> 6 & 7, "{mode:o}");
        }
    }
}
