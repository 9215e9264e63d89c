//! What goes into a column and comes out of one, the same for every database.

use crate::time::{from_rfc3339, to_rfc3339};

/// One column of one row. A time is text, `2026-11-23 22:25:01.123`, UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Value {
    /// A count; beyond 2^63, the greatest number that fits.
    pub(super) fn count(count: u64) -> Self {
        Self::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// A count for an `INT` of the first release. The exact count is among the run's `counts`.
    pub(super) fn small_count(count: u64) -> Self {
        Self::Int(i32::try_from(count).unwrap_or(i32::MAX).into())
    }

    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// A time, given as RFC 3339 in UTC, as all of ours are.
    pub(super) fn time(rfc3339: &str) -> Self {
        Self::Text(rfc3339.trim_end_matches('Z').replacen('T', " ", 1))
    }

    pub(super) fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Text(digits) => digits.parse().ok(),
            Self::Null | Self::Bytes(_) => None,
        }
    }

    /// A count; 0 if there is none.
    pub(super) fn as_count(&self) -> u64 {
        self.as_int().and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
    }

    pub(super) fn as_text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Int(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone()),
            Self::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
            Self::Null | Self::Int(_) => &[],
        }
    }

    /// A time as RFC 3339 with milliseconds. Text that is not a time is returned as it is.
    pub(super) fn as_time(&self) -> Option<String> {
        let text = self.as_text()?;
        let rfc3339 = format!("{}Z", text.replacen(' ', "T", 1));
        Some(from_rfc3339(&rfc3339).map_or(text, to_rfc3339))
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::count(count)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Int(yes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_in_and_come_out_as_they_were() {
        let time = Value::time("2026-11-23T22:25:01.042Z");
        assert_eq!(time, Value::text("2026-11-23 22:25:01.042"));
        assert_eq!(time.as_time().unwrap(), "2026-11-23T22:25:01.042Z");
        assert_eq!(
            Value::text("2020-01-02 03:04:05").as_time().unwrap(),
            "2020-01-02T03:04:05.000Z"
        );
    }

    #[test]
    fn counts_that_do_not_fit_are_the_greatest_that_do() {
        assert_eq!(Value::small_count(1 << 40), Value::Int(i32::MAX.into()));
        assert_eq!(Value::count(u64::MAX), Value::Int(i64::MAX));
    }
}
