//! Temporaries: a new version of a file or symlink until it is complete.
//!
//! A temporary lies beside its target under a reserved name. It ends in one of two ways, both of
//! which consume it: [`Temporary::publish`] gives it the target's name, [`Temporary::discard`]
//! removes it. A run that is killed leaves its temporaries behind, and the next run sweeps them.
//! [`Temporary::abandon`] leaves one behind on purpose, for the next run to resume.
//!
//! No function here makes two changes in a row: between them, the caller has to ask whether the
//! second one may still be begun.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use super::dir::{Access, Dir, Publish};
use super::file::File;
use super::link::Link;
use crate::model::Name;

/// The names of one run's temporaries.
#[derive(Debug)]
pub struct TemporaryNames {
    run: u64,
    next: AtomicU32,
}

impl TemporaryNames {
    /// `run` tells the runs apart, so it has to be random.
    pub fn new(run: u64) -> Self {
        Self { run, next: AtomicU32::new(0) }
    }

    fn next(&self) -> Name {
        let counter = self.next.fetch_add(1, Ordering::Relaxed);
        Name::new(format!(".ha-sync.{:016x}.{counter:08x}.tmp", self.run).as_bytes())
    }

    /// The name of the temporary for a target. [`is_temporary_for`] recognises it.
    fn of(&self, target: &[u8]) -> Name {
        Name::new(format!(".ha-sync.{:016x}.{:08x}.tmp", self.run, digest(target)).as_bytes())
    }

    /// Whether this run made the temporary of that name. Then it is in use and not a leftover.
    pub fn made(&self, name: &[u8]) -> bool {
        name.get(9..25) == Some(format!("{:016x}", self.run).as_bytes())
    }
}

/// A file or symlink under a reserved name in a directory.
#[derive(Debug)]
pub struct Temporary<'d> {
    dir: &'d Dir,
    name: Name,
}

impl<'d> Temporary<'d> {
    /// Makes an empty file with these permission bits and opens it.
    ///
    /// Fails with `EEXIST` if a leftover has the name because the counter wrapped around. The next
    /// name is free.
    pub fn create_file(
        dir: &'d Dir,
        names: &TemporaryNames,
        mode: u32,
        access: Access,
    ) -> io::Result<(Self, File)> {
        let name = names.next();
        let file = dir.create_file(&name, mode, access)?;
        Ok((Self { dir, name }, file))
    }

    /// Makes an empty file whose name is derived from its target's, and opens it. Fails with
    /// `EEXIST` if that name is taken.
    pub fn create_file_for(
        dir: &'d Dir,
        names: &TemporaryNames,
        target: &[u8],
        mode: u32,
    ) -> io::Result<(Self, File)> {
        let name = names.of(target);
        // The run that resumes it compares what is in it.
        let file = dir.create_file(&name, mode, Access::ReadBack)?;
        Ok((Self { dir, name }, file))
    }

    /// Opens a file that a run left behind. `None` if it is gone or is not a regular file.
    pub fn open_file(dir: &'d Dir, name: Name) -> io::Result<Option<(Self, File)>> {
        Ok(dir.open_to_write(&name)?.map(|file| (Self { dir, name }, file)))
    }

    /// The reserved name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Makes a symlink to `target`. `EEXIST`: as in [`Temporary::create_file`].
    pub fn create_symlink(dir: &'d Dir, names: &TemporaryNames, target: &[u8]) -> io::Result<Self> {
        let name = names.next();
        dir.create_symlink(&name, target)?;
        Ok(Self { dir, name })
    }

    /// Opens the symlink itself. Fails if the name is not a symlink's any more.
    pub fn open_symlink(&self) -> io::Result<Link> {
        Link::open(self.dir, &self.name)
    }

    /// Gives the temporary its final name. Returns it if it still has its own name, too: after a
    /// link, and with an error.
    pub fn publish(self, name: &[u8], how: Publish) -> Result<Option<Self>, (Self, io::Error)> {
        match self.dir.publish(&self.name, name, how) {
            Ok(()) if how == Publish::Link => Ok(Some(self)),
            Ok(()) => Ok(None),
            Err(error) => Err((self, error)),
        }
    }

    /// Leaves the temporary behind for a later run to resume.
    pub fn abandon(self) {}

    /// Removes the temporary.
    pub fn discard(self) -> io::Result<()> {
        self.dir.unlink(&self.name)
    }
}

/// Whether the name of a temporary is the one that [`Temporary::create_file_for`] derives from this
/// target's name.
pub fn is_temporary_for(name: &[u8], target: &[u8]) -> bool {
    name.get(26..34) == Some(format!("{:08x}", digest(target)).as_bytes())
}

/// FNV-1a. It has to be the same in every release. It only tells where to look: two targets may
/// have the same digest.
fn digest(target: &[u8]) -> u32 {
    target
        .iter()
        .fold(0x811c_9dc5, |digest, byte| (digest ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_is_found_again_by_its_target() {
        let names = TemporaryNames::new(7);
        let name = names.of(b"disk.img");
        assert!(names.made(&name) && is_temporary_for(&name, b"disk.img"));
        assert!(
            !is_temporary_for(&name, b"disk.im") && !is_temporary_for(&names.next(), b"disk.img")
        );
        assert_eq!(&*name, b".ha-sync.0000000000000007.bf9f21fd.tmp", "it stays the same for ever");
    }
}
