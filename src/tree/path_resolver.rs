//! The path from a root down to a directory, walked name by name and remembered for a moment.
//!
//! A deletion must not go through a handle that was opened long ago: the directory may have been
//! moved out of the tree since, and its contents would be deleted in their new place. So the path
//! is walked again from the root. Only the last few steps of the previous walk are reused, if they
//! are younger than [`MAX_HANDLE_AGE`].

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dir::Dir;
use super::dir_ref::Tree;
use super::stat::Freshness;
use crate::model::RelPath;

/// The age up to which a handle is trusted to be where it was found, both by the next walk and by
/// the caller that walked there.
///
/// The two together bound for how long after a directory was moved away something in it may still
/// be deleted: a second. A walk for every name would double the cost of a deletion.
pub const MAX_HANDLE_AGE: Duration = Duration::from_millis(500);

/// A walk through one tree.
#[derive(Debug)]
pub struct PathResolver {
    tree: Arc<Tree>,
    /// The largest number of steps that are remembered.
    remembered: usize,
    path: RelPath,
    /// The last steps of the path.
    steps: VecDeque<OpenStep>,
}

#[derive(Debug)]
struct OpenStep {
    /// The number of names from the root to this directory.
    depth: usize,
    dir: Dir,
    /// The time when the walk from the root began that led here.
    begun: Instant,
}

impl PathResolver {
    /// Begins at the root. At most `remembered` directories stay open, and at least one.
    pub fn new(tree: &Arc<Tree>, remembered: usize) -> Self {
        let (path, steps) = (RelPath::root(), VecDeque::new());
        Self { tree: Arc::clone(tree), remembered: remembered.max(1), path, steps }
    }

    /// Opens the directory that lies `depth` names down the path.
    ///
    /// Fails as [`Dir::open_dir`] does if it or a directory on the way is gone, is not a directory
    /// any more, or is on another file system.
    pub fn open(&mut self, path: &RelPath, depth: usize) -> io::Result<&Dir> {
        let known = self
            .path
            .names()
            .zip(path.names())
            .take(depth)
            .take_while(|(left, right)| left == right)
            .count();
        self.steps.retain(|step| step.depth <= known && step.begun.elapsed() < MAX_HANDLE_AGE);
        self.path = path.clone();
        let (walked, begun) =
            self.steps.back().map_or((0, Instant::now()), |step| (step.depth, step.begun));
        for (name, depth) in path.names().take(depth).zip(1..).skip(walked) {
            let above = self.steps.back().map_or(self.tree.root(), |step| &step.dir);
            // An NFS client finds a name that it once found here until it learns that the directory
            // has changed. This call makes it ask the server.
            above.look_at_self(Freshness::Server)?;
            let step = OpenStep { depth, dir: above.open_dir(name)?, begun };
            if self.steps.len() == self.remembered {
                self.steps.pop_front();
            }
            self.steps.push_back(step);
        }
        Ok(self.steps.back().map_or(self.tree.root(), |step| &step.dir))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn open(path_resolver: &mut PathResolver, path: &str) -> io::Result<u64> {
        let path = RelPath::from(path);
        let depth = path.names().count();
        path_resolver.open(&path, depth).and_then(Dir::identity).map(|(_, _, inode)| inode)
    }

    #[test]
    fn every_way_ends_where_the_path_does_however_little_is_remembered() {
        use std::os::unix::fs::MetadataExt as _;
        let scratch = tempfile::tempdir().unwrap();
        let paths = ["a/b/c/d", "a/b/c", "a/x", "a/b/c/e", "", "z/b/c", "a", "a/b/c/d"];
        for path in paths {
            fs::create_dir_all(scratch.path().join(path)).unwrap();
        }
        let tree = Arc::new(Tree::open(scratch.path()).unwrap());
        for remembered in 0..6 {
            let mut path_resolver = PathResolver::new(&tree, remembered);
            for path in paths {
                let inode = fs::metadata(scratch.path().join(path)).unwrap().ino();
                assert_eq!(
                    open(&mut path_resolver, path).unwrap(),
                    inode,
                    "{path} remembering {remembered}"
                );
            }
            assert_eq!(
                open(&mut path_resolver, "a/none/x").unwrap_err().kind(),
                io::ErrorKind::NotFound
            );
            assert!(
                open(&mut path_resolver, "a/b").is_ok(),
                "a failed walk does not mislead the next one"
            );
        }
    }

    #[test]
    fn a_step_that_is_a_symlink_now_is_not_taken() {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir_all(scratch.path().join("real/sub")).unwrap();
        std::os::unix::fs::symlink("real", scratch.path().join("link")).unwrap();
        let tree = Arc::new(Tree::open(scratch.path()).unwrap());
        assert!(open(&mut PathResolver::new(&tree, 4), "link/sub").is_err());
    }
}
