//! What was meant: arguments that were checked against each other and against the machine.
//!
//! Whatever is wrong is said at once, before anything is touched, in a sentence that tells what to do.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::{ChecksumArg, FormatArg, FsyncArg, LockArg, ProgressArg, SyncArgs};
use crate::model::{Escaped, shown};
use crate::pipeline::{Checksum, Rules};
use crate::tree::{Dir, LOG_DIR_TAG};

/// A sync that makes sense.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder that is read; absolute, symlinks resolved.
    pub source: PathBuf,
    /// The folder that is changed; absolute, symlinks resolved.
    pub dest: PathBuf,
    /// Logical name of the pair.
    pub pair: String,
    /// Label of the direction.
    pub direction: String,
    /// Plan only.
    pub dry_run: bool,
    /// What decides.
    pub rules: Rules,
    /// Threads that copy.
    pub workers: usize,
    /// Threads that list; nothing: by file system.
    pub scan_threads: Option<usize>,
    /// MD5 of what is copied.
    pub hash_copies: bool,
    /// Carry owners.
    pub carry_owner: bool,
    /// Carry permission bits.
    pub carry_mode: bool,
    /// When files are written through to disk.
    pub fsync: FsyncArg,
    /// Whether the pair is locked.
    pub lock: bool,
    /// What to do when it is locked already.
    pub if_locked: IfLocked,
    /// Where opslogs go.
    pub log_dir: LogDirChoice,
    /// How long opslogs are kept; nothing: for ever.
    pub log_retention: Option<Duration>,
    /// What is printed.
    pub output: Output,
}

/// Where opslogs go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogDirChoice {
    /// Where the user said.
    Given(PathBuf),
    /// The system's place or, where that can't be used, the user's.
    Default {
        /// Tried first.
        system: PathBuf,
        /// Tried then; nothing where there is no home.
        user: Option<PathBuf>,
    },
}

/// `--if-locked`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfLocked {
    /// Leave it to the run that is under way.
    Skip,
    /// Wait this long at most.
    Wait(Duration),
    /// Exit 75.
    Fail,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// Standard output.
    pub format: FormatArg,
    /// Progress.
    pub progress: ProgressArg,
    /// Messages.
    pub log_format: FormatArg,
    /// How much.
    pub detail: Detail,
}

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Warnings and errors.
    Quiet,
    /// The summary, too.
    Normal,
    /// Every operation, too.
    Verbose,
}

/// Arguments that make no sense: what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

type Checked<T> = Result<T, ConfigError>;

fn wrong<T>(message: impl fmt::Display) -> Checked<T> {
    Err(ConfigError(message.to_string()))
}

impl Config {
    /// Checks the arguments. Looks at the two roots, changes nothing.
    pub fn from_args(args: &SyncArgs) -> Checked<Self> {
        refuse_what_is_not_there_yet(args)?;
        let pair = pair_name(args.pair.as_deref().unwrap_or_default())?;
        let direction = direction_label(&args.direction)?;
        let source = root("--src", args.src.as_deref())?;
        let dest = root("--dest", args.dest.as_deref())?;
        check_apart(&source, &dest)?;
        if !args.dry_run {
            check_writable(&dest)?;
        }
        let log_dir = log_dir(args.log_dir.as_deref());
        check_log_dir(&log_dir, &[("--src", &source), ("--dest", &dest)])?;
        Ok(Self {
            source,
            dest,
            pair,
            direction,
            dry_run: args.dry_run,
            rules: Rules {
                mtime_threshold: threshold(&args.mtime_threshold)?,
                checksum: match args.checksum {
                    ChecksumArg::Mismatch => Checksum::Mismatch,
                    ChecksumArg::Always => Checksum::Always,
                    ChecksumArg::Never => Checksum::Never,
                },
            },
            workers: args.workers.into(),
            scan_threads: args.scan_threads.map(usize::from),
            hash_copies: args.hash_copies,
            carry_owner: args.owner,
            carry_mode: args.mode,
            fsync: args.fsync,
            lock: locks(args.lock)?,
            if_locked: if_locked(&args.if_locked)?,
            log_dir,
            log_retention: (args.log_retain_days > 0)
                .then(|| Duration::from_secs(u64::from(args.log_retain_days) * 24 * 3600)),
            output: output(args)?,
        })
    }
}

