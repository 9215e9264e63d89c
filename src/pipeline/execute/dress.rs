//! Owner, mode and attributes of what is carried, under what this process may set.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::attributes::Unsupported;
use super::step::{Doing, Step};
use crate::model::{Entry, EntryKind, Timestamp};
use crate::pipeline::Options;
use crate::pipeline::stage::Stage;
use crate::tree::{Attributes, set_mode, set_owner};

/// How far two clocks may be apart before the user is told.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// What is found out once and not for every file.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Notices {
    owner_refused: AtomicBool,
    group_refused: AtomicBool,
    owner_refusal_told: AtomicBool,
    unknown_owner_told: AtomicBool,
    clock_compared: AtomicBool,
    directory_time_refused: AtomicBool,
    pub(super) unsupported: Unsupported,
}

/// Permission bits, whose they are, and what else says who is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wear {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
    pub(super) attributes: Attributes,
}

/// What a new entry gets by itself, of us and of the directory that it is made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) struct Inherits {
    /// User, and group: ours, or that of a directory with a setgid bit.
    pub(super) owner: (u32, u32),
    /// An ACL.
    pub(super) acl: bool,
}

/// For whom a refusal to set an owner speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// This run has made the entry: what is refused here is refused for every new one.
    ThisRun,
    /// It stood there before, and may have a reason of its own.
    Before,
}

/// What came of setting an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owned {
    /// Something was set, and the kernel may have cleared set-id bits with it.
    changed: bool,
    /// User and group are those wanted.
    as_wanted: bool,
}

impl Wear {
    pub(super) fn of(entry: &Entry) -> Self {
        Self { uid: entry.uid, gid: entry.gid, mode: entry.mode, attributes: Attributes::default() }
    }

    pub(super) fn with(self, attributes: Attributes) -> Self {
        Self { attributes, ..self }
    }

    /// What the finished entry shall wear; `replaced` is what stands there.
    pub(super) fn wanted(options: &Options, source: &Entry, replaced: Option<&Entry>) -> Self {
        let mode = match replaced {
            _ if options.carry_mode => source.mode,
            Some(Entry { mode, kind: EntryKind::File { .. }, .. }) => *mode,
            _ => source.mode & 0o777 & !options.umask,
        };
        Self { mode, ..Self::of(source) }
    }

    /// Whether a new entry has all of this as soon as it is made with the permission bits.
    pub(super) fn comes_with_creation(&self, options: &Options, inherits: Inherits) -> bool {
        self.is_owned_at_once(options, inherits)
            && !inherits.acl
            && self.attributes.is_empty()
            && self.mode & 0o6000 == 0
    }

    fn is_owned_at_once(&self, options: &Options, inherits: Inherits) -> bool {
        !options.carry_owner || (self.uid, self.gid) == inherits.owner
    }

    /// Permission bits for the moment of creation: never more people than the finished entry lets in.
    ///
    /// Until the owner is set, the entry is somebody else's. Whoever will be its group is "others" until then
    /// and the reverse, so all three get only what all three will have; set-id bits come last. Where an ACL will
    /// have a say, or is handed down by the directory, it is the owner's alone at first.
    pub(super) fn mode_at_first(&self, options: &Options, inherits: Inherits) -> u32 {
        if inherits.acl || !self.attributes.is_empty() {
            return self.mode & 0o700 | 0o600;
        }
        match self.is_owned_at_once(options, inherits) {
            true => self.mode & 0o777,
            false => self.mode_for_whoever_owns_it(),
        }
    }

    /// The permission bits of the owner, and for everybody else what all three classes have.
    fn mode_for_whoever_owns_it(&self) -> u32 {
        let (owner, group, others) = (self.mode >> 6 & 7, self.mode >> 3 & 7, self.mode & 7);
        let all = owner & group & others;
        owner << 6 | all << 3 | all
    }
}

