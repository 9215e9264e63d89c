//! Attempt: one entry that is being carried. If something changes under it, the entry is looked at
//! and tried again.

use std::borrow::Cow;
use std::sync::Arc;

use super::done::Done;
use super::file::copier::Copier;
use super::tools::Tools;
use crate::model::{Carry, Decision, Entry, EntryKind, Failure, Joined, Name};
use crate::pipeline::classify::classify;
use crate::pipeline::context::Context;
use crate::pipeline::halt::{Doing, Halt, OpResult};
use crate::pipeline::node::DirNode;
use crate::pipeline::operation::CarryEntry;
use crate::tree::{Freshness, OpenDir};

/// How often an operation is tried in all if something changes under it.
const ATTEMPTS: usize = 3;

/// A source larger than this that changed while it was read is not read again at once, because it
/// is probably still being written.
const LARGE: u64 = 64 * 1024 * 1024;

/// One entry that is being carried. What is known of both sides is replaced when they are looked at
/// again.
pub(super) struct Attempt<'w, 'a> {
    pub(super) tools: &'w Tools<'a>,
    pub(super) context: &'w Context<'a>,
    pub(super) node: &'w Arc<DirNode>,
    pub(super) name: &'w Name,
    pub(super) copier: &'w mut Copier<'a>,
    /// A temporary that may hold the beginning of the file, until one attempt has taken it.
    pub(super) leftover: Option<&'w Name>,
    carry: Cow<'w, Carry<Entry>>,
}

impl<'w, 'a> Attempt<'w, 'a> {
    pub(super) fn new(
        tools: &'w Tools<'a>,
        node: &'w Arc<DirNode>,
        entry: &'w CarryEntry,
        copier: &'w mut Copier<'a>,
    ) -> Self {
        let CarryEntry { name, carry, leftover } = entry;
        let (context, leftover, carry) = (tools.context, leftover.as_ref(), Cow::Borrowed(carry));
        Self { tools, context, node, name, copier, leftover, carry }
    }

    pub(super) fn carry(&mut self) -> OpResult<Done> {
        let mut result = self.attempt();
        for _ in 1..ATTEMPTS {
            match result {
                Err(Halt::SourceChanged)
                    if self.source().file_len().is_some_and(|len| len > LARGE) =>
                {
                    break;
                }
                Err(Halt::Overtaken | Halt::SourceChanged) => {}
                _ => break,
            }
            if let Some(decided) = self.decide_again()? {
                return Ok(decided);
            }
            result = self.attempt();
        }
        result
    }

    /// The source entry that the decision rests on.
    pub(super) fn source(&self) -> &Entry {
        self.carry.source()
    }

    /// The destination entry that the decision rests on. `None` if the name is to be created.
    pub(super) fn dest(&self) -> Option<&Entry> {
        self.carry.dest()
    }

    fn attempt(&mut self) -> OpResult<Done> {
        self.expect_mtime_is_kept()?;
        match &*self.carry {
            Carry::Compare { tie: false, .. } => self.compare_then_carry(),
            Carry::Compare { tie: true, .. } => self.compare_then_break_tie(),
            Carry::Create { source } | Carry::Replace { source, .. } => match &source.kind {
                EntryKind::Symlink { target } => {
                    let target = target.clone();
                    self.copy_symlink(&target)
                }
                _ => self.copy_file(None),
            },
        }
    }

    /// Looks at both sides and classifies them again. `None` if there is still something to carry.
    fn decide_again(&mut self) -> OpResult<Option<Done>> {
        let name = self.name;
        let source = self
            .open_source_dir()?
            .look(name, Freshness::Server)
            .at_source("looking at the source again")?;
        let dest = self
            .open_dest_dir()?
            .look(name, Freshness::Server)
            .at_dest("looking at the destination again")?;
        if let (None, Some(found)) = (self.dest(), &dest) {
            self.context.evidence.aliased(found);
        }
        let Some(joined) = Joined::new(source.as_ref(), dest.as_ref()) else {
            return Ok(Some(Done::Gone));
        };
        match classify(joined, &self.context.rules) {
            Decision::Carry(carry) => {
                self.carry = Cow::Owned(carry.cloned());
                Ok(None)
            }
            Decision::Leave(left) => Ok(Some(Done::Left(left))),
            Decision::OnlyAtDest(_) => Ok(Some(Done::Gone)),
            Decision::Descend => {
                Err(Halt::Failed(Failure::deferred("became a directory while being copied")))
            }
            Decision::Fail(failure) => Err(Halt::Failed(failure)),
        }
    }

    pub(super) fn open_source_dir(&self) -> OpResult<OpenDir<'w>> {
        self.node.source.open().at_source("opening the source directory")
    }

    pub(super) fn open_dest_dir(&self) -> OpResult<OpenDir<'w>> {
        self.tools.open_dest(self.node)
    }
}
