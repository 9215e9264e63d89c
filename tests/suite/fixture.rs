//! A pair of trees in a scratch folder, and the binary that syncs them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::process::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// Seconds since 1970 that no test reaches by itself.
pub const T0: i64 = 1_600_000_000;

/// Two trees and a log directory.
pub struct Fixture {
    pub scratch: TempDir,
    pub a: PathBuf,
    pub b: PathBuf,
    pub logs: PathBuf,
    /// `--db-dsn`.
    pub dsn: String,
}

/// What a finished process said.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Fixture {
    /// Two empty trees. No database, so that the opslogs stay where a test can look at them.
    pub fn new() -> Self {
        let scratch = tempfile::Builder::new().prefix("ha-sync-").tempdir().unwrap();
        let path = |name| scratch.path().join(name);
        let (a, b, logs) = (path("a"), path("b"), path("logs"));
        fs::create_dir(&a).unwrap();
        fs::create_dir(&b).unwrap();
        Self { scratch, a, b, logs, dsn: "none".into() }
    }

    /// The command that syncs a to b, ready for more flags.
    pub fn command(&self) -> Command {
        self.command_between(&self.a, &self.b)
    }

    /// The command for any two folders.
    pub fn command_between(&self, source: &Path, dest: &Path) -> Command {
        let mut command = binary();
        command.arg("--src").arg(source).arg("--dest").arg(dest).arg("--log-dir").arg(&self.logs);
        command.args(["--pair", "test", "--progress", "none", "--db-dsn", &self.dsn]);
        command
    }

    /// Syncs a to b.
    pub fn sync(&self, flags: &[&str]) -> Ran {
        run(self.command().args(flags))
    }

    /// Syncs a to b, expects that it goes well, and returns the counts.
    pub fn counts(&self, flags: &[&str]) -> Counts {
        self.counts_between(&self.a, &self.b, flags)
    }

    /// Syncs b to a.
    pub fn counts_back(&self, flags: &[&str]) -> Counts {
        self.counts_between(&self.b, &self.a, flags)
    }

    fn counts_between(&self, source: &Path, dest: &Path, flags: &[&str]) -> Counts {
        let ran = run(self.command_between(source, dest).args(flags).args(["--format", "json"]));
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        Counts(ran.summary())
    }

    /// The sealed opslogs, oldest first, as parsed lines.
    pub fn opslogs(&self) -> Vec<Vec<Value>> {
        let mut paths: Vec<_> = self.log_files(".jsonl");
        paths.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
        paths.iter().map(|path| lines(&fs::read_to_string(path).unwrap())).collect()
    }

    /// Files in the log directory whose names end so.
    pub fn log_files(&self, suffix: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.logs) else {
            return Vec::new();
        };
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.to_str().unwrap().ends_with(suffix));
        paths.sort();
        paths
    }
}

/// The counts of a run's summary.
#[derive(Debug)]
pub struct Counts(pub Value);

impl Counts {
    /// One count.
    #[track_caller]
    pub fn get(&self, name: &str) -> u64 {
        self.0["counts"][name].as_u64().unwrap_or_else(|| panic!("no count {name} in {}", self.0))
    }

    /// Checks several counts. Those that are not named must be 0, except for scan totals and what
    /// is in sync.
    #[track_caller]
    pub fn expect(&self, expected: &[(&str, u64)]) {
        let free =
            ["source_entries", "dest_entries", "copied_bytes", "in_sync", "created_directories"];
        for (name, value) in self.0["counts"].as_object().unwrap() {
            let wanted =
                expected.iter().find(|(known, _)| known == name).map(|(_, wanted)| *wanted);
            let got = value.as_u64().unwrap();
            match wanted {
                Some(wanted) => assert_eq!(got, wanted, "{name} in {}", self.0),
                None if free.contains(&name.as_str()) => {}
                None => assert_eq!(got, 0, "{name} in {}", self.0),
            }
        }
    }
}

impl Ran {
    fn of(Output { status, stdout, stderr }: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// The JSON lines of standard output.
    pub fn json(&self) -> Vec<Value> {
        lines(&self.stdout)
    }

    /// The last of them.
    #[track_caller]
    pub fn summary(&self) -> Value {
        self.json().pop().unwrap_or_else(|| panic!("no summary: {}", self.stderr))
    }
}

/// The binary under test, with none of the environment's settings.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ha-sync"));
    for (name, _) in std::env::vars_os() {
        if name.as_bytes().starts_with(b"HA_SYNC_") || name == "KUBERNETES_SERVICE_HOST" {
            command.env_remove(name);
        }
    }
    command
}

