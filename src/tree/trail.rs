//! The way from a root down to a directory, walked name by name and remembered for a moment.
//!
//! Whoever deletes must not do it through a handle that was opened long ago: the directory may have
//! been moved out of the tree since, and what is in it would be deleted there. So the way is
//! walked anew from the root, but for the last few steps of the walk before, if they are young.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dir::{Dir, Freshness};
use super::place::Tree;
use crate::model::RelPath;

/// What was walked longer ago is not trusted to be where it was, neither by the next walk nor by whoever walked
/// there. Both together bound how long after a directory was moved away something in it may still be
/// deleted: a second. Walking there for every name would double the price of a deletion.
pub const TRUSTED: Duration = Duration::from_millis(500);

/// A walk through one tree.
#[derive(Debug)]
pub struct Trail {
    tree: Arc<Tree>,
    /// Steps that are remembered at most.
    remembered: usize,
    path: RelPath,
    /// The last steps of the way, each with the number of names up to it.
    steps: VecDeque<Step>,
}

#[derive(Debug)]
struct Step {
    depth: usize,
    dir: Dir,
    /// When the walk from the root began that led here.
    begun: Instant,
}

impl Trail {
    /// Begins at the root. At most `remembered` directories stay open, one at least.
    pub fn new(tree: &Arc<Tree>, remembered: usize) -> Self {
        let (path, steps) = (RelPath::root(), VecDeque::new());
        Self { tree: Arc::clone(tree), remembered: remembered.max(1), path, steps }
    }

    /// Opens the directory that lies `depth` names down the path.
    ///
    /// Fails as [`Dir::open_dir`] does where it or a directory on the way is gone, no directory any more, or
    /// on another file system.
    pub fn open(&mut self, path: &RelPath, depth: usize) -> io::Result<&Dir> {
        let known =
            self.path.names().zip(path.names()).take(depth).take_while(|(left, right)| left == right).count();
        self.steps.retain(|step| step.depth <= known && step.begun.elapsed() < TRUSTED);
        self.path = path.clone();
        let (walked, begun) = self.steps.back().map_or((0, Instant::now()), |step| (step.depth, step.begun));
        for (name, depth) in path.names().take(depth).zip(1..).skip(walked) {
            let above = self.steps.back().map_or(self.tree.root(), |step| &step.dir);
            // An NFS client goes on finding what it once found here until it learns that the directory has changed.
            above.look_at_self(Freshness::Server)?;
            let step = Step { depth, dir: above.open_dir(name)?, begun };
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

    fn open(trail: &mut Trail, path: &str) -> io::Result<u64> {
        let path = RelPath::from(path);
        let depth = path.names().count();
        trail.open(&path, depth).and_then(Dir::identity).map(|(_, _, inode)| inode)
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
            let mut trail = Trail::new(&tree, remembered);
            for path in paths {
                let inode = fs::metadata(scratch.path().join(path)).unwrap().ino();
                assert_eq!(open(&mut trail, path).unwrap(), inode, "{path} remembering {remembered}");
            }
            assert_eq!(open(&mut trail, "a/none/x").unwrap_err().kind(), io::ErrorKind::NotFound);
            assert!(open(&mut trail, "a/b").is_ok(), "a failed walk does not mislead the next one");
        }
    }

    #[test]
    fn a_step_that_is_a_symlink_now_is_not_taken() {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir_all(scratch.path().join("real/sub")).unwrap();
        std::os::unix::fs::symlink("real", scratch.path().join("link")).unwrap();
        let tree = Arc::new(Tree::open(scratch.path()).unwrap());
        assert!(open(&mut Trail::new(&tree, 4), "link/sub").is_err());
    }
}
