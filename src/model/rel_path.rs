//! A path below a root: names joined by `/`, the empty path being the root itself.
//!
//! Its order is the order in which two trees are joined: component by component, so that a
//! directory is followed at once by what lies below it. Comparing the joined bytes would not do:
//! `a-b` sorts between `a` and `a/b` there, because `-` is less than `/`. Paths are compared as
//! `RelPath` and nothing else.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

/// A relative path of bytes.
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct RelPath(Vec<u8>);

impl RelPath {
    /// The root of a tree.
    pub fn root() -> Self {
        Self::default()
    }

    /// The path made of `names`, outermost first.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut path = Self::root();
        for name in names {
            path.push(name);
        }
        path
    }

    /// Appends one name.
    pub fn push(&mut self, name: &[u8]) {
        if !self.0.is_empty() {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(name);
    }

    /// The path of `name` in this directory.
    pub fn join(&self, name: &[u8]) -> Self {
        let mut joined = Self(Vec::with_capacity(self.0.len() + 1 + name.len()));
        joined.0.extend_from_slice(&self.0);
        joined.push(name);
        joined
    }

    /// The names on the way down, outermost first.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
    }

    /// The path's bytes, names joined by `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for RelPath {
    fn from(bytes: &[u8]) -> Self {
        Self::from_names(bytes.split(|byte| *byte == b'/').filter(|name| !name.is_empty()))
    }
}

impl From<&str> for RelPath {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl Ord for RelPath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.names().cmp(other.names())
    }
}

impl PartialOrd for RelPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// For people: escaped, the root shown as `.`.
impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_char('.') } else { Escaped(&self.0).fmt(f) }
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Bytes shown to people on one line of a terminal: control characters and those that reorder
/// text are escaped, what is not UTF-8 is shown as `\xNN`, a backslash is doubled, so that no
/// two names look alike and none can move the cursor.
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

/// An absolute path, shown to people.
pub fn shown(path: &std::path::Path) -> Escaped<'_> {
    Escaped(path.as_os_str().as_encoded_bytes())
}

/// Unicode's invisible and bidirectional formatting characters, which make a name look like another.
fn reorders_text(c: char) -> bool {
    HIDDEN.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// From and to, in order. The dashboard's page escapes the same ones.
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
    fn the_order_goes_component_by_component() {
        let sorted =
            ["", "a", "a/a", "a/b", "a/b/c", "a-b", "a.b", "a0", "b", "b/\u{1}", "é"].map(RelPath::from);
        for (i, left) in sorted.iter().enumerate() {
            for (j, right) in sorted.iter().enumerate() {
                assert_eq!(left.cmp(right), i.cmp(&j), "{left:?} and {right:?}");
            }
        }
    }

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
        let escaped = |c: u32| if c > 0xffff { format!("\\u{{{c:x}}}") } else { format!("\\u{c:04x}") };
        let ranges = HIDDEN.map(|(first, last)| match (escaped(first as u32), escaped(last as u32)) {
            (first, last) if first == last => first,
            (first, last) => format!("{first}-{last}"),
        });
        let page = include_str!("../dashboard/page/words.js");
        let expected = format!(r"const HIDDEN = /[\u0000-\u001f\u007f-\u009f{}\\]/gu;", ranges.concat());
        assert!(page.contains(&expected), "{expected}");
    }

    #[test]
    fn joining_and_taking_apart_are_inverse() {
        let path = RelPath::root().join(b"a").join(b"-b").join(b"c d");
        assert_eq!(path.as_bytes(), b"a/-b/c d");
        assert_eq!(RelPath::from_names(path.names()), path);
        assert_eq!(RelPath::root().to_string(), ".");
    }
}
