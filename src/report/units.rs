//! Numbers in a form that people read.

use std::fmt;
use std::time::Duration;

/// Bytes in powers of 1024, with three digits: `1.25 GiB`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes(pub(super) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 999.5 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        let digits = match value {
            _ if unit == 0 => 0,
            value if value < 9.995 => 2,
            value if value < 99.95 => 1,
            _ => 0,
        };
        write!(f, "{value:.digits$} {}", UNITS[unit])
    }
}

/// A count with its thousands set apart: `1,234,567`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count(pub(super) u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let first = digits.len() % 3;
        let groups = (first > 0).then(|| &digits[..first]).into_iter();
        let groups = groups.chain((first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]));
        f.pad(&groups.collect::<Vec<_>>().join(","))
    }
}

/// A count and its noun in the right number: `1 file`, `2 files`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", Count(count), if count == 1 { one } else { many })
}

/// A duration: `0.04 s`, `12.3 s`, `4 min 05 s`, `2 h 03 min`.
pub(super) fn elapsed(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.2} s", duration.as_secs_f64()),
        10..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The rate per second of an amount in a time. 0 if the time is too short to tell.
pub(super) fn per_second(amount: u64, duration: Duration) -> u64 {
    let seconds = duration.as_secs_f64();
    if seconds < 0.001 { 0 } else { (amount as f64 / seconds) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits_at_every_size() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "0.98 KiB"),
            (1024, "1.00 KiB"),
            (12_700, "12.4 KiB"),
            (1 << 20, "1.00 MiB"),
            (5_368_709_120, "5.00 GiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn thousands_are_set_apart() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
            (100_000, "100,000"),
        ];
        for (count, text) in cases {
            assert_eq!(Count(count).to_string(), text);
        }
        assert_eq!(format!("{:>8}|", Count(1000)), "   1,000|");
        assert_eq!(counted(1, "file", "files"), "1 file");
        assert_eq!(counted(2000, "file", "files"), "2,000 files");
    }

    #[test]
    fn times_are_as_exact_as_they_are_short() {
        let cases = [
            (40, "0.04 s"),
            (12_340, "12.3 s"),
            (245_000, "4 min 05 s"),
            (7_380_000, "2 h 03 min"),
        ];
        for (milliseconds, text) in cases {
            assert_eq!(elapsed(Duration::from_millis(milliseconds)), text);
        }
        assert_eq!(per_second(1000, Duration::from_millis(500)), 2000);
        assert_eq!(per_second(1000, Duration::ZERO), 0);
    }
}