impl Stage<'_> {
    /// Gives what the handle refers to its owner, mode and attributes; `has` is what it wears now. Returns
    /// the mode that was wanted in the end, which is less where an ACL could not be had.
    pub(super) fn dress(&self, fd: impl AsFd, since: Since, mut has: Wear, wanted: &Wear) -> Step<u32> {
        self.may_change()?;
        if since == Since::Before {
            self.close_to_the_new_group(&fd, &mut has, wanted)?;
        }
        self.set_user_attributes(&fd, &mut has, wanted)?;
        self.may_change()?;
        let owned = self.own(since, &has, wanted, |uid, gid| set_owner(&fd, uid, gid))?;
        self.may_change()?;
        let wanted_mode = self.set_acls(&fd, &mut has, wanted)?;
        // Set-id bits lend the owner's rights: on a file that is not the owner's they would lend another's.
        let mode = if owned.as_wanted { wanted_mode } else { wanted_mode & 0o1777 };
        let is_set_anew = has.attributes.restrict_access() || wanted.attributes.restrict_access();
        if mode != has.mode || is_set_anew || (owned.changed && mode & 0o6000 != 0) {
            self.may_change()?;
            set_mode(&fd, mode).at_dest("setting the mode")?;
        }
        Ok(wanted_mode)
    }

    /// What stands there under another owner lets in for a moment whom neither its old mode with the old owner nor the
    /// new one with the new owner does, unless it is closed before.
    fn close_to_the_new_group(&self, fd: impl AsFd, has: &mut Wear, wanted: &Wear) -> Step<()> {
        let closed = has.mode & (0o7700 | wanted.mode_for_whoever_owns_it());
        if !self.options.carry_owner || (has.uid, has.gid) == (wanted.uid, wanted.gid) || closed == has.mode {
            return Ok(());
        }
        self.may_change()?;
        set_mode(fd, closed).at_dest("setting the mode")?;
        has.mode = closed;
        Ok(())
    }

    /// Sets the owner and group of a symlink, which has no mode.
    pub(super) fn own_symlink(
        &self,
        has: (u32, u32),
        source: &Entry,
        set: impl Fn(Option<u32>, Option<u32>) -> io::Result<()>,
    ) -> Step<()> {
        let has = Wear { uid: has.0, gid: has.1, ..Wear::of(source) };
        self.own(Since::ThisRun, &has, &Wear::of(source), set).map(|_| ())
    }

    /// `set` gets only what differs. What was refused once for a new entry is not tried again: on an export
    /// that squashes root it never works. A group may be one of ours where the user is not.
    fn own(
        &self,
        since: Since,
        has: &Wear,
        wanted: &Wear,
        set: impl Fn(Option<u32>, Option<u32>) -> io::Result<()>,
    ) -> Step<Owned> {
        let as_wanted = (has.uid, has.gid) == (wanted.uid, wanted.gid);
        if as_wanted || !self.options.carry_owner {
            return Ok(Owned { changed: false, as_wanted });
        }
        let Notices { owner_refused, group_refused, .. } = &self.notices;
        let wants = |value: u32, has: u32, refused: &AtomicBool| {
            Some(value).filter(|value| *value != has && !refused.load(Ordering::Relaxed))
        };
        let attempt = |uid, gid, refused| {
            self.may_change()?;
            self.is_allowed(set(uid, gid), since, wanted, refused)
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

    /// Whether an owner could be set. The first refusal is told.
    fn is_allowed(
        &self,
        set: io::Result<()>,
        since: Since,
        wanted: &Wear,
        refused: &AtomicBool,
    ) -> Step<bool> {
        match set {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                refused.fetch_or(since == Since::ThisRun, Ordering::Relaxed);
                if !self.notices.owner_refusal_told.swap(true, Ordering::Relaxed) {
                    self.monitor.warn(&format!(
                        "the destination refuses to set owners ({error}): such files keep the owner they have, new \
                         ones whoever runs this. Run as root on an export without root_squash, or say --owner=false"
                    ));
                }
                Ok(false)
            }
            // The user or group has no number in this user namespace, or no name at the server. Others have.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                if !self.notices.unknown_owner_told.swap(true, Ordering::Relaxed) {
                    self.monitor.warn(&format!(
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

    /// Compares the destination's clock with ours, once. `born` is when its file system says something
    /// was made, which happened between `before` and now.
    pub(super) fn compare_clocks(&self, before: SystemTime, born: Timestamp) {
        if self.notices.clock_compared.swap(true, Ordering::Relaxed) {
            return;
        }
        let (before, after) = (Timestamp::from(before), Timestamp::from(SystemTime::now()));
        let apart = if born < before { before.distance(born) } else { born.distance(born.min(after)) };
        if apart > CLOCK_TOLERANCE {
            self.monitor.warn(&format!(
                "the destination's clock and this machine's are {:.1} s apart: the newest mtime wins, and it is only \
                 as true as the clocks of those who write. Check NTP on both",
                apart.as_secs_f64()
            ));
        }
    }

    /// Somebody else's directory keeps the mtime that our change gave it; nothing depends on it.
    pub(super) fn tolerate_directory_time(&self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                if !self.notices.directory_time_refused.swap(true, Ordering::Relaxed) {
                    self.monitor
                        .warn("the mtime of a directory that belongs to another user cannot be restored");
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

    #[test]
    fn a_new_file_never_lets_in_more_people_than_the_finished_one() {
        let options = Options::for_tests();
        let [ours, their_group, an_acl] =
            [((0, 0), false), ((0, 7), false), ((0, 0), true)].map(|(owner, acl)| Inherits { owner, acl });
        for mode in 0..=0o7777 {
            let wear = |id| Wear { uid: id, gid: id, mode, attributes: Attributes::default() };
            assert_eq!(
                wear(0).mode_at_first(&options, ours),
                mode & 0o777,
                "{mode:o}: nothing to wait for but set-id bits"
            );
            assert_eq!(wear(0).mode_at_first(&options, an_acl) & 0o077, 0, "{mode:o}: an ACL is handed down");
            let theirs = wear(7).mode_at_first(&options, ours);
            assert_eq!(
                wear(0).mode_at_first(&options, their_group),
                theirs,
                "{mode:o}: a group is handed down"
            );
            let (group, others) = (mode >> 3 & 7, mode & 7);
            // The future group may be among the others of the moment, and the reverse.
            for people in [theirs >> 3 & 7, theirs & 7] {
                assert_eq!(people & !(group & others & mode >> 6), 0, "{mode:o} begins as {theirs:o}");
            }
            assert_eq!(theirs >> 6, mode >> 6 & 7, "{mode:o}");
        }
    }
}