/// A flag whose engine does not exist must not look as if it did something.
fn refuse_what_is_not_there_yet(args: &SyncArgs) -> Checked<()> {
    if let Some(rate) = &args.bwlimit {
        parse_size(rate)?;
    }
    let given = [
        ("--db-dsn", args.db_dsn.is_some(), "opslogs stay in the log directory"),
        ("--db-retain-days", args.db_retain_days.is_some(), "there is no database"),
        (
            "--lock=lease",
            args.lock == LockArg::Lease,
            "use --lock=file with a log directory that all runs share",
        ),
        ("--lock-ttl", args.lock_ttl.is_some(), "a lock file needs none"),
        ("--namespace", args.namespace.is_some(), "a lock file needs none"),
        ("--delete-missing", args.delete_missing, "nothing is deleted"),
        ("--max-delete", args.max_delete.is_some(), "nothing is deleted"),
        ("--xattrs", args.xattrs == Some(true), "extended attributes and ACLs are not carried"),
        ("--exclude", !args.exclude.is_empty(), "everything is carried"),
        ("--exclude-from", !args.exclude_from.is_empty(), "everything is carried"),
        ("--include", !args.include.is_empty(), "everything is carried"),
        ("--min-age", args.min_age.is_some(), "everything is carried"),
        ("--bwlimit", args.bwlimit.is_some(), "fewer --workers use less of the network"),
        ("--require-mount", args.require_mount, "check with `mountpoint -q DIR` before"),
        ("--require-file", args.require_file.is_some(), "check with `test -e DIR/NAME` before"),
    ];
    match given.iter().find(|(_, given, _)| *given) {
        Some((flag, _, instead)) => wrong(format!(
            "{flag} is not there yet in this release ({instead}); take it out (it may come from the environment: {})",
            variable(flag)
        )),
        None => Ok(()),
    }
}

/// `--db-dsn` as `HA_SYNC_DB_DSN`.
fn variable(flag: &str) -> String {
    let name = flag.trim_start_matches('-').split('=').next().unwrap_or_default();
    format!("HA_SYNC_{}", name.replace('-', "_").to_uppercase())
}

/// A DNS label, since it becomes part of a Kubernetes object's name.
fn pair_name(name: &str) -> Checked<String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if is_label {
        return Ok(name.to_owned());
    }
    wrong(format!(
        "--pair {:?} is no DNS label: use 1 to 63 lower-case letters, digits and dashes, \
         beginning and ending with a letter or digit, such as media",
        Escaped(name.as_bytes()).to_string()
    ))
}

fn direction_label(label: &str) -> Checked<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=64).contains(&label.len()) && label.bytes().all(allowed) {
        return Ok(label.to_owned());
    }
    wrong(format!(
        "--direction {:?} is no label: use 1 to 64 of A-Z a-z 0-9 . _ -, such as dell-to-hp",
        Escaped(label.as_bytes()).to_string()
    ))
}

fn root(flag: &str, path: Option<&Path>) -> Checked<PathBuf> {
    let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else {
        return wrong(format!("{flag} is empty: give the folder"));
    };
    let resolved = path.canonicalize().or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => wrong(format!(
            "{flag} {}: no such folder. Create it, or mount what should be there, and try again",
            shown(path)
        )),
        _ => wrong(format!("{flag} {}: {error}", shown(path))),
    })?;
    if !resolved.is_dir() {
        return wrong(format!("{flag} {} is no folder: give the folder that holds it", shown(path)));
    }
    if resolved.join(LOG_DIR_TAG).symlink_metadata().is_ok() {
        return wrong(format!(
            "{flag} {} is a log directory of ha-sync (it holds {LOG_DIR_TAG}): choose another folder",
            shown(path)
        ));
    }
    Ok(resolved)
}

