//! A destination that keeps coarser times than the source is left in peace all the same.

use std::process::Command;

use crate::fixture::*;

/// Runs the sync between an ordinary folder and one on an ext4 whose inodes hold only whole
/// seconds.
///
/// `$coarse` is that folder, `$fine` the other one; `sync SOURCE DEST FLAGS...` prints a summary.
fn with_a_coarse_folder(pair: &Fixture, script: &str) -> Ran {
    let command = pair.command();
    let prepare = "
        fine=$1; coarse=$2; scratch=$3; binary=$4
        truncate -s 16M $scratch/img; mkfs.ext4 -q -I 128 $scratch/img >/dev/null
        mount -o loop $scratch/img $coarse; rmdir $coarse/lost+found; touch -d @1 $coarse
        sync() {
            from=$1; to=$2; shift 2
            $binary --src $from --dest $to --pair test --log-dir $scratch/logs --progress none --format json \"$@\"
        }";
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "bash", "-euc", &format!("{prepare}\n{script}"), "bash"]);
    run(unshare.arg(&pair.a).arg(&pair.b).arg(pair.scratch.path()).arg(command.get_program()))
}

#[test]
fn a_coarse_destination_is_not_touched_again_by_a_threshold_of_nothing() {
    let pair = Fixture::new();
    date(&write(&pair.a, "dir/file", "content", T0), T0, 123_456_789);
    date(&write(&pair.a, "other", "content", T0), T0 + 1, 999_999_999);
    let script = "
        for threshold in 0 0.5; do
            sync $fine $coarse --mtime-threshold $threshold --dry-run
            sync $fine $coarse --mtime-threshold $threshold
            stat -c '%n %z' $coarse/* $coarse/dir/* > $scratch/before-$threshold
            sync $fine $coarse --mtime-threshold $threshold --checksum always
            stat -c '%n %z' $coarse/* $coarse/dir/* | cmp - $scratch/before-$threshold
        done
        sync $coarse $fine --mtime-threshold 0 --dry-run
        sync $coarse $fine --mtime-threshold 0
        sync $fine $coarse
        ls -A $coarse >&2; stat -c %Y $coarse >&2";
    date(&pair.a, T0 + 7, 0);
    let ran = with_a_coarse_folder(&pair, script);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let summaries: Vec<_> =
        ran.json().into_iter().filter(|line| line["type"] == "summary").collect();
    let counts = |index: usize| Counts(summaries[index].clone());
    for first in [0, 1] {
        counts(first).expect(&[("created", 3)]);
    }
    for later in [2, 3, 4, 5, 6, 7] {
        counts(later).expect(&[("in_sync", 2)]);
    }
    counts(8).expect(&[("in_sync", 2), ("close_mtimes", 2)]);
    let seen: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(seen, ["dir", "other", &(T0 + 7).to_string()], "nothing is left of the question");
}

#[test]
fn what_was_really_changed_goes_to_a_coarse_destination() {
    let pair = Fixture::new();
    date(&write(&pair.a, "file", "content", T0), T0, 500_000_000);
    let script = "
        sync $fine $coarse --mtime-threshold 0
        echo another > $fine/file; touch -d @1600000001.25 $fine/file
        sync $fine $coarse --mtime-threshold 0
        cmp $fine/file $coarse/file
        echo longer than that > $fine/file; touch -d @1600000001.75 $fine/file
        sync $fine $coarse --mtime-threshold 0
        cmp $fine/file $coarse/file";
    let ran = with_a_coarse_folder(&pair, script);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let updated: Vec<_> =
        ran.json().iter().map(|summary| summary["counts"]["updated"].clone()).collect();
    assert_eq!(updated, [0, 1, 1]);
}
