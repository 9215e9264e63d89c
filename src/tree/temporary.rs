//! Temporaries: a new version of a file or symlink until it is whole.
//!
//! A temporary stands beside its target under a reserved name. It ends in one of two ways, both
//! of which consume it: [`Temporary::publish`] gives it the target's name, [`Temporary::discard`]
//! removes it. A run that is killed leaves it behind, for the next run to sweep; [`Temporary::leave`] does so
//! on purpose, for the next run to go on with.
//!
//! Nothing here makes two changes in a row: whether the second may still be begun is for the caller to ask.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use super::dir::{Access, Dir, Publish};
use super::file::File;
use super::link::Link;
use crate::model::Name;

/// Hands out the names of one run's temporaries.
#[derive(Debug)]
pub struct TemporaryNames {
    run: u64,
    next: AtomicU32,
}

impl TemporaryNames {
    /// `run` tells runs apart; it has to be random.
    pub fn new(run: u64) -> Self {
        Self { run, next: AtomicU32::new(0) }
    }

    fn next(&self) -> Name {
        let counter = self.next.fetch_add(1, Ordering::Relaxed);
        Name::new(format!(".ha-sync.{:016x}.{counter:08x}.tmp", self.run).as_bytes())
    }

    /// The name of the temporary of a target, found again by [`is_temporary_for`].
    fn of(&self, target: &[u8]) -> Name {
        Name::new(format!(".ha-sync.{:016x}.{:08x}.tmp", self.run, digest(target)).as_bytes())
    }

    /// Whether this run made the temporary of that name: it is in use, not left over.
    pub fn made(&self, name: &[u8]) -> bool {
        name.get(9..25) == Some(format!("{:016x}", self.run).as_bytes())
    }
}

/// A reserved name in a directory, and what stands there.
#[derive(Debug)]
pub struct Temporary<'d> {
    dir: &'d Dir,
    name: Name,
}

impl<'d> Temporary<'d> {
    /// Makes an empty file with these permission bits and opens it. `EEXIST`: a leftover of a counter that went
    /// round bears the name, the next one is free.
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

    /// The same under a name that tells what it will be; `EEXIST`: that one is taken.
    pub fn create_file_for(
        dir: &'d Dir,
        names: &TemporaryNames,
        target: &[u8],
        mode: u32,
    ) -> io::Result<(Self, File)> {
        let name = names.of(target);
        // Whoever goes on with it compares what is there.
        let file = dir.create_file(&name, mode, Access::ReadBack)?;
        Ok((Self { dir, name }, file))
    }

    /// Opens a file that a run left; nothing where it is gone or something else stands there.
    pub fn open_file(dir: &'d Dir, name: Name) -> io::Result<Option<(Self, File)>> {
        Ok(dir.open_to_write(&name)?.map(|file| (Self { dir, name }, file)))
    }

    /// Its reserved name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Makes a symlink. `EEXIST`: as with a file.
    pub fn create_symlink(dir: &'d Dir, names: &TemporaryNames, target: &[u8]) -> io::Result<Self> {
        let name = names.next();
        dir.create_symlink(&name, target)?;
        Ok(Self { dir, name })
    }

    /// Gets hold of the symlink that it is.
    pub fn open_symlink(&self) -> io::Result<Link> {
        Link::open(self.dir, &self.name)
    }

    /// Gives it the final name. It comes back where it still stands under its own: after a link, and with an error.
    pub fn publish(self, name: &[u8], how: Publish) -> Result<Option<Self>, (Self, io::Error)> {
        match self.dir.publish(&self.name, name, how) {
            Ok(()) if how == Publish::Link => Ok(Some(self)),
            Ok(()) => Ok(None),
            Err(error) => Err((self, error)),
        }
    }

    /// Leaves it for a later run.
    pub fn leave(self) {}

    /// Removes it.
    pub fn discard(self) -> io::Result<()> {
        self.dir.unlink(&self.name)
    }
}

/// Whether the name of a temporary is one that [`Temporary::create_file_for`] gives to this target's.
pub fn is_temporary_for(name: &[u8], target: &[u8]) -> bool {
    name.get(26..34) == Some(format!("{:08x}", digest(target)).as_bytes())
}

/// FNV-1a: it has to be the same in every release, and tells no more than where to look.
fn digest(target: &[u8]) -> u32 {
    target.iter().fold(0x811c_9dc5, |digest, byte| (digest ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_is_found_again_by_its_target() {
        let names = TemporaryNames::new(7);
        let name = names.of(b"disk.img");
        assert!(names.made(&name) && is_temporary_for(&name, b"disk.img"));
        assert!(!is_temporary_for(&name, b"disk.im") && !is_temporary_for(&names.next(), b"disk.img"));
        assert_eq!(&*name, b".ha-sync.0000000000000007.bf9f21fd.tmp", "it stays the same for ever");
    }
}
