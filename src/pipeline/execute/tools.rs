//! Tools: what the workers of one run share, with what they have found out so far.

use super::metadata::mtimes::Mtimes;
use super::notices::Notices;
use super::pace::Pace;
use crate::pipeline::context::Context;

/// What the workers share, besides the run's context.
pub(in crate::pipeline) struct Tools<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) notices: Notices,
    pub(super) mtimes: Mtimes,
    pub(super) pace: Pace,
}

impl<'a> Tools<'a> {
    pub(in crate::pipeline) fn new(context: &'a Context<'a>) -> Self {
        Self {
            context,
            notices: Notices::default(),
            mtimes: Mtimes::default(),
            pace: Pace::new(context.options.io.bwlimit),
        }
    }
}