/// Neither root may lie inside the other, by whatever path or mount they are seen.
fn check_apart(source: &Path, dest: &Path) -> Checked<()> {
    let open = |flag: &str, path: &Path| {
        Dir::open_root(path).or_else(|error| {
            wrong(format!("{flag} {} cannot be opened: {error}. Check its permissions", shown(path)))
        })
    };
    let (source_dir, dest_dir) = (open("--src", source)?, open("--dest", dest)?);
    let same = source == dest || identities(&source_dir).first() == identities(&dest_dir).first();
    if same {
        return wrong(format!("--src and --dest are the same folder, {}: give two", shown(source)));
    }
    let inside = |inner: &Path, inner_dir: &Dir, outer: &Path, outer_dir: &Dir| {
        inner.starts_with(outer)
            || identities(outer_dir).first().is_some_and(|outer| identities(inner_dir).contains(outer))
    };
    let nested = |inner: &str, outer: &str| {
        wrong(format!("{inner} lies inside {outer}: a tree cannot be synced into itself. Move one of them"))
    };
    if inside(source, &source_dir, dest, &dest_dir) {
        return nested("--src", "--dest");
    }
    if inside(dest, &dest_dir, source, &source_dir) {
        return nested("--dest", "--src");
    }
    Ok(())
}

/// The directory and all above it. One that can't be asked ends the list: what is above is not compared then.
fn identities(dir: &Dir) -> Vec<(u32, u32, u64)> {
    let mut found: Vec<_> = dir.identity().into_iter().collect();
    let mut above = dir.open_parent();
    while let Ok((dir, identity)) = above.and_then(|dir| dir.identity().map(|identity| (dir, identity))) {
        if found.last() == Some(&identity) {
            break;
        }
        found.push(identity);
        above = dir.open_parent();
    }
    found
}

fn check_writable(dest: &Path) -> Checked<()> {
    let writable = Dir::open_root(dest).and_then(|dir| dir.is_writable());
    writable.or_else(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::ReadOnlyFilesystem => "Remount it read-write",
            _ => "Run as a user who may write there, or change its permissions",
        };
        wrong(format!("--dest {} is not writable: {error}. {hint}", shown(dest)))
    })
}

fn log_dir(given: Option<&Path>) -> LogDirChoice {
    if let Some(path) = given {
        return LogDirChoice::Given(path.to_owned());
    }
    let absolute =
        |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    LogDirChoice::Default { system: "/var/log/ha-sync".into(), user: user.map(|state| state.join("ha-sync")) }
}

/// A log directory may lie inside a tree, where it is left out from then on: so it can't be the tree
/// itself, nor a folder with the user's own files.
fn check_log_dir(choice: &LogDirChoice, roots: &[(&str, &Path)]) -> Checked<()> {
    let LogDirChoice::Given(path) = choice else { return Ok(()) };
    if path.as_os_str().is_empty() {
        return wrong("--log-dir is empty: give a folder");
    }
    let Ok(resolved) = path.canonicalize() else { return Ok(()) };
    if let Some((flag, _)) = roots.iter().find(|(_, root)| *root == resolved) {
        return wrong(format!("--log-dir is {flag} itself: give a folder of its own for the logs"));
    }
    let is_in_a_tree = roots.iter().any(|(_, root)| resolved.starts_with(root));
    if is_in_a_tree && !resolved.join(LOG_DIR_TAG).exists() && !is_empty(&resolved) {
        return wrong(format!(
            "--log-dir {} lies in a tree and holds files of other kinds: a log directory is left out of every sync, \
             and they would be, too. Give an empty or a new folder",
            shown(path)
        ));
    }
    Ok(())
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

fn locks(lock: LockArg) -> Checked<bool> {
    match lock {
        LockArg::Auto if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => wrong(
            "inside a cluster --lock=auto means a Lease, which is not there yet in this release: \
             use --lock=file with a log directory that both directions share",
        ),
        LockArg::Auto | LockArg::File | LockArg::Lease => Ok(true),
        LockArg::None => Ok(false),
    }
}

fn if_locked(text: &str) -> Checked<IfLocked> {
    match text.split_once('=') {
        None if text == "skip" => Ok(IfLocked::Skip),
        None if text == "fail" => Ok(IfLocked::Fail),
        None if text == "wait" => Ok(IfLocked::Wait(Duration::MAX)),
        Some(("wait", seconds)) if seconds.parse::<u64>().is_ok() => {
            Ok(IfLocked::Wait(Duration::from_secs(seconds.parse().unwrap_or(0))))
        }
        _ => wrong(format!("--if-locked {text:?}: use skip, wait, wait=SECONDS or fail")),
    }
}

fn threshold(text: &str) -> Checked<Duration> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or(()).or_else(|()| {
        wrong(format!(
            "--mtime-threshold {text:?}: give seconds, 0 or more, fractions allowed, such as 2 or 0.5"
        ))
    })
}