/// The same command under strace, which lets every write to a file take so many milliseconds.
pub fn slowed(command: &Command, milliseconds: u32, injections: &[&str]) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64,unlinkat"]);
    strace.args(["-e", &format!("inject=pwrite64:delay_enter={milliseconds}000")]);
    for injection in injections {
        strace.args(["-e", &format!("inject={injection}")]);
    }
    strace.arg(command.get_program()).args(command.get_args());
    strace.stdout(Stdio::piped()).stderr(Stdio::piped());
    strace
}

/// The process below an strace: its only child.
pub fn traced(strace: &Child) -> Pid {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", strace.id())).unwrap();
    Pid::from_raw(children.split_whitespace().next().unwrap().parse().unwrap()).unwrap()
}

/// The command under a limit, in the words of `ulimit`.
pub fn with_ulimit(limit: &str, command: &Command) -> Command {
    let mut limited = Command::new("bash");
    limited.args(["-c", &format!("ulimit {limit} && exec \"$@\""), "bash"]);
    limited.arg(command.get_program()).args(command.get_args());
    limited
}

/// The command in a mount namespace of its own, after a script that finds the paths in `$1`, `$2`,
/// ….
pub fn in_a_namespace(script: &str, paths: &[&Path], command: &Command) -> Command {
    let mut unshare = Command::new("unshare");
    let script = format!("{script} && shift {} && exec \"$@\"", paths.len());
    unshare.args(["-m", "bash", "-c", &script, "bash"]).args(paths);
    unshare.arg(command.get_program()).args(command.get_args());
    unshare
}

/// Runs to the end.
pub fn run(command: &mut Command) -> Ran {
    Ran::of(
        command.output().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}")),
    )
}

/// What came of a run that went on while the test did something.
pub fn finish(child: Child) -> Ran {
    Ran::of(child.wait_with_output().unwrap())
}

/// Runs the sync as an unprivileged user, to whom everything but the modes set by the test is open.
pub fn as_nobody(pair: &Fixture, flags: &[&str]) -> Ran {
    own_by_nobody(pair);
    // The build folder may be closed to others, so run a copy. A separate process makes the copy.
    // If this process had it open for writing, a process that another test starts would have it
    // open, too, for a moment, and nobody could run it.
    let copy = pair.scratch.path().join("ha-sync");
    if !copy.exists() {
        assert_eq!(
            run(Command::new("cp").arg(env!("CARGO_BIN_EXE_ha-sync")).arg(&copy)).code,
            Some(0)
        );
    }
    let mut command = Command::new(&copy);
    command.args(pair.command().get_args()).args(flags).uid(NOBODY).gid(NOBODY).current_dir("/");
    run(&mut command)
}

const NOBODY: u32 = 65534;

/// Gives everything to an unprivileged user.
fn own_by_nobody(pair: &Fixture) {
    chmod(pair.scratch.path(), 0o755);
    fs::create_dir_all(&pair.logs).unwrap();
    let owner = format!("{NOBODY}:{NOBODY}");
    let mut chown = Command::new("chown");
    let ran = run(chown.args(["-hR", &owner]).args([&pair.a, &pair.b, &pair.logs]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Writes a file and dates it.
pub fn write(
    root: &Path,
    path: impl AsRef<OsStr>,
    content: impl AsRef<[u8]>,
    seconds: i64,
) -> PathBuf {
    let path = root.join(Path::new(path.as_ref()));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    date(&path, seconds, 0);
    path
}

/// Makes a symlink and dates it.
pub fn symlink(
    root: &Path,
    path: impl AsRef<OsStr>,
    target: impl AsRef<OsStr>,
    seconds: i64,
) -> PathBuf {
    let path = root.join(Path::new(path.as_ref()));
    std::os::unix::fs::symlink(target.as_ref(), &path).unwrap();
    date(&path, seconds, 0);
    path
}

/// Sets the mtime of whatever stands there itself.
pub fn date(path: &Path, seconds: i64, nanoseconds: u32) {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() },
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Sets the permission bits.
pub fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Everything that can be seen of one path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub kind: Kind,
    pub mode: u32,
    pub mtime: (i64, i64),
}

/// What stands there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    File(Vec<u8>),
    Dir,
    Link(Vec<u8>),
    Other,
}

impl fmt::Debug for Kind {
    /// Of a file, its length and how it begins.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(bytes) => {
                write!(
                    f,
                    "File({} bytes: {})",
                    bytes.len(),
                    bytes[..bytes.len().min(40)].escape_ascii()
                )
            }
            Self::Dir => write!(f, "Dir"),
            Self::Link(target) => write!(f, "Link({})", target.escape_ascii()),
            Self::Other => write!(f, "Other"),
        }
    }
}

