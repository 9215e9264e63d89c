//! A reference to a directory of a tree, with an open handle while the limit on handles allows.
//!
//! A [`DirRef`] is opened from its nearest open ancestor, name by name. So no path is ever
//! resolved, and depth has no limit. A handle stays open as long as its `DirRef` is in use and the
//! process's limit allows it. Beyond the limit, a directory is opened for the moment and closed
//! again.

use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::dir::Dir;
use super::listing_part::holds;
use super::network::is_network;
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
    /// Opens the tree at `path`. No handles but the root's stay open until `keeping_open`.
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

    /// Whether the root's path still leads to the directory that was opened.
    pub fn is_in_place(&self) -> io::Result<bool> {
        Ok(Dir::open_root(&self.path)?.identity()? == self.root.identity()?)
    }

    /// Whether the root now holds a file, symlink or directory that is not reserved and is
    /// `wanted`.
    pub fn holds(&self, wanted: impl FnMut(&[u8], &Entry) -> bool) -> io::Result<bool> {
        // This needs a handle of its own: a handle can be listed only once.
        holds(&Dir::open_root(&self.path)?, wanted)
    }

    /// The number of handles that may still be kept open.
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
pub struct DirRef {
    tree: Arc<Tree>,
    /// The parent and the name in it. `None` for the root.
    above: Option<(Arc<DirRef>, Name)>,
    kept: OnceLock<Kept>,
}

/// A handle that counts towards the tree's limit.
#[derive(Debug)]
struct Kept {
    dir: Dir,
    tree: Arc<Tree>,
}

/// An open directory: one that stays open, or one for the moment.
#[derive(Debug)]
pub enum OpenDir<'a> {
    /// Stays open as long as its `DirRef` lives.
    Kept(&'a Dir),
    /// Closed when this value is dropped.
    Momentary(Dir),
}

impl DirRef {
    /// The root of a tree.
    pub fn root(tree: Arc<Tree>) -> Arc<Self> {
        Arc::new(Self { tree, above: None, kept: OnceLock::new() })
    }

    /// The directory of that name in this one.
    pub fn child(self: &Arc<Self>, name: &[u8]) -> Arc<Self> {
        let above = Some((Arc::clone(self), Name::new(name)));
        Arc::new(Self { tree: Arc::clone(&self.tree), above, kept: OnceLock::new() })
    }

    /// The tree that this directory is in.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.above.is_none()
    }

    /// The parent directory, and this one's name in it. `None` for the root.
    pub fn above(&self) -> Option<(&Arc<Self>, &Name)> {
        self.above.as_ref().map(|(dir_ref, name)| (dir_ref, name))
    }

    /// The path from the root.
    pub fn path(&self) -> RelPath {
        let mut names: Vec<&[u8]> = Vec::new();
        let mut dir_ref = self;
        while let Some((above, name)) = &dir_ref.above {
            names.push(name);
            dir_ref = above;
        }
        RelPath::from_names(names.into_iter().rev())
    }

    /// Opens the directory, or returns the handle that is kept.
    ///
    /// Fails as `openat` does if this directory or one on the way is gone, may not be opened, or is
    /// not a directory any more (`ENOTDIR`, also for a symlink). Fails with `EXDEV` if another file
    /// system is mounted on one of them.
    pub fn open(&self) -> io::Result<OpenDir<'_>> {
        if let Some(dir) = self.kept_dir() {
            return Ok(OpenDir::Kept(dir));
        }
        let mut closed = vec![self];
        let mut nearest = self.above.as_ref().map_or(self, |(above, _)| above);
        while nearest.kept_dir().is_none() {
            closed.push(nearest);
            nearest = nearest.above.as_ref().map_or(nearest, |(above, _)| above);
        }
        let mut opened = OpenDir::Kept(nearest.kept_dir().unwrap_or(&self.tree.root));
        for dir_ref in closed.into_iter().rev() {
            if let Some((_, name)) = &dir_ref.above {
                opened = dir_ref.keep(opened.open_dir(name)?);
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

    /// Keeps a handle of this directory open, unless the limit is reached or another thread has
    /// kept one already.
    pub fn keep(&self, dir: Dir) -> OpenDir<'_> {
        let take = |spare: usize| spare.checked_sub(1);
        if self.tree.spare.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return OpenDir::Momentary(dir);
        }
        let kept = Kept { dir, tree: Arc::clone(&self.tree) };
        OpenDir::Kept(&self.kept.get_or_init(|| kept).dir)
    }
}

impl Drop for DirRef {
    /// Drops a long chain of ancestors in a loop: recursion could overflow the stack in a deep
    /// tree.
    fn drop(&mut self) {
        let mut above = self.above.take();
        while let Some((dir_ref, _)) = above {
            above = Arc::into_inner(dir_ref).and_then(|mut dir_ref| dir_ref.above.take());
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.tree.spare.fetch_add(1, Ordering::Relaxed);
    }
}

impl Deref for OpenDir<'_> {
    type Target = Dir;

    fn deref(&self) -> &Dir {
        match self {
            Self::Kept(dir) => dir,
            Self::Momentary(dir) => dir,
        }
    }
}
