//! Name: one name in a directory, as the bytes that the kernel gave.
//!
//! A name does not contain `/` or NUL and is never `.` or `..`. Nothing else is assumed: no
//! encoding, no normalisation. In listings a name is borrowed (`&[u8]`); where it travels it is
//! owned.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// An owned name of one directory entry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Name(Box<[u8]>);

impl Name {
    /// Copies the bytes of a name that a directory listing produced.
    pub fn new(bytes: &[u8]) -> Self {
        debug_assert!(
            !bytes.contains(&b'/') && !bytes.contains(&0),
            "not a single name: {bytes:?}"
        );
        Self(bytes.into())
    }
}

impl Deref for Name {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(self), f)
    }
}
