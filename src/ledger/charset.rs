//! What text the table of an older release can hold. In a database whose default character set is
//! smaller than Unicode, its columns were made in that set, and a strict server refuses text that
//! does not fit.

use std::borrow::Cow;

/// Character sets of MySQL, the smaller first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Charset {
    /// Any set that is not known here: only what all sets have in common.
    Ascii,
    /// `latin1`, which is Windows-1252.
    Latin1,
    /// `utf8` or `utf8mb3`: the first 65,536 characters.
    Utf8mb3,
    /// All characters.
    Utf8mb4,
}

/// The characters that Windows-1252 has beyond Latin-1.
const WINDOWS_1252: &str = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ";

impl Charset {
    /// The set that MySQL calls by this name. The name is empty for a column that holds no text,
    /// and for a database that knows one set only.
    pub(super) fn named(name: &str) -> Self {
        match name {
            "" | "utf8mb4" => Self::Utf8mb4,
            "utf8" | "utf8mb3" => Self::Utf8mb3,
            "latin1" => Self::Latin1,
            _ => Self::Ascii,
        }
    }

    fn holds(self, c: char) -> bool {
        match self {
            Self::Ascii => c.is_ascii(),
            Self::Latin1 => {
                c.is_ascii() || ('\u{a0}'..='\u{ff}').contains(&c) || WINDOWS_1252.contains(c)
            }
            Self::Utf8mb3 => c <= '\u{ffff}',
            Self::Utf8mb4 => true,
        }
    }

    /// The text as it can be stored. A character that does not fit is written as `\u{1f600}`.
    pub(super) fn fit(self, text: &str) -> Cow<'_, str> {
        if self == Self::Utf8mb4 || text.chars().all(|c| self.holds(c)) {
            return Cow::Borrowed(text);
        }
        let escaped = text
            .chars()
            .map(|c| if self.holds(c) { c.to_string() } else { c.escape_unicode().to_string() });
        Cow::Owned(escaped.collect())
    }
}

/// The first `chars` characters of a text, as many as a column holds.
pub(super) fn cut(text: &str, chars: usize) -> &str {
    // Counting is needed only if there are more bytes than characters allowed.
    if text.len() <= chars {
        return text;
    }
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_set_does_not_hold_is_escaped() {
        let text = "a é € 漢 😀";
        assert_eq!(Charset::named("utf8mb4").fit(text), text);
        assert_eq!(Charset::named("utf8").fit(text), "a é € 漢 \\u{1f600}");
        assert_eq!(Charset::named("latin1").fit(text), "a é € \\u{6f22} \\u{1f600}");
        assert_eq!(Charset::named("greek").fit(text), "a \\u{e9} \\u{20ac} \\u{6f22} \\u{1f600}");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        for (text, chars, expected) in
            [("", 3, ""), ("abc", 3, "abc"), ("abcd", 3, "abc"), ("ééé", 2, "éé"), ("éé", 3, "éé")]
        {
            assert_eq!(cut(text, chars), expected);
        }
    }
}
