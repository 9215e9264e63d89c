//! Times as text: points in time in UTC (RFC 3339) and durations. Also the clock that never stands
//! still. The home of `jiff`.

use std::time::{Duration, SystemTime};

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{Span, SpanRelativeTo, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// A time in UTC with milliseconds, as `2026-11-23T22:25:01.123Z`.
///
/// A time beyond the years -9999 to 9999 becomes the nearer end of them.
pub fn to_rfc3339(time: SystemTime) -> String {
    format!("{:.3}", timestamp(time))
}

/// A time in UTC with microseconds, as `2026-11-23T22:25:01.123456Z`.
///
/// The API server accepts no other form for its `MicroTime`.
pub fn to_rfc3339_micro(time: SystemTime) -> String {
    format!("{:.6}", timestamp(time))
}

/// Parses the `Date` header of an HTTP response. `None` if it is not a date.
pub fn from_http_date(text: &str) -> Option<SystemTime> {
    let time = DateTimeParser::new().parse_timestamp(text).ok()?;
    SystemTime::try_from(time).ok()
}

/// Time since the machine was booted. This clock runs while the process is stopped and while the
/// machine sleeps, and nobody can set it.
pub fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// A time for file names, as `20261123T222501Z`. It sorts by time and has no colon.
pub fn to_file_stamp(time: SystemTime) -> String {
    timestamp(time).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Parses what [`to_rfc3339`] wrote. `None` if it is not such a time.
pub fn from_rfc3339(text: &str) -> Option<SystemTime> {
    text.parse::<Timestamp>().ok().and_then(|time| SystemTime::try_from(time).ok())
}

/// Parses a duration as people write it: `90s`, `10m`, `1h 30m`, `2d` (of 24 hours each). A bare
/// number is seconds.
///
/// `None` if the text is not a duration, is negative, or is in months or years, which have no fixed
/// length.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let span: Span = text.parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(duration).ok()
}

fn timestamp(time: SystemTime) -> Timestamp {
    let beyond = if time < SystemTime::UNIX_EPOCH { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::try_from(time).unwrap_or(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_472_701_042);
        assert_eq!(to_rfc3339(time), "2026-11-23T22:25:01.042Z");
        assert_eq!(to_file_stamp(time), "20261123T222501Z");
        assert_eq!(from_rfc3339(&to_rfc3339(time)), Some(time));
        assert_eq!(to_rfc3339(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn what_an_api_server_says_of_times_is_read() {
        let date = from_http_date("Wed, 25 Nov 2026 21:13:56 GMT").unwrap();
        assert_eq!(to_rfc3339_micro(date), "2026-11-25T21:13:56.000000Z");
        let micro = date + Duration::from_micros(7);
        assert_eq!(from_rfc3339(&to_rfc3339_micro(micro)), Some(micro));
        assert_eq!(from_http_date("yesterday"), None);
    }

    #[test]
    fn a_time_beyond_all_years_is_at_the_nearer_end() {
        let twelve_thousand_years = Duration::from_secs(12_000 * 366 * 24 * 3600);
        assert!(to_rfc3339(SystemTime::UNIX_EPOCH - twelve_thousand_years).starts_with("-009999-"));
        assert!(to_rfc3339(SystemTime::UNIX_EPOCH + twelve_thousand_years).starts_with("9999-"));
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        let cases = [
            ("90", 90),
            ("90s", 90),
            ("10m", 600),
            ("1h", 3600),
            ("1h 30m", 5400),
            ("1h30m", 5400),
            ("2d", 172_800),
            ("1 hour", 3600),
            ("0", 0),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "soon", "-1h", "-5", "1 month", "1x", "10mm"] {
            assert_eq!(parse_duration(bad), None, "{bad:?}");
        }
    }
}
