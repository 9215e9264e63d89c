//! Temporaries: a new version of a file or symlink until it is whole.
//!
//! A temporary stands beside its target under a reserved name. It ends in one of two ways, both
//! of which consume it: [`Temporary::publish`] gives it the target's name, [`Temporary::discard`]
//! removes it. A run that is killed leaves it behind, for the next run to sweep.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use super::dir::{Dir, Publish};
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
    pub fn create_file(dir: &'d Dir, names: &TemporaryNames, mode: u32) -> io::Result<(Self, File)> {
        let (name, file) = with_free_name(names, |name| dir.create_file(name, mode))?;
        Ok((Self { dir, name }, file))
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
