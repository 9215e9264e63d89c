//! Owner and mode of what is carried, under what this process may set.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use super::step::{Doing, Step};
use crate::model::{Entry, Timestamp};
use crate::pipeline::Options;
use crate::pipeline::stage::{CLOCK_TOLERANCE, Stage};
use crate::tree::{set_mode, set_owner};

/// What is told once and not for every file.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Notices {
    owner_refused: AtomicBool,
    clock_compared: AtomicBool,
    directory_time_refused: AtomicBool,
}

/// Permission bits, and whose they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wear {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
}

impl Wear {
    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            uid: entry.uid,
            gid: entry.gid,
            mode: entry.mode,
        }
    }

    /// What the finished file shall wear; `replaced` is what stands there.
    pub(super) fn wanted(options: &Options, source: &Entry, replaced: Option<&Entry>) -> Self {
        let mode = match replaced {
            _ if options.carry_mode => source.mode,
            Some(Entry {
                mode,
                kind: crate::model::EntryKind::File { .. },
                ..
            }) => *mode,
            _ => source.mode & 0o777 & !options.umask,
        };
        Self {
            uid: source.uid,
            gid: source.gid,
            mode,
        }
    }

    /// Permission bits for the moment of creation: never more people than the finished file lets in.
    ///
    /// Until the owner is set, the file is ours. Whoever will be its group is "others" until then
    /// and the reverse, so all three get only what all three will have; set-id bits come last.
    pub(super) fn mode_at_first(self, options: &Options) -> u32 {
        let (owner, group, others) = (self.mode >> 6 & 7, self.mode >> 3 & 7, self.mode & 7);
        if !options.carry_owner || (self.uid, self.gid) == options.process_owner {
            return self.mode & 0o777;
        }
        let all = owner & group & others;
        owner << 6 | all << 3 | all
    }
}

impl Stage<'_> {
    /// Gives what the handle refers to its owner and mode; `has` is what it wears now.
    pub(super) fn dress(&self, fd: impl AsFd, has: Wear, wanted: Wear) -> Step<()> {
        let owned = self.own(&fd, has, wanted)?;
        // Set-id bits lend the owner's rights: on a file that is not the owner's they would lend another's.
        let is_owners = owned || (has.uid, has.gid) == (wanted.uid, wanted.gid);
        let mode = if is_owners {
            wanted.mode
        } else {
            wanted.mode & 0o1777
        };
        // A change of owner clears set-id bits.
        if mode != has.mode || (owned && mode & 0o6000 != 0) {
            set_mode(&fd, mode).doing("setting the mode")?;
        }
        Ok(())
    }

    /// Sets the owner if it is another and may be set; tells whether it was.
    fn own(&self, fd: impl AsFd, has: Wear, wanted: Wear) -> Step<bool> {
        self.set_owner_with(has, wanted, |uid, gid| set_owner(&fd, uid, gid))
    }

    /// `set` gets only what differs. Refused once, it is not tried again: on an export that squashes root it never works.
    pub(super) fn set_owner_with(
        &self,
        has: Wear,
        wanted: Wear,
        set: impl FnOnce(Option<u32>, Option<u32>) -> io::Result<()>,
    ) -> Step<bool> {
        let uid = Some(wanted.uid).filter(|uid| *uid != has.uid);
        let gid = Some(wanted.gid).filter(|gid| *gid != has.gid);
        let nothing_to_do = uid.is_none() && gid.is_none();
        if nothing_to_do || !self.options.carry_owner || self.notices.owner_refused.load(Ordering::Relaxed) {
            return Ok(false);
        }
        match set(uid, gid) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                if !self.notices.owner_refused.swap(true, Ordering::Relaxed) {
                    self.monitor.warn(&format!(
                        "the destination refuses to set owners ({error}): files will belong to whoever runs this. \
                         Run as root on an export without root_squash, or say --owner=false"
                    ));
                }
                Ok(false)
            }
            result => result.doing("setting the owner").map(|()| true),
        }
    }

    /// Compares the destination's clock with ours, once: `born` is when its file system says something was made just now.
    pub(super) fn compare_clocks(&self, born: Timestamp) {
        if self.notices.clock_compared.swap(true, Ordering::Relaxed) {
            return;
        }
        let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) else {
            return;
        };
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let apart = Timestamp {
            seconds,
            nanoseconds: now.subsec_nanos(),
        }
        .distance(born);
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
