//! Selection: which names the user's globs leave out. Such a name is neither carried nor deleted.
//!
//! The input is patterns in the language of gitignore (and `{a,b}` for either), in the order given.
//! The output is yes or no for a path relative to the roots. The last pattern that matches decides.
//! A directory that is left out is not entered, so nothing below it can be taken in again. All
//! patterns are compiled into one matcher, so that fifty cost little more than one. This module is
//! the home of the crate `ignore`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::model::{Entry, EntryKind, Joined, RelPath};

/// Patterns that leave names out or take them in again. Without any, everything takes part.
#[derive(Clone, Debug)]
pub struct Selection {
    matcher: Gitignore,
    /// The patterns as gitignore lines, for the opslog.
    lines: Vec<String>,
}

/// A selection while it is made, pattern by pattern. Later patterns win.
#[derive(Debug)]
pub struct SelectionBuilder {
    builder: GitignoreBuilder,
    lines: Vec<String>,
}

/// What is wrong with a pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPattern(String);

/// Has no patterns, so everything takes part.
impl Default for Selection {
    fn default() -> Self {
        Self { matcher: Gitignore::empty(), lines: Vec::new() }
    }
}

impl Selection {
    /// Begins a selection without patterns.
    pub fn builder() -> SelectionBuilder {
        let mut builder = GitignoreBuilder::new("");
        // A typing error should be reported, not taken literally.
        builder.allow_unclosed_class(false);
        SelectionBuilder { builder, lines: Vec::new() }
    }

    /// The patterns, one gitignore line each, in their order.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The selection for the names of one directory. `directory` is called only if there are
    /// patterns.
    pub(super) fn in_directory(
        &self,
        directory: impl FnOnce() -> RelPath,
    ) -> DirectorySelection<'_> {
        let matcher = (!self.matcher.is_empty()).then_some(&self.matcher);
        let mut path = matcher.map_or_else(Vec::new, |_| directory().as_bytes().to_vec());
        if !path.is_empty() {
            path.push(b'/');
        }
        let prefix = path.len();
        DirectorySelection { matcher, path, prefix }
    }
}

impl SelectionBuilder {
    /// Adds one glob as it was typed. `exclude` leaves out what it matches; otherwise it takes it
    /// in again.
    ///
    /// A leading `#` and blanks at the end have a meaning only in a file. Here they are part of the
    /// glob. Fails if the glob is not valid or can never match.
    pub fn add_glob(&mut self, glob: &str, exclude: bool) -> Result<(), BadPattern> {
        let negation = if exclude { "" } else { "!" };
        let (negation, glob) = match glob.strip_prefix('!') {
            Some(_) if !exclude => {
                return Err(BadPattern("it begins with `!`, which means it twice".into()));
            }
            Some(glob) => ("!", glob),
            None => (negation, glob),
        };
        if glob.starts_with("./") || glob.starts_with("../") {
            return Err(BadPattern(
                "it never matches, since paths begin at the roots: write /name for a name in them"
                    .into(),
            ));
        }
        let escape = if negation.is_empty() && glob.starts_with('#') { "\\" } else { "" };
        if glob.is_empty() {
            return Err(BadPattern("it is empty".into()));
        }
        self.add(format!("{negation}{escape}{}", keeping_its_end(glob)))
    }

    /// Adds one line of a gitignore file: a glob, a glob that takes in again (`!`), a comment (`#`)
    /// or an empty line. Fails if the glob is not valid.
    pub fn add_line(&mut self, line: &str) -> Result<(), BadPattern> {
        let line = line.trim_end_matches('\r');
        if line.trim_end_matches(' ').is_empty() || line.starts_with('#') {
            Ok(())
        } else {
            let (glob, is_escaped) = without_blanks(line);
            self.add(if is_escaped { format!("{glob} ") } else { glob.to_owned() })
        }
    }

