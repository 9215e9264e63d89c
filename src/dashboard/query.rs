//! What stands after the `?` of an address: names and values, read strictly.
//!
//! A misspelt parameter would go unnoticed, and the answer would look as if it had been heeded. So
//! a parameter that is unknown, given twice or malformed is refused, with the reason.

use std::collections::BTreeMap;
use std::str::FromStr;

/// What is wrong with a question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Wrong(pub(super) String);

type Read<T> = Result<T, Wrong>;

/// Characters of a text, at most. No path is longer.
const LONGEST: usize = 4096;

/// The parameters of one question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query(BTreeMap<&'static str, String>);

impl Query {
    /// Reads a query string that may hold these names.
    pub(super) fn parse(text: &str, known: &[&'static str]) -> Read<Self> {
        let mut found = BTreeMap::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = decoded(name, "the name of a parameter")?;
            let Some(known) = known.iter().find(|known| **known == name) else {
                return Err(Wrong(format!(
                    "there is no parameter {name:?} here: {}",
                    alternatives(known)
                )));
            };
            let value = decoded(value, known)?;
            if value.chars().count() > LONGEST {
                return Err(Wrong(format!("{known} is longer than {LONGEST} characters")));
            }
            if found.insert(*known, value).is_some() {
                return Err(Wrong(format!("{known} is given twice")));
            }
        }
        Ok(Self(found))
    }

    /// A text. `None` if it was not given or is empty, like a form field that nobody filled in.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// One of the given words.
    pub(super) fn word(&self, name: &str, words: &[&str]) -> Read<Option<String>> {
        match self.text(name) {
            Some(word) if !words.contains(&&*word) => {
                Err(Wrong(format!("{name} is {word:?}: {}", alternatives(words))))
            }
            word => Ok(word),
        }
    }

    /// `true` or `false`, also as 1 or 0.
    pub(super) fn switch(&self, name: &str) -> Read<Option<bool>> {
        let word = self.word(name, &["true", "false", "1", "0"])?;
        Ok(word.map(|word| word == "true" || word == "1"))
    }

    /// A number within bounds.
    pub(super) fn number<T>(&self, name: &str, least: T, most: T) -> Read<Option<T>>
    where
        T: FromStr + PartialOrd + std::fmt::Display + Copy,
    {
        let Some(digits) = self.text(name) else { return Ok(None) };
        let number = digits.parse().ok().filter(|number| (least..=most).contains(number));
        // `parse` accepts a sign, too.
        let number = number.filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
        number.map(Some).ok_or_else(|| {
            Wrong(format!("{name} is {digits:?}: give a number from {least} to {most}"))
        })
    }

    /// The id of a row.
    pub(super) fn id(&self, name: &str) -> Read<Option<i64>> {
        self.number(name, 0, i64::MAX)
    }
}

fn alternatives(words: &[&str]) -> String {
    if words.is_empty() { "it takes none".into() } else { format!("give {}", words.join(", ")) }
}

/// Decodes `%41` and `+`.
fn decoded(text: &str, what: &str) -> Read<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = (rest.next().and_then(hex), rest.next().and_then(hex));
                let (Some(high), Some(low)) = digits else {
                    return Err(Wrong(format!("{what}: after a % come two hexadecimal digits")));
                };
                high << 4 | low
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| Wrong(format!("{what} is not UTF-8")))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Query, String> {
        Query::parse(text, &["q", "limit", "after"]).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn values_are_decoded_and_empty_ones_are_none() {
        let query = parse("q=a%2Fb+c%26%C3%A9&limit=007&after=").unwrap();
        assert_eq!(query.text("q").unwrap(), "a/b c&é");
        assert_eq!(query.number("limit", 1, 100), Ok(Some(7)));
        assert_eq!((query.id("after"), query.text("after")), (Ok(None), None));
        assert_eq!(parse("&&").unwrap(), parse("").unwrap());
    }

    #[test]
    fn what_is_wrong_is_refused_with_the_reason() {
        for (text, words) in [
            ("x=1", "there is no parameter \"x\" here: give q, limit, after"),
            ("q=1&q=2", "q is given twice"),
            ("q=%FF", "q is not UTF-8"),
            ("q=%C3", "q is not UTF-8"),
            ("%ff=1", "the name of a parameter is not UTF-8"),
            ("q=%4", "after a % come two hexadecimal digits"),
            ("q=%zz", "after a % come two hexadecimal digits"),
            ("q=100%", "after a % come two hexadecimal digits"),
        ] {
            assert!(parse(text).unwrap_err().contains(words), "{text}: {:?}", parse(text));
        }
        for bad in ["0", "101", "-1", "+1", "1.0", "1e1", "x", "99999999999999999999", "１"] {
            let query = Query(BTreeMap::from([("limit", bad.to_owned())]));
            assert!(query.number("limit", 1, 100).is_err(), "{bad}");
        }
        let query = Query(BTreeMap::from([("status", "Failed".to_owned())]));
        let wrong = query.word("status", &["success", "failed"]).unwrap_err();
        assert_eq!(wrong.to_string(), "status is \"Failed\": give success, failed");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[qlimtafer=&%+0-9A-Fa-f\\PC]{0,60}") {
            if let Ok(query) = parse(&text) {
                let _either = (query.number("limit", 1, 100), query.id("after"), query.switch("q"));
            }
        }

        #[test]
        fn what_was_encoded_comes_out_as_it_was(value in "\\PC{1,50}") {
            let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(parse(&format!("q={encoded}")).unwrap().text("q"), Some(value));
        }
    }
}
