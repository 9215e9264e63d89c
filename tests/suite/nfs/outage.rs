//! The server goes away and comes back.

use std::fs;

use super::lab::*;
use crate::faults::check::Before;
use crate::fixture::*;

fn fill(files: usize) {
    for index in 0..files {
        write(SERVER_A.as_ref(), format!("new-{index:03}"), vec![index as u8; 5000], T0);
        write(SERVER_A.as_ref(), format!("d{}/old-{index:03}", index % 9), "the new version", T0 + 100);
        write(SERVER_B.as_ref(), format!("d{}/old-{index:03}", index % 9), "the old", T0);
    }
}

#[test]
fn a_server_that_restarts_in_the_middle_is_waited_for() {
    in_the_lab(|pair| {
        fill(60);
        let mut before = Before::of(SERVER_A.as_ref(), SERVER_B.as_ref());
        slow_down("2ms");
        let child = start(&pair, &[]);
        wait_for_files("/srv/b", 12);
        shell("nfs_server restart");
        let ran = end(child);
        speed_up();
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        before.nothing_is_lost("a restart");
        before.was_told("a restart", &ran);
        before.is_mended_by("a restart", &pair.sync(&[]));
        all_is_carried(&pair);
    });
}

/// With a soft mount every call fails after a while, and what could not be asked is unknown.
#[test]
fn a_soft_mount_whose_server_goes_away_loses_nothing_and_deletes_nothing() {
    in_the_lab(|pair| {
        fill(24);
        write(SERVER_B.as_ref(), "only-here", "a user's", T0);
        shell("nfs_remount soft,timeo=3,retrans=1");
        let mut before = Before::of(SERVER_A.as_ref(), SERVER_B.as_ref()).may_leave_temporaries(true);
        slow_down("2ms");
        let child = start(&pair, &["--delete-missing", "--max-delete", "none", "--workers", "4"]);
        wait_for_files("/srv/b", 14);
        shell("nfs_server stop");
        let ran = end(child);
        assert!(matches!(ran.code, Some(1 | 3 | 5)), "{:?} {}{}", ran.code, ran.stdout, ran.stderr);
        before.nothing_is_lost("no server");
        assert_eq!(fs::read("/srv/b/only-here").unwrap(), b"a user's");
        shell("nfs_server start");
        speed_up();
        shell("nfs_remount");
        let ran = pair.sync(&[]);
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        fs::remove_file("/srv/b/only-here").unwrap();
        shell("nfs_remount");
        all_is_carried(&pair);
    });
}
