//! The error of arguments that make no sense.

use std::fmt;

/// Arguments that make no sense. The message tells what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

pub(super) type Checked<T> = Result<T, ConfigError>;

pub(super) fn wrong<T>(message: impl fmt::Display) -> Checked<T> {
    Err(ConfigError(message.to_string()))
}
