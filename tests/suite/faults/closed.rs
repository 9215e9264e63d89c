//! Paths that are closed to the user who runs the sync.

use std::fs;

use super::check::Before;
use crate::fixture::*;

/// A closed path, its mode, and whether it is the one at the source.
const CLOSED: [(&str, u32, bool); 6] = [
    ("file", 0o000, true),
    ("unlisted", 0o000, true),
    ("names-only", 0o444, true),
    ("not-written", 0o555, false),
    ("not-seen", 0o000, false),
    ("not-compared", 0o000, false),
];

fn scenario() -> Fixture {
    let pair = Fixture::new();
    for name in
        ["file", "not-compared", "open", "unlisted/file", "names-only/file", "not-written/file"]
    {
        write(&pair.a, name, "of the source", T0 + 100);
    }
    write(&pair.a, "not-seen/file", "of the source", T0 + 100);
    write(&pair.a, "not-written/dir/file", "of the source", T0 + 100);
    for name in
        ["not-compared", "unlisted/file", "names-only/old", "not-written/old", "not-seen/file"]
    {
        write(&pair.b, name, "of the target", T0);
    }
    pair
}

fn set_modes(pair: &Fixture, mode: impl Fn(u32) -> u32) {
    for (name, closed, at_source) in CLOSED {
        let root = if at_source { &pair.a } else { &pair.b };
        chmod(&root.join(name), mode(closed));
    }
}

#[test]
fn what_is_closed_to_us_is_named_and_carried_once_it_is_open() {
    let pair = scenario();
    set_modes(&pair, |closed| closed);
    let mut before = Before::of(&pair.a, &pair.b);
    let ran = as_nobody(&pair, &["--format", "json"]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    before.nothing_is_lost("closed");
    before.was_told("closed", &ran);
    assert_eq!(fs::read(pair.b.join("open")).unwrap(), b"of the source");

    set_modes(&pair, |_| 0o755);
    Before::of(&pair.a, &pair.b).is_mended_by("closed", &as_nobody(&pair, &[]));
}
