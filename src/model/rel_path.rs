//! RelPath: a path below a root, made of names joined by `/`. The empty path is the root itself.
//!
//! Its order is the order in which two trees are joined: component by component, so that what lies
//! below a directory follows the directory at once. The order of the joined bytes would be wrong:
//! there `a-b` sorts between `a` and `a/b`, because `-` is less than `/`. Paths are only compared
//! as `RelPath`.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use super::Escaped;

/// A relative path of bytes.
///
/// Every name in it is one that a directory can hold: not empty, not `.` or `..`, without `/` and
/// NUL.
///
/// ```
/// use ha_sync::model::RelPath;
///
/// let folder = RelPath::from_bytes(b"films/2024")?;
/// assert_eq!(folder.join(b"a.mkv").as_bytes(), b"films/2024/a.mkv");
/// // A folder is followed by what is in it, not by its sibling `films-old`.
/// assert!(RelPath::from_bytes(b"films/2024")? < RelPath::from_bytes(b"films-old")?);
/// assert!(RelPath::from_bytes(b"films/../../etc").is_err());
/// # Ok::<(), ha_sync::model::BadPath>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>")]
pub struct RelPath(Vec<u8>);

/// Bytes that are not a path below a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// Two slashes in a row, or one at the beginning or the end.
    #[error("a name in it is empty")]
    EmptyName,
    /// `.` or `..`.
    #[error("a name in it is `.` or `..`")]
    Dots,
    /// A NUL byte.
    #[error("a name in it holds a NUL byte")]
    Nul,
}

impl RelPath {
    /// The root of a tree.
    pub fn root() -> Self {
        Self::default()
    }

    /// The path that these bytes form; an empty slice is the root. Fails if a name in it is not one
    /// that a directory can hold.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadPath> {
        bytes.to_vec().try_into()
    }

    /// The path made of `names`, the outermost first. The names must come from a directory listing:
    /// they are not checked.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut path = Self::root();
        for name in names {
            path.push(name);
        }
        path
    }

    /// Appends one name, which is not checked.
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

    /// The names of the path, the outermost first.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
    }

    /// The path's bytes, names joined by `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Vec<u8>> for RelPath {
    type Error = BadPath;

    /// Fails if a name in it is not one that a directory can hold.
    fn try_from(bytes: Vec<u8>) -> Result<Self, BadPath> {
        if bytes.is_empty() {
            return Ok(Self::root());
        }
        if bytes.contains(&0) {
            return Err(BadPath::Nul);
        }
        for name in bytes.split(|byte| *byte == b'/') {
            match name {
                b"" => return Err(BadPath::EmptyName),
                b"." | b".." => return Err(BadPath::Dots),
                _ => {}
            }
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
impl From<&str> for RelPath {
    fn from(text: &str) -> Self {
        Self::from_bytes(text.as_bytes()).expect("tests write paths as they are")
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

/// For people: escaped, and the root is shown as `.`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_goes_component_by_component() {
        let sorted = ["", "a", "a/a", "a/b", "a/b/c", "a-b", "a.b", "a0", "b", "b/\u{1}", "é"]
            .map(RelPath::from);
        for (i, left) in sorted.iter().enumerate() {
            for (j, right) in sorted.iter().enumerate() {
                assert_eq!(left.cmp(right), i.cmp(&j), "{left:?} and {right:?}");
            }
        }
    }

    #[test]
    fn what_no_directory_holds_is_refused_also_where_it_is_read_back() {
        let cases: [(&[u8], BadPath); 7] = [
            (b"/a", BadPath::EmptyName),
            (b"a/", BadPath::EmptyName),
            (b"a//b", BadPath::EmptyName),
            (b"..", BadPath::Dots),
            (b"a/./b", BadPath::Dots),
            (b"a/../../etc", BadPath::Dots),
            (b"a/b\0", BadPath::Nul),
        ];
        for (bytes, bad) in cases {
            assert_eq!(RelPath::from_bytes(bytes), Err(bad));
            let stored = postcard::to_stdvec(bytes).unwrap();
            assert!(postcard::from_bytes::<RelPath>(&stored).is_err(), "{bytes:?}");
        }
        for path in ["", "a", "...", "a/..b", "a/b"].map(RelPath::from) {
            let stored = postcard::to_stdvec(&path).unwrap();
            assert_eq!(postcard::from_bytes::<RelPath>(&stored), Ok(path));
        }
    }

    #[test]
    fn joining_and_taking_apart_are_inverse() {
        let path = RelPath::root().join(b"a").join(b"-b").join(b"c d");
        assert_eq!(path.as_bytes(), b"a/-b/c d");
        assert_eq!(RelPath::from_names(path.names()), path);
        assert_eq!(RelPath::root().to_string(), ".");
    }
}
