//! The values of flags that have a fixed set of them.

use clap::ValueEnum;

/// `--checksum`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ChecksumArg {
    /// Where mtimes differ and sizes do not
    Mismatch,
    /// Also where mtimes are equal
    Always,
    /// Never: a newer mtime means a copy
    Never,
}

/// `--fsync`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FsyncArg {
    /// Each file on a network file system, all at the end on a local one
    Auto,
    /// Each file before it gets its name
    Always,
    /// When the kernel likes
    Never,
}

/// `--lock`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LockArg {
    /// A Lease inside a Kubernetes cluster, a lock file elsewhere
    Auto,
    /// A Kubernetes Lease; outside a cluster by way of the kubeconfig
    Lease,
    /// A lock file in the log directory
    File,
    /// No lock: see to it yourself that no two runs of a pair overlap
    None,
}

/// `--format` and `--log-format`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// For people
    Text,
    /// JSON Lines
    Json,
}

/// `--progress`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressArg {
    /// Bars on a terminal, lines elsewhere
    Auto,
    /// Bars
    Bars,
    /// A line every 30 s
    Log,
    /// Nothing
    None,
}
