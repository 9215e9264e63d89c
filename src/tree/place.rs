//! A directory's place in its tree, and its open handle while there is one to spare.
//!
//! A place is found again from the nearest ancestor that is open, name by name, so that no path
//! is ever resolved and depth has no limit. Handles stay open as long as the place is in use and
//! the process's limit allows; beyond that, a place is opened for the moment and closed again.

use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::dir::Dir;
use super::network::is_network;
use super::part::holds;
use crate::model::{Entry, Name, RelPath};

/// One of the two trees.
#[derive(Debug)]
pub struct Tree {
    path: PathBuf,
    root: Dir,
    on_network: bool,
    /// How many more handles may stay open.
    spare: AtomicUsize,
}

impl Tree {
    /// Opens the tree at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let root = Dir::open_root(path)?;
        let on_network = is_network(root.file_system_magic()?);
        Ok(Self { path: path.to_owned(), root, on_network, spare: AtomicUsize::new(0) })
    }

    /// Keeps up to `handles` directories open beyond those in use.
    pub fn keeping_open(mut self, handles: usize) -> Self {
        self.spare = AtomicUsize::new(handles);
        self
    }

    /// The root's absolute path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The root directory.
    pub fn root(&self) -> &Dir {
        &self.root
    }

    /// Whether its path still leads to the directory that was opened.
    pub fn is_in_place(&self) -> io::Result<bool> {
        Ok(Dir::open_root(&self.path)?.identity()? == self.root.identity()?)
    }

    /// Whether the root holds a name now that is not reserved and is `wanted`.
    pub fn holds(&self, wanted: impl FnMut(&[u8], &Entry) -> bool) -> io::Result<bool> {
        // A handle of its own: one can be read only once.
        holds(&Dir::open_root(&self.path)?, wanted)
    }

    /// How many more handles may stay open now.
    pub fn spare_handles(&self) -> usize {
        self.spare.load(Ordering::Relaxed)
    }

    /// Whether the tree is on a network file system.
    pub fn is_on_network(&self) -> bool {
        self.on_network
    }
}

/// A directory of a tree.
#[derive(Debug)]
pub struct Place {
    tree: Arc<Tree>,
    /// Nothing for the root.
    above: Option<(Arc<Place>, Name)>,
    kept: OnceLock<Kept>,
}

/// A handle that counts against the tree's limit.
#[derive(Debug)]
struct Kept {
    dir: Dir,
    tree: Arc<Tree>,
}

/// An open directory: one that stays open, or one for this moment.
#[derive(Debug)]
pub enum Opened<'a> {
    /// Stays open with its place.
    Kept(&'a Dir),
    /// Closed when this goes.
    Momentary(Dir),
}

impl Place {
    /// The root of a tree.
    pub fn root(tree: Arc<Tree>) -> Arc<Self> {
        Arc::new(Self { tree, above: None, kept: OnceLock::new() })
    }

    /// The directory of that name in this one.
    pub fn child(self: &Arc<Self>, name: &[u8]) -> Arc<Self> {
        let above = Some((Arc::clone(self), Name::new(name)));
        Arc::new(Self { tree: Arc::clone(&self.tree), above, kept: OnceLock::new() })
    }

    /// The tree it is in.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.above.is_none()
    }

    /// The directory that this one is in, and its name there; nothing for the root.
    pub fn above(&self) -> Option<(&Arc<Self>, &Name)> {
        self.above.as_ref().map(|(place, name)| (place, name))
    }

    /// The path from the root.
    pub fn path(&self) -> RelPath {
        let mut names: Vec<&[u8]> = Vec::new();
        let mut place = self;
        while let Some((above, name)) = &place.above {
            names.push(name);
            place = above;
        }
        RelPath::from_names(names.into_iter().rev())
    }

    /// The open directory.
    ///
    /// Fails as `open` does when it or a directory on the way is gone, closed to us or no directory
    /// any more (`ENOTDIR`, also for a symlink), and with `EXDEV` where another file system is mounted.
    pub fn open(&self) -> io::Result<Opened<'_>> {
        if let Some(dir) = self.kept_dir() {
            return Ok(Opened::Kept(dir));
        }
        let mut closed = vec![self];
        let mut nearest = self.above.as_ref().map_or(self, |(above, _)| above);
        while nearest.kept_dir().is_none() {
            closed.push(nearest);
            nearest = nearest.above.as_ref().map_or(nearest, |(above, _)| above);
        }
        let mut opened = Opened::Kept(nearest.kept_dir().unwrap_or(&self.tree.root));
        for place in closed.into_iter().rev() {
            if let Some((_, name)) = &place.above {
                opened = place.keep(opened.open_dir(name)?);
            }
        }
        Ok(opened)
    }

    fn kept_dir(&self) -> Option<&Dir> {
        match &self.above {
            None => Some(&self.tree.root),
            Some(_) => self.kept.get().map(|kept| &kept.dir),
        }
    }

    /// Keeps a handle of this place open if one is to spare and nobody else was faster.
    pub fn keep(&self, dir: Dir) -> Opened<'_> {
        let take = |spare: usize| spare.checked_sub(1);
        if self.tree.spare.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return Opened::Momentary(dir);
        }
        let kept = Kept { dir, tree: Arc::clone(&self.tree) };
        Opened::Kept(&self.kept.get_or_init(|| kept).dir)
    }
}

impl Drop for Place {
    /// Takes a long chain of ancestors apart step by step: a tree may be deeper than the stack.
    fn drop(&mut self) {
        let mut above = self.above.take();
        while let Some((place, _)) = above {
            above = Arc::into_inner(place).and_then(|mut place| place.above.take());
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.tree.spare.fetch_add(1, Ordering::Relaxed);
    }
}

impl Deref for Opened<'_> {
    type Target = Dir;

    fn deref(&self) -> &Dir {
        match self {
            Self::Kept(dir) => dir,
            Self::Momentary(dir) => dir,
        }
    }
}
