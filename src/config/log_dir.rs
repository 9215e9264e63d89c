//! The log directory: where opslogs are written.

use std::path::{Path, PathBuf};

/// The choice of the log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogDirChoice {
    /// The directory that the user named.
    Given(PathBuf),
    /// The system's directory or, if that cannot be used, the user's.
    Default {
        /// The directory that is tried first.
        system: PathBuf,
        /// The directory that is tried next. `None` if there is no home directory.
        user: Option<PathBuf>,
    },
}

impl LogDirChoice {
    /// The directory that is tried first.
    pub(crate) fn first(&self) -> &Path {
        match self {
            Self::Given(path) | Self::Default { system: path, .. } => path,
        }
    }
}

/// The value of `--log-dir`, or the default.
pub fn log_dir(given: Option<&Path>) -> LogDirChoice {
    if let Some(path) = given {
        return LogDirChoice::Given(path.to_owned());
    }
    let absolute = |variable: &str| {
        std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
    };
    let user = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    LogDirChoice::Default {
        system: "/var/log/ha-sync".into(),
        user: user.map(|state| state.join("ha-sync")),
    }
}
