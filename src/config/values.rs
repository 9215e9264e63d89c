//! The parsing of values that were typed: names, times and sizes.

use std::time::Duration;

use super::choices::IfLocked;
use super::error::{Checked, wrong};
use crate::model::{Escaped, Name};
use crate::pipeline::MaxDelete;
use crate::time::parse_duration;

/// The name of a pair. It has to be a DNS label, since it becomes part of a Kubernetes object's
/// name.
pub fn pair_name(name: &str) -> Checked<String> {
    dns_label("--pair", name, "media")
}

pub(super) fn dns_label(flag: &str, name: &str, example: &str) -> Checked<String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if is_label {
        return Ok(name.to_owned());
    }
    wrong(format!(
        "{flag} {:?} is not a DNS label: use 1 to 63 lower-case letters, digits and dashes, \
         beginning and ending with a letter or digit, such as {example}",
        Escaped(name.as_bytes()).to_string()
    ))
}

pub(super) fn direction_label(label: &str) -> Checked<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=64).contains(&label.len()) && label.bytes().all(allowed) {
        return Ok(label.to_owned());
    }
    wrong(format!(
        "--direction {:?} is not a label: use 1 to 64 of A-Z a-z 0-9 . _ -, such as dell-to-hp",
        Escaped(label.as_bytes()).to_string()
    ))
}

pub(super) fn if_locked(text: &str) -> Checked<IfLocked> {
    match text.split_once('=') {
        None if text == "skip" => Ok(IfLocked::Skip),
        None if text == "fail" => Ok(IfLocked::Fail),
        None if text == "wait" => Ok(IfLocked::Wait(Duration::MAX)),
        Some(("wait", seconds)) if seconds.parse::<u64>().is_ok() => {
            Ok(IfLocked::Wait(Duration::from_secs(seconds.parse().unwrap_or(0))))
        }
        _ => wrong(format!("--if-locked {text:?}: use skip, wait, wait=SECONDS or fail")),
    }
}

pub(super) fn threshold(text: &str) -> Checked<Duration> {
    let seconds =
        text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or(()).or_else(|()| {
        wrong(format!(
            "--mtime-threshold {text:?}: give seconds, 0 or more, fractions allowed, such as 2 or 0.5"
        ))
    })
}

pub(super) fn min_age(text: &str) -> Checked<Duration> {
    parse_duration(text).ok_or(()).or_else(|()| {
        wrong(format!(
            "--min-age {text:?}: give a time, such as 90s, 10m, 1h or 2d; a bare number is seconds"
        ))
    })
}

pub(super) fn max_delete(text: &str) -> Checked<MaxDelete> {
    let percent =
        |text: &str| text.parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent));
    let max = match text.strip_suffix('%') {
        _ if text == "none" => Some(MaxDelete::Unlimited),
        Some(text) => percent(text).map(MaxDelete::Percent),
        None => text.parse().ok().map(MaxDelete::Count),
    };
    max.ok_or(()).or_else(|()| {
        wrong(format!(
            "--max-delete {text:?}: give a number, such as 1000, a percentage from 0% to 100%, or none for no limit"
        ))
    })
}

/// The name of a file in a root.
pub(super) fn root_name(name: &str) -> Checked<Name> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
        return wrong(format!(
            "--require-file {:?}: give the name of a file that lies in both folders themselves, such as .mounted",
            Escaped(name.as_bytes()).to_string()
        ));
    }
    Ok(Name::new(name.as_bytes()))
}

/// Parses bytes per second, with `K`, `M`, `G` or `T` for powers of 1024.
pub(super) fn parse_size(text: &str) -> Checked<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let shift = match unit {
        "" | "B" => Some(0),
        "K" | "k" | "KiB" => Some(10),
        "M" | "m" | "MiB" => Some(20),
        "G" | "g" | "GiB" => Some(30),
        "T" | "t" | "TiB" => Some(40),
        _ => None,
    };
    let size = digits
        .parse::<u64>()
        .ok()
        .zip(shift)
        .and_then(|(number, shift)| number.checked_mul(1 << shift));
    size.filter(|size| *size > 0).ok_or(()).or_else(|()| {
        wrong(format!(
            "--bwlimit {text:?}: give bytes per second, such as 50M (K, M, G, T are powers of 1024)"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_a_dns_label() {
        for good in ["media", "a", "a-b", "0", &"x".repeat(63)] {
            assert_eq!(pair_name(good).unwrap(), good);
        }
        for bad in ["", "-a", "a-", "Media", "a_b", "a.b", "a/b", "é", "a\n", &"x".repeat(64)] {
            assert!(pair_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024_and_never_nothing() {
        assert_eq!(parse_size("50M").unwrap(), 50 << 20);
        assert_eq!(parse_size("1").unwrap(), 1);
        assert_eq!(parse_size("2GiB").unwrap(), 2 << 30);
        for bad in ["", "0", "M", "5X", "-1", "1.5M", "99999999999T"] {
            assert!(parse_size(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_threshold_is_any_time_that_is_not_negative() {
        assert_eq!(threshold("2").unwrap(), Duration::from_secs(2));
        assert_eq!(threshold("0.25").unwrap(), Duration::from_millis(250));
        assert_eq!(threshold("0").unwrap(), Duration::ZERO);
        for bad in ["", "-1", "x", "NaN", "inf", "1e300"] {
            assert!(threshold(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_limit_on_deletions_is_a_number_a_percentage_or_none() {
        assert_eq!(max_delete("1000").unwrap(), MaxDelete::Count(1000));
        assert_eq!(max_delete("0").unwrap(), MaxDelete::Count(0));
        assert_eq!(max_delete("50%").unwrap(), MaxDelete::Percent(50.0));
        assert_eq!(max_delete("0.5%").unwrap(), MaxDelete::Percent(0.5));
        assert_eq!(max_delete("none").unwrap(), MaxDelete::Unlimited);
        for bad in ["", "%", "-1", "101%", "-5%", "NaN%", "all", "5 %", "1e3"] {
            assert!(max_delete(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_required_file_is_one_name() {
        assert_eq!(root_name(".mounted").unwrap(), Name::new(b".mounted"));
        for bad in ["", ".", "..", "a/b", "/a"] {
            assert!(root_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn waiting_for_a_lock_may_have_an_end() {
        assert_eq!(if_locked("wait=30").unwrap(), IfLocked::Wait(Duration::from_secs(30)));
        assert_eq!(if_locked("wait").unwrap(), IfLocked::Wait(Duration::MAX));
        for bad in ["", "wait=", "wait=x", "skip=1", "later"] {
            assert!(if_locked(bad).is_err(), "{bad:?}");
        }
    }
}
