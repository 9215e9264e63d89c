//! Choices among a fixed set of values, apart from how they are typed.

use std::time::Duration;

use crate::cli::{ChecksumArg, FormatArg, FsyncArg, ProgressArg};
use crate::pipeline::{Checksum, Fsync};

/// The format of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// JSON Lines.
    Json,
}

/// The style in which progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressStyle {
    /// Bars on a terminal, lines elsewhere.
    Auto,
    /// Bars.
    Bars,
    /// A line from time to time.
    Log,
    /// No progress.
    None,
}

/// When files are written through to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsyncChoice {
    /// Each file on a network file system, all at the end on a local one.
    Auto,
    /// Each file before it gets its name.
    Always,
    /// Whenever the kernel does it.
    Never,
}

/// `--if-locked`: what to do if the pair is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfLocked {
    /// Skip this run.
    Skip,
    /// Wait for at most this long.
    Wait(Duration),
    /// Fail with exit code 75.
    Fail,
}

impl FsyncChoice {
    /// What the choice means for a destination on a network file system, or on a local one.
    pub(crate) fn on(self, network: bool) -> Fsync {
        match self {
            Self::Auto if network => Fsync::EachFile,
            Self::Auto => Fsync::AtEnd,
            Self::Always => Fsync::EachFile,
            Self::Never => Fsync::Never,
        }
    }
}

impl From<FormatArg> for Format {
    fn from(arg: FormatArg) -> Self {
        match arg {
            FormatArg::Text => Self::Text,
            FormatArg::Json => Self::Json,
        }
    }
}

impl From<ProgressArg> for ProgressStyle {
    fn from(arg: ProgressArg) -> Self {
        match arg {
            ProgressArg::Auto => Self::Auto,
            ProgressArg::Bars => Self::Bars,
            ProgressArg::Log => Self::Log,
            ProgressArg::None => Self::None,
        }
    }
}

impl From<FsyncArg> for FsyncChoice {
    fn from(arg: FsyncArg) -> Self {
        match arg {
            FsyncArg::Auto => Self::Auto,
            FsyncArg::Always => Self::Always,
            FsyncArg::Never => Self::Never,
        }
    }
}

impl From<ChecksumArg> for Checksum {
    fn from(arg: ChecksumArg) -> Self {
        match arg {
            ChecksumArg::Mismatch => Self::Mismatch,
            ChecksumArg::Always => Self::Always,
            ChecksumArg::Never => Self::Never,
        }
    }
}
