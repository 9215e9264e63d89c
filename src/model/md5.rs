//! Md5: the digest of a content.

use std::fmt;

/// An MD5 digest. It tells whether two contents are the same. It does not protect against forgery.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Md5(pub [u8; 16]);

impl fmt::Display for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
