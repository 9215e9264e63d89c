//! The server's files change while a run is going on.

use std::fs::{self, File};
use std::io::Write as _;

use super::lab::*;
use crate::fixture::*;

#[test]
fn what_another_client_creates_at_dest_during_the_run_stays_theirs() {
    in_the_lab(|pair| {
        let names: Vec<_> = (0..120).map(|index| format!("d/f{index:03}")).collect();
        for name in &names {
            write(SERVER_A.as_ref(), name, "the source's", T0);
        }
        slow_down("2ms");
        let child = start(&pair, &[]);
        wait_for_files("/srv/b/d", 3);
        let mut theirs = Vec::new();
        for name in names.iter().rev() {
            // Whoever comes first has the name.
            if let Ok(mut file) = File::create_new(format!("/srv/b/{name}")) {
                file.write_all(b"a user's work").unwrap();
                theirs.push(name);
            }
        }
        let ran = finish(child);
        speed_up();
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        assert!(!theirs.is_empty(), "the run was faster");
        Counts(ran.summary()).expect(&[
            ("created", (names.len() - theirs.len() + 1) as u64),
            ("newer_at_dest", theirs.len() as u64),
        ]);
        for name in theirs {
            assert_eq!(fs::read(format!("/srv/b/{name}")).unwrap(), b"a user's work", "{name}");
        }
        shell("nfs_remount");
        pair.counts_back(&[]);
        all_is_carried(&pair);
    });
}

/// Between the last look at the source and the deletion there is one round trip, and no more.
#[test]
fn a_candidate_that_comes_back_at_the_source_while_others_are_being_deleted_stays() {
    in_the_lab(|pair| {
        let names: Vec<_> = (0..60).map(|index| format!("d/f{index:02}")).collect();
        write(SERVER_A.as_ref(), "d/kept", "x", T0);
        for name in names.iter().map(String::as_str).chain(["d/kept"]) {
            write(SERVER_B.as_ref(), name, "x", T0);
        }
        slow_down("5ms");
        let child = start(&pair, &["--delete-missing", "--max-delete", "none", "--workers", "1"]);
        let is_there = |name: &str| fs::exists(format!("/srv/b/{name}")).unwrap();
        wait_until("the first ones go", || names.iter().any(|name| !is_there(name)));
        for name in names.iter().rev() {
            write(SERVER_A.as_ref(), name, "x", T0);
        }
        let came_back = names.iter().filter(|name| is_there(name)).count();
        let ran = finish(child);
        speed_up();
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        assert!(came_back > 1, "the run was faster");
        let left = names.iter().filter(|name| is_there(name)).count();
        assert!(left + 1 >= came_back, "{left} of {came_back} are left");
        assert_eq!(Counts(ran.summary()).get("spared"), left as u64);
        shell("nfs_remount");
        pair.counts(&[]).expect(&[("created", (names.len() - left) as u64)]);
        all_is_carried(&pair);
    });
}

/// The directories' handles lead nowhere any more: `ESTALE`.
#[test]
fn directories_that_are_replaced_at_the_server_during_the_run_are_unknown_and_nothing_is_deleted_for_them()
 {
    in_the_lab(|pair| {
        for index in 0..60 {
            write(SERVER_A.as_ref(), format!("d{index:02}/file"), "x", T0);
            write(SERVER_A.as_ref(), format!("d{index:02}/sub/file"), "x", T0);
            write(SERVER_B.as_ref(), format!("d{index:02}/only-here"), "a user's", T0);
            write(SERVER_B.as_ref(), format!("d{index:02}/sub/only-here"), "a user's", T0);
        }
        slow_down("2ms");
        let child =
            start(&pair, &["--delete-missing", "--max-delete", "none", "--scan-threads", "2"]);
        wait_until("a file arrives", || {
            (0..60).any(|index| fs::exists(format!("/srv/b/d{index:02}/file")).unwrap())
        });
        // The server is away while its tree is exchanged, so that its clients see the exchange all
        // at once.
        shell(
            "nfs_server stop; cp -a /srv/a /srv/new-a; rm -rf /srv/a/*; cp -a /srv/new-a/. /srv/a; rm -rf /srv/new-a",
        );
        shell("nfs_server start");
        let ran = finish(child);
        speed_up();
        assert!(matches!(ran.code, Some(0 | 1 | 3 | 5)), "{}{}", ran.stdout, ran.stderr);
        let (a, b) = (look(SERVER_A.as_ref()), look(SERVER_B.as_ref()));
        for (path, seen) in a.iter().filter(|(_, seen)| seen.kind != Kind::Dir) {
            assert!(
                b.get(path).is_none_or(|there| there == seen),
                "{}",
                String::from_utf8_lossy(path)
            );
        }
        assert!(!ran.stdout.contains("\"deleted\":240"), "{}", ran.stdout);
        shell("nfs_remount");
        let ran = pair.sync(&[]);
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        for path in a.keys() {
            assert!(fs::symlink_metadata(pair.b.join(std::str::from_utf8(path).unwrap())).is_ok());
        }
        pair.counts(&[]).expect(&[("only_at_dest", only_at_dest(&pair))]);
    });
}

fn only_at_dest(pair: &Fixture) -> u64 {
    let (a, b) = (look(&pair.a), look(&pair.b));
    b.keys().filter(|path| !a.contains_key(*path)).count() as u64
}

/// The client keeps the file under another name until it is closed, and the directory with it.
#[test]
fn a_file_that_is_open_keeps_its_directory_until_the_next_run() {
    in_the_lab(|pair| {
        write(&pair.a, "kept", "x", T0);
        write(&pair.b, "gone/held", "somebody reads this", T0);
        write(&pair.b, "gone/other", "x", T0);
        let held = File::open(pair.b.join("gone/held")).unwrap();
        let counts = pair.counts(&["--delete-missing", "--max-delete", "none"]);
        assert_eq!((counts.get("deleted"), counts.get("spared")), (2, 1), "{counts:?}");
        let left: Vec<_> =
            fs::read_dir("/srv/b/gone").unwrap().map(|name| name.unwrap().file_name()).collect();
        assert!(left.len() == 1 && left[0].to_str().unwrap().starts_with(".nfs"), "{left:?}");
        // It is nobody's file: it is neither carried nor deleted.
        pair.counts(&["--delete-missing", "--max-delete", "none"]).expect(&[]);
        drop(held);
        wait_until("the client removes it", || {
            fs::read_dir("/srv/b/gone").unwrap().next().is_none()
        });
        pair.counts(&["--delete-missing", "--max-delete", "none"]).expect(&[("deleted", 1)]);
        all_is_carried(&pair);
    });
}
