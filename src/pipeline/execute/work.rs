//! One entry on its way: tried, and tried again with a fresh look where something changed under it.

use std::io;
use std::sync::Arc;

use super::Done;
use super::data::Mover;
use super::step::{Doing, Halt, Step};
use crate::model::{Action, Decision, Failure, Joined};
use crate::pipeline::classify::classify;
use crate::pipeline::operation::Carry;
use crate::pipeline::pair::Pair;
use crate::pipeline::stage::Stage;
use crate::tree::{Freshness, Opened};

/// How often an operation starts over because something changed under it.
const ATTEMPTS: usize = 3;

/// A source this large that changed while it was read is not read again at once: it is probably still being written.
const LARGE: u64 = 64 * 1024 * 1024;

/// One entry being carried: what is known of both sides may be replaced by a fresh look.
pub(super) struct Work<'w, 'a> {
    pub(super) stage: &'w Stage<'a>,
    pub(super) pair: &'w Arc<Pair>,
    pub(super) carry: Carry,
    pub(super) mover: &'w mut Mover<'a>,
}

impl<'w> Work<'w, '_> {
    pub(super) fn carry(&mut self) -> Step<Done> {
        let mut result = self.attempt();
        for _ in 1..ATTEMPTS {
            match result {
                Err(Halt::SourceChanged) if self.carry.source.file_len().is_some_and(|len| len > LARGE) => {
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

    fn attempt(&mut self) -> Step<Done> {
        self.expect_mtime_is_kept()?;
        match self.carry.action.clone() {
            Action::CopyFile { .. } => self.copy_file(None),
            Action::CompareThenCarry { len } => self.compare_then_carry(len),
            Action::CompareThenBreakTie { len } => self.compare_then_break_tie(len),
            Action::CopySymlink { target } => self.copy_symlink(&target),
        }
    }

    /// Looks at both sides and classifies them. Nothing is returned where there is still something to carry.
    fn decide_again(&mut self) -> Step<Option<Done>> {
        let name = &self.carry.name;
        let source =
            self.open_source_dir()?.look(name, Freshness::Server).at_source("looking at the source again")?;
        let dest = self
            .open_dest_dir()?
            .look(name, Freshness::Server)
            .at_dest("looking at the destination again")?;
        if let (None, Some(found)) = (&self.carry.dest, &dest) {
            self.stage.evidence.met(found);
        }
        let decision = Joined::new(source.as_ref(), dest.as_ref())
            .map(|joined| classify(joined, &self.stage.options.rules));
        Ok(match (decision, source) {
            (Some(Decision::Act(action)), Some(source)) => {
                let leftover = self.carry.leftover.take();
                self.carry = Carry { name: self.carry.name.clone(), source, dest, action, leftover };
                None
            }
            (Some(Decision::InSync { close }), _) => Some(Done::InSync { close }),
            (Some(Decision::KeepDest), _) => Some(Done::NewerAtDest),
            (Some(Decision::Conflict { source, dest }), _) => {
                return Err(Halt::Failed(Failure::conflict(source, dest)));
            }
            (Some(Decision::SkipSpecial), _) => Some(Done::Special),
            (Some(Decision::SkipYoung), _) => Some(Done::TooYoung),
            (Some(Decision::SkipMountPoint), _) => Some(Done::NotEntered),
            (Some(Decision::Unknown { side, errno }), _) => {
                let error = io::Error::from_raw_os_error(errno);
                return Err(error).on(side, &format!("looking at {}", side.name()));
            }
            (Some(Decision::Descend), _) => {
                return Err(Halt::Failed(Failure::deferred("became a directory while being copied")));
            }
            // Gone from the source.
            (Some(Decision::Extra | Decision::Act(_)) | None, _) => Some(Done::NothingLeft),
        })
    }

    pub(super) fn open_source_dir(&self) -> Step<Opened<'w>> {
        self.pair.source.open().at_source("opening the source directory")
    }

    pub(super) fn open_dest_dir(&self) -> Step<Opened<'w>> {
        self.stage.open_dest(self.pair)
    }
}
