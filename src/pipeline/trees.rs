//! The two trees of a run.

use std::sync::Arc;

use super::error::Error;
use super::node::DirNode;
use crate::model::Joined;
use crate::tree::{DirRef, Freshness, Tree};

/// The two open trees.
#[derive(Clone, Debug)]
pub struct Trees {
    /// The tree that is read.
    pub source: Arc<Tree>,
    /// The tree that is changed.
    pub dest: Arc<Tree>,
}

impl Trees {
    /// The node of the two roots. Fails if a root cannot be looked at.
    pub(super) fn root_node(&self) -> Result<Arc<DirNode>, Error> {
        let look = |tree: &Arc<Tree>| {
            let error = |error| Error::Root { path: tree.path().to_owned(), error };
            tree.root().look_at_self(Freshness::Cached).map_err(error)
        };
        let joined = Joined::Both(look(&self.source)?, look(&self.dest)?);
        let root = |tree: &Arc<Tree>| DirRef::root(Arc::clone(tree));
        Ok(DirNode::root(root(&self.source), root(&self.dest), joined))
    }
}
