//! What is wrong with a DSN. The text of the DSN is never repeated: it may hold a password.

/// The part of a DSN that is wrong, and what should stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} is wrong: {instead}")]
pub struct DsnError {
    part: &'static str,
    instead: &'static str,
}

pub(super) type Parsed<T> = Result<T, DsnError>;

pub(super) fn wrong<T>(part: &'static str, instead: &'static str) -> Parsed<T> {
    Err(DsnError { part, instead })
}
