//! Errors of the kernel at every call of scan and copy: at the first, the second, … and from one
//! on.
//!
//! The errors are those of a failing disk (`EIO`), of a server's file that is gone (`ESTALE`), of a
//! server that does not answer (`ETIMEDOUT`) and of a machine without memory. Calls that write also
//! get those of a full or read-only disk.

use super::check::Before;
use super::scenario;
use super::strace::{Reach, injected, made_by_no_worker, under_strace};
use crate::fixture::*;

const ANY: &[&str] = &["EIO", "ESTALE", "ETIMEDOUT", "ENOMEM"];
const WRITING: &[&str] = &["EIO", "ENOSPC", "ESTALE", "EDQUOT", "ETIMEDOUT", "EROFS", "ENOMEM"];

/// A kind of call, and how it is brought about and hit.
struct Row {
    call: &'static str,
    reach: Reach,
    errors: &'static [&'static str],
    /// The first one that is hit, and the steps from there.
    first: usize,
    step: usize,
    /// Further files, so that a worker makes more of these calls than the main thread.
    files: usize,
    /// How many there are at least, or this test tests nothing.
    at_least: usize,
    flags: &'static [&'static str],
    /// What strace has to do besides.
    besides: &'static [&'static str],
}

const fn row(
    call: &'static str,
    reach: Reach,
    errors: &'static [&'static str],
    at_least: usize,
) -> Row {
    Row { call, reach, errors, first: 1, step: 1, files: 0, at_least, flags: &[], besides: &[] }
}

/// Enough for a worker to make more calls of any kind than any thread but the workers.
const FILES: usize = 80;

/// As on NFS, which knows no rename without replacing.
const BY_LINK: &[&str] = &["renameat2:error=EINVAL"];

/// A row that hits only a worker's calls, for calls whose files have names that are not known
/// before.
fn of_a_worker(call: &'static str, errors: &'static [&'static str], step: usize) -> Row {
    let pair = scenario_of(FILES);
    let first = made_by_no_worker(&pair, &pair.command(), Reach::Anywhere, call) + 1;
    Row { first, step, files: FILES, ..row(call, Reach::Anywhere, errors, 5) }
}

fn scenario_of(files: usize) -> Fixture {
    let pair = scenario();
    for index in 0..files {
        write(&pair.a, format!("t/further/{index}"), "x", T0);
    }
    pair
}

/// One run with a fault, the three assertions, and whether there was such a call.
fn stands(row: &Row, error: &str, when: &str) -> bool {
    let pair = scenario_of(row.files);
    let mut before = Before::of(&pair.a, &pair.b).may_leave_temporaries(row.call == "unlinkat");
    let mut command = pair.command();
    command.args(row.flags).args(["--format", "json"]);
    let injection = format!("{}:error={error}:when={when}", row.call);
    let injections = [&[&*injection], row.besides].concat();
    let ran = run(&mut under_strace(&pair, &command, row.reach, &injections));
    let hit = injected(&pair, row.call);
    if hit.is_empty() {
        return false;
    }
    let fault = format!("{error} at {} number {when}, {:?}", row.call, row.reach);
    assert!(
        ran.code != Some(0) || hit.iter().all(|line| is_harmless(line)),
        "{fault}, no word of {hit:#?}"
    );
    before.nothing_is_lost(&fault);
    before.was_told(&fault, &ran);
    before.is_mended_by(&fault, &pair.sync(&[]));
    true
}

/// Calls that may fail without a report. What cannot be removed is swept by the next run. Of the
/// files that are closed, only a finished one can still report lost data. The lock file's content
/// is for people. If the directories above the roots cannot be asked whether one root lies in the
/// other, the scan still knows a root when it meets one.
fn is_harmless(line: &str) -> bool {
    let closes_other = line.contains("close") && !line.contains(".tmp>");
    closes_other || line.contains("unlinkat") || line.contains(".lock>") || line.contains("\"..\"")
}

/// Fails every call once, with one of its errors in turn. Then fails all calls with each error from
/// the first call on, from the second, from the fourth, ….
fn stands_everywhere(rows: &[Row]) {
    for row in rows {
        let number = |index: usize| row.first + index * row.step;
        let error = |index: usize| row.errors[index % row.errors.len()];
        let hit = (0..)
            .take_while(|index| stands(row, error(*index), &number(*index).to_string()))
            .count();
        assert!(hit >= row.at_least, "{} was only made {hit} times", row.call);
        for (turn, index) in std::iter::successors(Some(0), |index| Some(2 * index + 1)).enumerate()
        {
            if index >= hit {
                break;
            }
            for error in [error(turn), error(turn + 1)] {
                stands(row, error, &format!("{}+", number(index)));
            }
        }
    }
}

#[test]
fn at_the_listing_of_a_directory() {
    stands_everywhere(&[
        row("getdents64", Reach::Below, ANY, 8),
        row("getdents64", Reach::Roots, ANY, 2),
        row("readlinkat", Reach::Below, ANY, 3),
    ]);
}

#[test]
fn at_a_look_at_an_entry() {
    stands_everywhere(&[row("statx", Reach::Below, ANY, 30), of_a_worker("statx", ANY, 17)]);
}

#[test]
fn at_the_opening_of_a_file_or_directory() {
    stands_everywhere(&[row("openat", Reach::Below, WRITING, 20)]);
}

#[test]
fn at_the_roots() {
    stands_everywhere(&[
        row("openat", Reach::Roots, ANY, 2),
        row("statx", Reach::Roots, ANY, 2),
        row("fstatfs", Reach::Roots, ANY, 1),
        row("syncfs", Reach::Anywhere, WRITING, 1),
    ]);
}

#[test]
fn at_the_reading_of_data() {
    stands_everywhere(&[
        row("pread64", Reach::Below, ANY, 10),
        row("lseek", Reach::Below, ANY, 2),
        Row { flags: &["--hash-copies=false"], ..row("copy_file_range", Reach::Below, WRITING, 8) },
    ]);
}

#[test]
fn at_the_writing_of_data() {
    stands_everywhere(&[
        row("pwrite64", Reach::Anywhere, WRITING, 10),
        row("ftruncate", Reach::Anywhere, WRITING, 1),
        Row { step: 3, flags: &["--fsync=always"], ..row("fsync", Reach::Anywhere, WRITING, 5) },
        // Where NFS reports a full disk.
        of_a_worker("close", WRITING, 11),
    ]);
}

#[test]
fn at_the_setting_of_owner_mode_and_mtime() {
    stands_everywhere(&[
        row("fchmod", Reach::Anywhere, WRITING, 3),
        row("fchown", Reach::Anywhere, WRITING, 2),
        row("fchownat", Reach::Anywhere, WRITING, 1),
        row("utimensat", Reach::Anywhere, WRITING, 20),
    ]);
}

#[test]
fn at_the_making_of_names() {
    stands_everywhere(&[
        row("mkdirat", Reach::Below, WRITING, 4),
        row("symlinkat", Reach::Below, WRITING, 3),
        row("renameat", Reach::Below, WRITING, 3),
        row("renameat2", Reach::Below, WRITING, 8),
    ]);
}

#[test]
fn at_the_making_of_names_by_links_and_the_removal_of_others() {
    stands_everywhere(&[
        Row { besides: BY_LINK, ..row("linkat", Reach::Below, WRITING, 8) },
        Row { besides: BY_LINK, ..row("unlinkat", Reach::Below, WRITING, 8) },
    ]);
}
