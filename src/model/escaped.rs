//! Escaped: bytes of names in a form that can be shown to people.

use std::fmt::{self, Write as _};

/// Bytes shown to people on one line of a terminal. Control characters and those that reorder text
/// are escaped, bytes that are not UTF-8 are shown as `\xNN`, and a backslash is doubled. So two
/// different names never look alike, and a name cannot move the cursor.
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\n' => f.write_str("\\n")?,
                    '\t' => f.write_str("\\t")?,
                    '\r' => f.write_str("\\r")?,
                    '\\' => f.write_str("\\\\")?,
                    c if c.is_control() || reorders_text(c) => write!(f, "\\u{{{:x}}}", c as u32)?,
                    c => f.write_char(c)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// An absolute path as it is shown to people.
pub fn shown(path: &std::path::Path) -> Escaped<'_> {
    Escaped(path.as_os_str().as_encoded_bytes())
}

/// Whether it is one of Unicode's invisible and bidirectional formatting characters. They make a
/// name look like another one.
fn reorders_text(c: char) -> bool {
    HIDDEN.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// The first and the last character of each range, in order. The dashboard's page escapes the same
/// ones.
const HIDDEN: [(char, char); 11] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{115f}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{e0000}', '\u{e007f}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_shown_on_one_line_and_unambiguously() {
        let shown = |bytes: &[u8]| Escaped(bytes).to_string();
        assert_eq!(shown(b"a\nb\x1b[2J"), "a\\nb\\u{1b}[2J");
        assert_eq!(shown(b"caf\xe9"), "caf\\xe9");
        assert_eq!(shown("exe.\u{202e}gpj".as_bytes()), "exe.\\u{202e}gpj");
        assert_eq!(shown(b"a\\nb"), "a\\\\nb");
        assert_eq!(shown("a\u{61c}\u{3164}\u{e0041}".as_bytes()), "a\\u{61c}\\u{3164}\\u{e0041}");
        assert_eq!(shown("日本 é".as_bytes()), "日本 é");
    }

    #[test]
    fn the_page_escapes_what_messages_escape() {
        let escaped =
            |c: u32| if c > 0xffff { format!("\\u{{{c:x}}}") } else { format!("\\u{c:04x}") };
        let ranges =
            HIDDEN.map(|(first, last)| match (escaped(first as u32), escaped(last as u32)) {
                (first, last) if first == last => first,
                (first, last) => format!("{first}-{last}"),
            });
        let page = include_str!("../dashboard/page/words.js");
        let expected =
            format!(r"const HIDDEN = /[\u0000-\u001f\u007f-\u009f{}\\]/gu;", ranges.concat());
        assert!(page.contains(&expected), "{expected}");
    }
}
