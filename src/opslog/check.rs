//! What a line has to hold beside being JSON, as `docs/opslog.md` promises it.
//!
//! A bit that a disk flipped can leave a line readable and its values senseless. One database may
//! refuse such a line every time, and another may store it. A line that is found here is damage
//! like any other.

use super::format::{Footer, Header, Line, Record};
use crate::time::{from_rfc3339, to_rfc3339};

/// Characters of a pair's name and of a direction, at most, in the opslog and in the database.
const PAIR: usize = 255;
const DIRECTION: usize = 64;

type Checked = Result<(), &'static str>;

/// Says what is wrong with a line.
pub(super) fn check(line: &Line<'_>) -> Checked {
    match line {
        Line::Header(header) => check_header(header),
        Line::Operation(record) => check_record(record),
        Line::Footer(footer) => check_footer(footer),
    }
}

fn check_header(header: &Header) -> Checked {
    let lengths = [(&header.pair, PAIR), (&header.direction, DIRECTION)];
    the(is_run_id(&header.run_id), "run_id is not a UUID")?;
    the(lengths.iter().all(|(text, most)| is_label(text, *most)), "pair or direction is none")?;
    the(is_time(&header.started_at), "started_at is not a time")
}

fn check_record(record: &Record<'_>) -> Checked {
    let digests = [&record.md5_before, &record.md5_after];
    the(is_time(&record.started_at), "started_at is not a time")?;
    the(is_time(&record.ended_at), "ended_at is not a time")?;
    the(digests.into_iter().flatten().all(|md5| is_hex(md5, 32)), "an MD5 is none")?;
    the(
        record.filepath_b64.is_none() || record.path_bytes().is_some(),
        "filepath_b64 is not base64",
    )
}

fn check_footer(footer: &Footer) -> Checked {
    the(is_time(&footer.ended_at), "ended_at is not a time")
}

fn the(is_right: bool, wrong: &'static str) -> Checked {
    if is_right { Ok(()) } else { Err(wrong) }
}

/// A time in the form that is written, and in no other form of the same time.
fn is_time(text: &str) -> bool {
    text.len() == "2026-11-23T22:25:01.123Z".len()
        && from_rfc3339(text).is_some_and(|time| to_rfc3339(time) == text)
}

fn is_run_id(text: &str) -> bool {
    let lengths = text.split('-').zip([8, 4, 4, 4, 12]);
    text.len() == 36
        && text.split('-').count() == 5
        && lengths.into_iter().all(|(part, length)| is_hex(part, length))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A name as the configuration allows it, or a bit more: a column of any character set holds it.
fn is_label(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_form_that_is_written() {
        assert!(is_time("2026-11-23T22:25:01.123Z") && is_time("2024-02-29T00:00:00.000Z"));
        let bad = [
            "",
            "2026-11-23T22:25:01Z",
            "2026-11-23t22:25:01.123Z",
            "2026-11-23T22:25:01.123z",
            "2026-11-23 22:25:01.123Z",
            "2026-13-23T22:25:01.123Z",
            "2025-02-29T00:00:00.000Z",
            "2026-11-23T22:25:60.123Z",
            "2026-11-23T22:25:01,123Z",
            "-02026-1-23T22:25:01.12Z",
        ];
        for text in bad {
            assert!(!is_time(text), "{text:?}");
        }
    }

    #[test]
    fn a_run_id_is_a_uuid_in_the_form_that_is_written() {
        assert!(is_run_id("01a20aac-2a4e-709d-b4e1-eaf6799ee731"));
        let bad = [
            "",
            "01a20aac2a4e709db4e1eaf6799ee731",
            "01A20aac-2a4e-709d-b4e1-eaf6799ee731",
            "01a20aac-2a4e-709d-b4e1-eaf6799ee73",
            "01a20aac-2a4e-709d-b4e1eeaf6799ee731",
            "01a20aac-2a4e-709d-b4e1-eaf6799-e731",
            "01a20aac-2a4e-709d-b4e1-eaf6799ee73g",
        ];
        for text in bad {
            assert!(!is_run_id(text), "{text:?}");
        }
    }

    #[test]
    fn a_label_fits_its_column() {
        assert!(
            is_label("media", PAIR)
                && is_label(&"x".repeat(64), DIRECTION)
                && is_label("There._-", DIRECTION)
        );
        for text in ["", "a b", "\u{e9}", "a\0", &"x".repeat(65)] {
            assert!(!is_label(text, DIRECTION), "{text:?}");
        }
    }
}
