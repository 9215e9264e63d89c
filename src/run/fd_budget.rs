//! Descriptor budget: how the process's limit on open files is shared out.

use super::exit::StartError;

/// What the process's limit on open files allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FdBudget {
    pub(super) workers: usize,
    pub(super) scan_threads: usize,
    /// Directories that each tree may keep open.
    pub(super) handles: usize,
}

impl FdBudget {
    /// Standard streams, lock, opslog, the roots, and what libraries open.
    const FIXED: usize = 16;
    /// For each worker: both directories and both files, and one directory on the way to a deep one
    /// on each side.
    const WORKER: usize = 6;
    /// For each scan thread: both directories, and one directory on the way on each side.
    const SCAN_THREAD: usize = 4;
    /// Handles that a tree keeps at least. With fewer, even a small tree is walked from its root
    /// all the time.
    const HANDLES: usize = 4;
    /// Handles that a tree keeps at most. More directories than this are never in work at once.
    const HANDLES_AT_MOST: usize = 16 * 1024;

    /// The shares within `limit`. If it is too low for all threads, takes some away, first from the
    /// scan, then from the workers. Fails if not even one of each fits.
    pub(super) fn of(
        limit: usize,
        workers: usize,
        scan_threads: usize,
    ) -> Result<Self, StartError> {
        let for_threads = limit
            .checked_sub(Self::FIXED + 2 * Self::HANDLES)
            .filter(|files| *files >= Self::WORKER + Self::SCAN_THREAD)
            .ok_or(StartError::OpenFiles(limit))?;
        let fit_workers = workers.min((for_threads - Self::SCAN_THREAD) / Self::WORKER);
        let fit_scan =
            scan_threads.min((for_threads - fit_workers * Self::WORKER) / Self::SCAN_THREAD);
        if (fit_workers, fit_scan) != (workers, scan_threads) {
            tracing::warn!(
                "only {limit} files may be open: running with {fit_workers} workers and {fit_scan} scan threads. {}",
                "Raise the limit, as with `ulimit -n 65536`, for all of them"
            );
        }
        let rest = limit - Self::FIXED - fit_workers * Self::WORKER - fit_scan * Self::SCAN_THREAD;
        Ok(Self {
            workers: fit_workers,
            scan_threads: fit_scan,
            handles: (rest / 2).min(Self::HANDLES_AT_MOST),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_fit_the_limit_on_open_files() {
        for limit in 34..3000 {
            for (workers, scan) in [(1, 1), (4, 8), (64, 32), (1024, 1024)] {
                let fd_budget = FdBudget::of(limit, workers, scan).unwrap();
                let used = FdBudget::FIXED
                    + fd_budget.workers * 6
                    + fd_budget.scan_threads * 4
                    + 2 * fd_budget.handles;
                assert!(
                    used <= limit && fd_budget.workers >= 1 && fd_budget.scan_threads >= 1,
                    "{limit}: {fd_budget:?}"
                );
            }
        }
        assert_eq!(
            FdBudget::of(4096, 4, 8).unwrap(),
            FdBudget { workers: 4, scan_threads: 8, handles: 2012 }
        );
        assert!(FdBudget::of(33, 1, 1).is_err());
    }
}
