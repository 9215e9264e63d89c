//! The exit codes in words: the one list for `--help`, the manual page and the reference.

/// Each code, or codes, and what it means.
pub const EXIT_CODES: [(&str, &str); 8] = [
    ("0", "done, nothing failed; also: skipped because locked"),
    ("1", "done, some paths failed or are in conflict"),
    ("2", "usage or configuration; nothing was touched"),
    (
        "3",
        "a safety guard withheld all deletions (the rest is done), or refused the run (nothing was touched)",
    ),
    ("4", "the lock was lost; what was not begun until then was left alone"),
    ("5", "fatal: the run could not go on"),
    ("75", "locked, with --if-locked=fail, or longer than wait=SECONDS"),
    ("129, 130, 143", "interrupted by SIGHUP (but under nohup), SIGINT, SIGTERM"),
];

/// The text below the flags in `--help`.
pub(super) fn after_help() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for (code, meaning) in EXIT_CODES {
        text.push_str(&format!("  {code:<14} {meaning}\n"));
    }
    text.push_str("\nTry it first with --dry-run: it prints the plan and touches neither tree.");
    text
}
