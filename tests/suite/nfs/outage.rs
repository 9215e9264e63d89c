//! The server goes away and comes back.

use std::fs;

use super::lab::*;
use crate::faults::check::Before;
use crate::fixture::*;

fn fill(files: usize) {
    for index in 0..files {
        write(SERVER_A.as_ref(), format!("new-{index:03}"), vec![index as u8; 5000], T0);
        write(
            SERVER_A.as_ref(),
            format!("d{}/old-{index:03}", index % 9),
            "the new version",
            T0 + 100,
        );
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
        let ran = finish(child);
        speed_up();
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        before.nothing_is_lost("a restart");
        before.was_told("a restart", &ran);
        before.is_mended_by("a restart", &pair.sync(&[]));
        all_is_carried(&pair);
    });
}

/// With a soft mount, calls fail after a while, and what could not be asked is unknown. (That does
/// not hold for every call: once its lease has run out, an NFSv4 client waits for the server
/// whatever the mount says. So the server comes back when some calls have failed.)
#[test]
fn a_soft_mount_whose_server_goes_away_loses_nothing_and_deletes_nothing() {
    in_the_lab(|pair| {
        fill(24);
        write(SERVER_B.as_ref(), "only-here", "a user's", T0);
        // A lease that lasts longer than the calls of one file take to fail.
        shell(
            "umount /mnt/a /mnt/b; nfs_server stop; echo 90 >/proc/fs/nfsd/nfsv4leasetime; nfs_server start",
        );
        shell("nfs_mount a soft,timeo=2,retrans=1; nfs_mount b soft,timeo=2,retrans=1");
        let mut before =
            Before::of(SERVER_A.as_ref(), SERVER_B.as_ref()).may_leave_temporaries(true);
        slow_down("2ms");
        let child = start(&pair, &["--delete-missing", "--max-delete", "none"]);
        wait_for_files("/srv/b", 14);
        shell("nfs_server stop");
        wait_until("a call fails", || {
            let opslogs = pair.log_files(".part");
            opslogs
                .iter()
                .any(|path| fs::read_to_string(path).unwrap().contains("Input/output error"))
        });
        shell("nfs_server start");
        let ran = finish(child);
        speed_up();
        assert!(matches!(ran.code, Some(1 | 3)), "{:?} {}{}", ran.code, ran.stdout, ran.stderr);
        before.nothing_is_lost("no server");
        assert_eq!(fs::read("/srv/b/only-here").unwrap(), b"a user's");
        shell("nfs_remount");
        before.is_mended_by("no server", &pair.sync(&[]));
        pair.counts(&[]).expect(&[("only_at_dest", 1)]);
    });
}
