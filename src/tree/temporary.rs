//! Temporaries: a new version of a file or symlink until it is whole.
//!
//! A temporary stands beside its target under a reserved name. It ends in one of two ways, both
//! of which consume it: [`Temporary::publish`] gives it the target's name, [`Temporary::discard`]
//! removes it. A run that is killed leaves it behind, for the next run to sweep; [`Temporary::leave`] does so
//! on purpose, for the next run to go on with.

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
    /// Makes an empty file with these permission bits and opens it.
    pub fn create_file(
        dir: &'d Dir,
        names: &TemporaryNames,
        mode: u32,
        access: Access,
    ) -> io::Result<(Self, File)> {
        let (name, file) = with_free_name(names, |name| dir.create_file(name, mode, access))?;
        Ok((Self { dir, name }, file))
    }

    /// Makes an empty file under a name that tells what it will be, unless that is taken.
    pub fn create_file_for(
        dir: &'d Dir,
        names: &TemporaryNames,
        target: &[u8],
        mode: u32,
    ) -> io::Result<(Self, File)> {
        let name = names.of(target);
        let access = Access::ReadBack; // Whoever goes on with it compares what is there.
        match dir.create_file(&name, mode, access) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Self::create_file(dir, names, mode, access)
            }
            made => Ok((Self { dir, name }, made?)),
        }
    }

    /// Opens a file that a run left; nothing where it is gone or something else stands there.
    pub fn open_file(dir: &'d Dir, name: Name) -> io::Result<Option<(Self, File)>> {
        Ok(dir.open_to_write(&name)?.map(|file| (Self { dir, name }, file)))
    }

    /// Its reserved name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Makes a symlink and gets hold of it.
    pub fn create_symlink(dir: &'d Dir, names: &TemporaryNames, target: &[u8]) -> io::Result<(Self, Link)> {
        let (name, ()) = with_free_name(names, |name| dir.create_symlink(name, target))?;
        let temporary = Self { dir, name };
        match Link::open(dir, &temporary.name) {
            Ok(link) => Ok((temporary, link)),
            Err(error) => temporary.discard_after(error),
        }
    }

    /// Gives it the final name. Where that fails it is removed, and the error is the answer.
    pub fn publish(self, name: &[u8], how: Publish) -> io::Result<()> {
        self.dir.publish(&self.name, name, how).or_else(|error| self.discard_after(error))
    }

    /// Leaves it for a later run.
    pub fn leave(self) {}

    /// Removes it.
    pub fn discard(self) -> io::Result<()> {
        self.dir.unlink(&self.name)
    }

    /// Removes it because of `error`, which stays the answer: what can't be removed now is swept later.
    fn discard_after<T>(self, error: io::Error) -> io::Result<T> {
        let _swept_later = self.discard();
        Err(error)
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

/// A name of this run that is taken is a leftover of a counter that went round: the next one is free.
fn with_free_name<T>(names: &TemporaryNames, make: impl Fn(&[u8]) -> io::Result<T>) -> io::Result<(Name, T)> {
    loop {
        let name = names.next();
        match make(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return Ok((name, result?)),
        }
    }
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