/// Every path below a root, by its bytes.
pub type Tree = BTreeMap<Vec<u8>, Seen>;

/// Looks at everything below a root.
pub fn look(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let kind = match meta.file_type() {
                kind if kind.is_dir() => Kind::Dir,
                kind if kind.is_file() => Kind::File(fs::read(&path).unwrap()),
                kind if kind.is_symlink() => {
                    Kind::Link(fs::read_link(&path).unwrap().as_os_str().as_bytes().into())
                }
                kind => {
                    assert!(
                        kind.is_fifo()
                            || kind.is_socket()
                            || kind.is_char_device()
                            || kind.is_block_device()
                    );
                    Kind::Other
                }
            };
            if kind == Kind::Dir {
                open.push(path.clone());
            }
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            tree.insert(
                name,
                Seen { kind, mode: meta.mode() & 0o7777, mtime: (meta.mtime(), meta.mtime_nsec()) },
            );
        }
    }
    tree
}

/// The same without the mtimes and modes of directories. These are carried only when a directory is
/// made.
pub fn without_dir_metadata(mut tree: Tree) -> Tree {
    for seen in tree.values_mut().filter(|seen| seen.kind == Kind::Dir) {
        (seen.mode, seen.mtime) = (0, (0, 0));
    }
    tree
}

/// Fails with the first path that differs.
#[track_caller]
pub fn assert_same(left: &Tree, right: &Tree) {
    for path in left.keys().chain(right.keys()) {
        let name = String::from_utf8_lossy(path);
        assert_eq!(left.get(path), right.get(path), "{name}");
    }
}

/// Names of temporaries that are left below a root.
pub fn temporaries(root: &Path) -> Vec<String> {
    let names = look(root).into_keys().map(|path| String::from_utf8_lossy(&path).into_owned());
    names.filter(|name| name.contains(".ha-sync.")).collect()
}

/// Waits until something is so; fails after half a minute.
#[track_caller]
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = SystemTime::now();
    while !so() {
        assert!(begun.elapsed().unwrap() < Duration::from_secs(30), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A sparse file of that size with a few bytes at its start.
pub fn sparse(root: &Path, name: &str, len: u64, seconds: i64) -> PathBuf {
    let path = write(root, name, "start", seconds);
    File::options().write(true).open(&path).unwrap().set_len(len).unwrap();
    date(&path, seconds, 0);
    path
}

/// Goes down through handles: the whole path is longer than any system call takes.
pub fn deep_dir(root: &Path, name: &str, depth: usize, make: bool) -> OwnedFd {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut dir = rustix::fs::openat(CWD, root, flags, Mode::empty()).unwrap();
    for _ in 0..depth {
        if make {
            rustix::fs::mkdirat(&dir, name, 0o755.into()).unwrap();
        }
        dir = rustix::fs::openat(&dir, name, flags, Mode::empty()).unwrap();
    }
    dir
}

pub fn write_at(dir: &OwnedFd, name: &str, content: &[u8]) {
    let file =
        rustix::fs::openat(dir, name, OFlags::WRONLY | OFlags::CREATE, 0o644.into()).unwrap();
    rustix::io::write(file, content).unwrap();
}

pub fn read_at(dir: &OwnedFd, name: &str) -> Vec<u8> {
    let file = rustix::fs::openat(dir.as_fd(), name, OFlags::RDONLY, Mode::empty()).unwrap();
    let mut content = vec![0; 100];
    let read = rustix::io::read(file, &mut content).unwrap();
    content.truncate(read);
    content
}

/// `rm` knows how to remove what is too deep for the scratch folder's own clean-up.
pub fn empty(pair: &Fixture) {
    for root in [&pair.a, &pair.b] {
        assert_eq!(run(Command::new("rm").arg("-rf").arg(root)).code, Some(0));
        fs::create_dir(root).unwrap();
    }
}
