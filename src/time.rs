//! Points in time as text: UTC, RFC 3339, milliseconds. The home of `jiff`.

use std::time::SystemTime;

use jiff::Timestamp;

/// Milliseconds, as `2026-11-23T22:25:01.123Z`. A clock beyond year 9999 shows the end of that year.
pub fn to_rfc3339(time: SystemTime) -> String {
    format!("{:.3}", timestamp(time))
}

/// For file names: sorts in time, holds no colon, as `20261123T222501Z`.
pub fn to_file_stamp(time: SystemTime) -> String {
    timestamp(time).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Reads what [`to_rfc3339`] wrote.
pub fn from_rfc3339(text: &str) -> Option<SystemTime> {
    text.parse::<Timestamp>().ok().and_then(|time| SystemTime::try_from(time).ok())
}

fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_472_701_042);
        assert_eq!(to_rfc3339(time), "2026-11-23T22:25:01.042Z");
        assert_eq!(to_file_stamp(time), "20261123T222501Z");
        assert_eq!(from_rfc3339(&to_rfc3339(time)), Some(time));
        assert_eq!(to_rfc3339(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
    }
}