    fn add(&mut self, line: String) -> Result<(), BadPattern> {
        if matches!(line.trim_start_matches('!'), "" | "/") {
            return Err(BadPattern("it matches nothing".into()));
        }
        self.builder.add_line(None, &line).map_err(|error| BadPattern(error.to_string()))?;
        self.lines.push(line);
        Ok(())
    }

    /// Compiles the patterns.
    pub fn build(self) -> Result<Selection, BadPattern> {
        let matcher = self.builder.build().map_err(|error| BadPattern(error.to_string()))?;
        Ok(Selection { matcher, lines: self.lines })
    }
}

/// The glob without the blanks at its end, and whether its last character is a backslash that
/// escapes the first of these blanks.
fn without_blanks(glob: &str) -> (&str, bool) {
    let trimmed = glob.trim_end_matches(' ');
    (trimmed, trimmed.len() < glob.len() && ends_in_an_escape(trimmed))
}

/// Whether the glob ends in a backslash that escapes the next character.
fn ends_in_an_escape(glob: &str) -> bool {
    glob.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// The glob as a line of a file, written so that white space at its end is not dropped.
fn keeping_its_end(glob: &str) -> String {
    let (trimmed, is_escaped) = without_blanks(glob);
    let blanks = glob.len() - trimmed.len();
    match trimmed.chars().next_back().filter(|last| blanks == 0 && last.is_whitespace()) {
        Some(last) => {
            let before = &glob[..glob.len() - last.len_utf8()];
            let before =
                if ends_in_an_escape(before) { &before[..before.len() - 1] } else { before };
            format!("{before}[{last}]")
        }
        None => format!("{trimmed}{}", &"\\ ".repeat(blanks)[usize::from(is_escaped)..]),
    }
}

/// The selection for the names of one directory. The path to it is built once.
pub(super) struct DirectorySelection<'f> {
    matcher: Option<&'f Gitignore>,
    path: Vec<u8>,
    prefix: usize,
}

