//! The highlights of a run: what a person should know by name, and not only by count.

/// The first paths of each kind that the summary names, each as `what  path: reason`.
#[derive(Clone, Debug, Default)]
pub struct Highlights {
    /// Paths that failed.
    pub failures: Vec<String>,
    /// Candidates for deletion that were left alone.
    pub spared: Vec<String>,
}
