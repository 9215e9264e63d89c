//! No fault loses a file. The faults are disks that fill up or turn read-only, limits, sources that
//! change while they are read, and errors of the kernel at every call that a scan or a copy makes.
//!
//! Each test has the same three assertions ([`check`]): nothing is lost, summary and exit code are
//! true, and the next run, without the fault, ends where an undisturbed one does.

pub mod check;
mod closed;
mod deleting;
mod disk;
mod full;
mod injected;
mod limits;
mod moving;
mod read_only;
pub mod strace;
mod unkept;

use std::fs;
use std::os::unix::fs::lchown;

use crate::fixture::*;

/// Everything in the trees lies below this directory. So a fault can be aimed at what the engine
/// does in it, and spare the looks at the roots with which a process begins.
const BELOW: &str = "t";

/// Something of every kind of work, with few calls of each.
fn scenario() -> Fixture {
    let pair = Fixture::new();
    let (a, b) = (pair.a.join(BELOW), pair.b.join(BELOW));
    for index in 1..=2 {
        write(&a, format!("new-{index}"), format!("content {index}"), T0 + index);
        write(&a, format!("changed-{index}"), format!("the new version {index}"), T0 + 100);
        write(&b, format!("changed-{index}"), "old", T0);
        write(&a, format!("dir-{index}/sub/file"), "below", T0);
        write(&a, format!("common-{index}/new"), "in a directory of both", T0);
        write(&b, format!("common-{index}/old"), "only here", T0);
        chmod(&a.join(format!("dir-{index}")), 0o755 - index as u32);
    }
    write(&a, "of-two-parts", vec![7; 300 << 10], T0);
    write(&a, "rewritten", "two and two", T0 + 100);
    write(&b, "rewritten", "one and one", T0);
    write(&a, "touched", "same", T0 + 100);
    chmod(&write(&b, "touched", "same", T0), 0o600);
    symlink(&a, "link", "target", T0);
    symlink(&a, "moved-link", "new target", T0 + 100);
    symlink(&b, "moved-link", "old target", T0);
    sparse(&a, "sparse", 1 << 20, T0);
    write(&a, "newer-at-dest", "old", T0);
    write(&b, "newer-at-dest", "a user's work", T0 + 100);
    write(&b, "only-here", "stays", T0);
    write(&b, ".ha-sync.0123456789abcdef.00000001.tmp", "of a killed run", T0);
    symlink(&b, ".ha-sync.0123456789abcdef.00000002.tmp", "of a killed run", T0);
    let owned =
        [write(&a, "owned", "x", T0), symlink(&a, "owned-link", "x", T0), a.join("owned-dir")];
    fs::create_dir(&owned[2]).unwrap();
    owned.iter().for_each(|path| lchown(path, Some(1234), Some(2345)).unwrap());
    chmod(&owned[0], 0o4750);
    chmod(&owned[2], 0o2750);
    write(&a, "closed-dir/file", "x", T0);
    chmod(&a.join("closed-dir"), 0o555);
    pair
}
