//! A client that trusts its cache for ten minutes, and another client that changes files meanwhile.

use std::fs;
use std::path::Path;

use super::lab::*;
use crate::faults::strace::{Held, Reach, made_by};
use crate::fixture::*;

/// What another client does.
const THEIR_A: &str = "/mnt/a2";
const THEIR_B: &str = "/mnt/b2";

/// Our client trusts its caches for ten minutes, and has seen everything.
fn fill_long_caches(pair: &Fixture) {
    shell("nfs_remount actimeo=600; nfs_second_client");
    pair.counts(&[]);
    // A directory that was changed is listed anew, with everything that is in it.
    pair.counts(&[]);
}

/// Sends what the other client wrote to the server at once, and makes our client forget what it
/// believes.
fn forget() {
    shell("umount /mnt/a2 /mnt/b2; nfs_remount");
}

/// Another client's write, of which ours sees nothing.
#[track_caller]
fn write_unseen(mount: (&Path, &str), name: &str, content: &str, seconds: i64) {
    let (ours, theirs) = (mount.0.join(name), Path::new(mount.1));
    let len = |path: &Path| fs::metadata(path).unwrap().len();
    let before = len(&ours);
    write(theirs, name, content, seconds);
    assert_ne!(before, content.len() as u64, "it would not show");
    assert_eq!(len(&ours), before, "the cache still shows the old one");
}

#[test]
fn a_newer_file_at_dest_that_the_cache_does_not_show_is_not_overwritten() {
    in_the_lab(|pair| {
        for index in 0..10 {
            write(&pair.a, format!("f{index}"), "first", T0);
        }
        fill_long_caches(&pair);
        for index in 0..10 {
            write(&pair.a, format!("f{index}"), "the source's second", T0 + 100);
            write_unseen((&pair.b, THEIR_B), &format!("f{index}"), "a user's work", T0 + 500);
        }
        pair.counts(&[]).expect(&[("newer_at_dest", 10)]);
        for index in 0..10 {
            assert_eq!(fs::read(format!("/srv/b/f{index}")).unwrap(), b"a user's work");
        }
        forget();
        pair.counts_back(&[]).expect(&[("updated", 10)]);
        all_is_carried(&pair);
    });
}

#[test]
fn an_equal_file_that_was_changed_at_dest_behind_the_cache_keeps_its_own_mtime() {
    in_the_lab(|pair| {
        write(&pair.a, "f", "the same", T0);
        fill_long_caches(&pair);
        date(&pair.a.join("f"), T0 + 100, 0);
        write_unseen((&pair.b, THEIR_B), "f", "a user's work", T0 + 500);
        pair.counts(&[]).expect(&[("newer_at_dest", 1)]);
        forget();
        pair.counts_back(&[]).expect(&[("updated", 1)]);
        assert_eq!(fs::read("/srv/a/f").unwrap(), b"a user's work");
        all_is_carried(&pair);
    });
}

/// Of another size, it shows in the server's answer to the change itself.
#[test]
fn an_equal_file_that_is_saved_at_the_server_in_the_last_moment_stays_the_newer_one() {
    in_the_lab(|pair| {
        write(&pair.a, "f", "the same content", T0);
        pair.counts(&[]);
        let looks = {
            date(&pair.a.join("f"), T0 + 100, 0);
            made_by("worker-0", &pair, &pair.command(), Reach::Below, "statx")
        };
        date(&pair.a.join("f"), T0 + 200, 0);
        // The last of them comes after the mtime was set.
        let held = Held::behind_call_of(
            "worker-0",
            &pair,
            &pair.command(),
            Reach::Below,
            ("statx", looks - 1),
        );
        fs::write("/srv/b/f", "saved").unwrap();
        let ran = held.go_on();
        assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
        pair.counts_back(&[]).expect(&[("updated", 1)]);
        assert_eq!(fs::read("/srv/a/f").unwrap(), b"saved");
        all_is_carried(&pair);
    });
}

#[test]
fn a_name_that_appeared_at_dest_behind_the_cache_is_not_overwritten() {
    in_the_lab(|pair| {
        write(&pair.a, "old", "x", T0);
        fill_long_caches(&pair);
        assert!(!pair.b.join("new").exists(), "our client remembers that it is absent");
        write(THEIR_B.as_ref(), "new", "a user's work", T0 + 500);
        write(&pair.a, "new", "the source's", T0 + 100);
        pair.counts(&[]).expect(&[("newer_at_dest", 1)]);
        assert_eq!(fs::read("/srv/b/new").unwrap(), b"a user's work");
        forget();
        pair.counts_back(&[]).expect(&[("updated", 1)]);
        all_is_carried(&pair);
    });
}

#[test]
fn a_file_that_came_back_at_the_source_behind_the_cache_is_not_deleted_at_dest() {
    in_the_lab(|pair| {
        write(&pair.a, "kept", "x", T0);
        write(&pair.a, "back", "precious", T0);
        fill_long_caches(&pair);
        fs::remove_file(pair.a.join("back")).unwrap();
        assert!(!pair.a.join("back").exists(), "our client remembers that it is absent");
        write(THEIR_A.as_ref(), "back", "precious", T0);
        let counts = pair.counts(&["--delete-missing", "--max-delete", "none"]);
        assert_eq!(counts.get("deleted"), 0, "{counts:?}");
        forget();
        all_is_carried(&pair);
    });
}

#[test]
fn a_candidate_that_was_changed_at_dest_behind_the_cache_is_not_deleted() {
    in_the_lab(|pair| {
        write(&pair.a, "kept", "x", T0);
        write(&pair.b, "only-here", "old", T0);
        fill_long_caches(&pair);
        write_unseen((&pair.b, THEIR_B), "only-here", "a user's work of today", T0 + 500);
        pair.counts(&["--delete-missing", "--max-delete", "none"]).expect(&[("spared", 1)]);
        assert_eq!(fs::read("/srv/b/only-here").unwrap(), b"a user's work of today");
        forget();
        pair.counts_back(&[]).expect(&[("created", 1)]);
        all_is_carried(&pair);
    });
}

#[test]
fn a_source_that_was_changed_behind_the_cache_is_carried_as_it_is_now() {
    in_the_lab(|pair| {
        write(&pair.a, "f", "first", T0);
        fill_long_caches(&pair);
        write(&pair.b, "f", "an older one", T0 - 100);
        write_unseen((&pair.a, THEIR_A), "f", "the second version", T0 + 100);
        pair.counts(&[]).expect(&[("updated", 1)]);
        assert_eq!(fs::read("/srv/b/f").unwrap(), b"the second version");
        forget();
        all_is_carried(&pair);
    });
}