/// Bytes, with `K`, `M`, `G` or `T` for powers of 1024.
fn parse_size(text: &str) -> Checked<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let shift = match unit {
        "" | "B" => Some(0),
        "K" | "k" | "KiB" => Some(10),
        "M" | "m" | "MiB" => Some(20),
        "G" | "g" | "GiB" => Some(30),
        "T" | "t" | "TiB" => Some(40),
        _ => None,
    };
    let size =
        digits.parse::<u64>().ok().zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
    size.filter(|size| *size > 0).ok_or(()).or_else(|()| {
        wrong(format!(
            "--bwlimit {text:?}: give bytes per second, such as 50M (K, M, G, T are powers of 1024)"
        ))
    })
}

fn output(args: &SyncArgs) -> Checked<Output> {
    let detail = match (args.quiet, args.verbose) {
        (true, true) => return wrong("--quiet and --verbose exclude each other: give one"),
        (true, false) => Detail::Quiet,
        (false, true) => Detail::Verbose,
        (false, false) => Detail::Normal,
    };
    Ok(Output { format: args.format, progress: args.progress, log_format: args.log_format, detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_a_dns_label() {
        for good in ["media", "a", "a-b", "0", &"x".repeat(63)] {
            assert_eq!(pair_name(good).unwrap(), good);
        }
        for bad in ["", "-a", "a-", "Media", "a_b", "a.b", "a/b", "é", "a\n", &"x".repeat(64)] {
            assert!(pair_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024_and_never_nothing() {
        assert_eq!(parse_size("50M").unwrap(), 50 << 20);
        assert_eq!(parse_size("1").unwrap(), 1);
        assert_eq!(parse_size("2GiB").unwrap(), 2 << 30);
        for bad in ["", "0", "M", "5X", "-1", "1.5M", "99999999999T"] {
            assert!(parse_size(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_threshold_is_any_time_that_is_not_negative() {
        assert_eq!(threshold("2").unwrap(), Duration::from_secs(2));
        assert_eq!(threshold("0.25").unwrap(), Duration::from_millis(250));
        assert_eq!(threshold("0").unwrap(), Duration::ZERO);
        for bad in ["", "-1", "x", "NaN", "inf", "1e300"] {
            assert!(threshold(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn waiting_for_a_lock_may_have_an_end() {
        assert_eq!(if_locked("wait=30").unwrap(), IfLocked::Wait(Duration::from_secs(30)));
        assert_eq!(if_locked("wait").unwrap(), IfLocked::Wait(Duration::MAX));
        for bad in ["", "wait=", "wait=x", "skip=1", "later"] {
            assert!(if_locked(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_flag_and_its_variable_have_one_name() {
        assert_eq!(variable("--db-dsn"), "HA_SYNC_DB_DSN");
        assert_eq!(variable("--lock=lease"), "HA_SYNC_LOCK");
    }
}