impl DirectorySelection<'_> {
    /// Whether the name is left out. If the two sides hold different kinds, it is left out as soon
    /// as one of them is.
    pub(super) fn excludes(&mut self, name: &[u8], joined: Joined<&Entry>) -> bool {
        let mut kinds =
            [joined.source(), joined.dest()].into_iter().flatten().map(|entry| &entry.kind);
        kinds.any(|kind| match kind {
            EntryKind::Directory => self.excludes_as(name, true),
            // Its kind is unknown, and nothing must be concluded from a name that may be left out.
            EntryKind::MountPoint | EntryKind::Unreadable { .. } => {
                self.excludes_as(name, true) || self.excludes_as(name, false)
            }
            EntryKind::File { .. } | EntryKind::Symlink { .. } | EntryKind::Special => {
                self.excludes_as(name, false)
            }
        })
    }

    fn excludes_as(&mut self, name: &[u8], is_directory: bool) -> bool {
        let Some(matcher) = self.matcher else { return false };
        self.path.truncate(self.prefix);
        self.path.extend_from_slice(name);
        matcher.matched(OsStr::from_bytes(&self.path), is_directory).is_ignore()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(patterns: &[(&str, bool)]) -> Selection {
        let mut builder = Selection::builder();
        for (glob, exclude) in patterns {
            builder.add_glob(glob, *exclude).unwrap();
        }
        builder.build().unwrap()
    }

    fn excludes(selection: &Selection, path: &[u8]) -> bool {
        let (path, is_directory) =
            path.strip_suffix(b"/").map_or((path, false), |path| (path, true));
        let split = path.iter().rposition(|byte| *byte == b'/');
        let (directory, name) = split.map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]));
        let kind = if is_directory { EntryKind::Directory } else { EntryKind::File { len: 0 } };
        let entry = Entry { kind, ..Entry::unreadable(0) };
        selection
            .in_directory(|| RelPath::from_bytes(directory).unwrap())
            .excludes(name, Joined::DestOnly(&entry))
    }

    #[test]
    fn globs_mean_what_they_mean_to_git() {
        #[rustfmt::skip]
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("*.tmp", &["a.tmp", "dir/a.tmp", "dir.tmp/"], &["a.tmp.x", "tmp"]),
            ("/cache", &["cache", "cache/"], &["dir/cache"]),
            ("build/", &["build/", "dir/build/"], &["build", "dir/build"]),
            ("a/b", &["a/b"], &["dir/a/b"]),
            ("**/a/b", &["a/b", "dir/a/b"], &["b"]),
            ("a/**", &["a/b", "a/b/c"], &["a/", "dir/a/b"]),
            ("a/**/z", &["a/z", "a/b/c/z"], &["z"]),
            ("*", &["anything", "dir/", "dir/x"], &[]),
            ("file-?", &["file-1", "dir/file-x"], &["file-", "file-12"]),
            ("[a-c]x", &["ax", "dir/cx"], &["dx"]),
            ("{one,two}.txt", &["one.txt", "two.txt"], &["three.txt"]),
            ("with space ", &["with space "], &["with space"]),
            ("two spaces  ", &["two spaces  "], &["two spaces", "two spaces "]),
            ("escaped\\ ", &["escaped "], &["escaped", "escaped\\ "]),
            ("escaped\\  ", &["escaped  "], &["escaped "]),
            ("backslash\\\\ ", &["backslash\\ "], &["backslash\\", "backslash "]),
            ("tab\t", &["tab\t"], &["tab"]),
            ("escaped\\\t", &["escaped\t"], &["escaped", "escaped\\\t", "escaped[\t"]),
            ("#hash", &["#hash"], &["hash"]),
            ("\\!bang", &["!bang"], &["bang"]),
            ("line?break", &["line\nbreak"], &["linebreak"]),
        ];
        for (glob, left_out, taken) in cases {
            let selection = selection(&[(glob, true)]);
            for path in *left_out {
                assert!(excludes(&selection, path.as_bytes()), "{glob} leaves {path} out");
            }
            for path in *taken {
                assert!(!excludes(&selection, path.as_bytes()), "{glob} takes {path}");
            }
        }
    }

    #[test]
    fn the_last_match_wins() {
        let both = [("*.log", true), ("keep.log", false)];
        assert!(!excludes(&selection(&both), b"dir/keep.log"));
        assert!(excludes(&selection(&both), b"dir/other.log"));
        let reversed = [both[1], both[0]];
        assert!(excludes(&selection(&reversed), b"dir/keep.log"));
        assert!(
            !excludes(&selection(&[("*.log", true), ("!keep.log", true)]), b"keep.log"),
            "as in a file"
        );
    }

    #[test]
    fn names_are_bytes() {
        let selection = selection(&[("*.jpg", true), ("caf?", true)]);
        assert!(excludes(&selection, b"\xff\xfe.jpg"));
        assert!(excludes(&selection, b"caf\xe9"), "? stands for one byte that is no character");
        assert!(!excludes(&selection, b"\xff.jpeg"));
    }

    #[test]
    fn lines_of_a_file_may_be_comments_and_take_in_again() {
        let mut builder = Selection::builder();
        for line in ["# a comment", "", "   ", "*.o\r", "!keep.o", "trailing   ", "kept\\   "] {
            builder.add_line(line).unwrap();
        }
        let selection = builder.build().unwrap();
        assert_eq!(selection.lines(), ["*.o", "!keep.o", "trailing", "kept\\ "]);
        assert!(excludes(&selection, b"kept ") && !excludes(&selection, b"kept"));
        assert!(
            excludes(&selection, b"a.o")
                && !excludes(&selection, b"keep.o")
                && excludes(&selection, b"trailing")
        );
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["", "!", "/", "!/", "[a", "{a", "a\\", "./a", "../a"] {
            let added = Selection::builder().add_glob(bad, true);
            assert!(added.is_err(), "{bad:?}");
        }
        assert!(Selection::builder().add_glob("!x", false).is_err());
    }

    #[test]
    fn without_patterns_nothing_is_left_out() {
        assert!(!excludes(&selection(&[]), b"anything"));
    }
}
