//! Two small trees in a temporary folder, and one run over them.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ha_sync::model::{Change, Timestamp};
use ha_sync::pipeline::{
    Deletion, DeletionMethod, Heard, MaxDelete, Options, Process, Recording, Silent, Synced, Trees,
    sync,
};
use ha_sync::stop::Stop;
use ha_sync::tree::Tree;

/// Two trees.
pub(crate) struct Pair {
    pub(crate) a: PathBuf,
    pub(crate) b: PathBuf,
    _scratch: tempfile::TempDir,
}

/// What one run did, and what it told.
pub(crate) struct Ran {
    pub(crate) synced: Synced,
    pub(crate) heard: Heard,
}

/// An instant of the tests' own time: that many seconds after its beginning.
pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000 + seconds)
}

/// The command line's defaults, on two local trees.
pub(crate) fn options() -> Options {
    Options::plain(Process::new(7, true, Timestamp::from(SystemTime::now())))
}

/// The same options, with deletion of what only the destination has.
pub(crate) fn mirror() -> Options {
    let deletion =
        Deletion { max: MaxDelete::Unlimited, method: DeletionMethod::Remove, require_file: None };
    Options { deletion: Some(deletion), ..options() }
}

impl Pair {
    pub(crate) fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| scratch.path().join(name));
        [&a, &b].into_iter().for_each(|root| fs::create_dir(root).unwrap());
        Self { a, b, _scratch: scratch }
    }

    /// One run from `a` to `b`.
    pub(crate) fn run(&self, options: &Options) -> Ran {
        one_way(&self.a, &self.b, options)
    }

    /// One run in the opposite direction.
    pub(crate) fn run_back(&self, options: &Options) -> Ran {
        one_way(&self.b, &self.a, options)
    }
}

fn one_way(source: &Path, dest: &Path, options: &Options) -> Ran {
    let open = |path: &Path| Arc::new(Tree::open(path).unwrap().keeping_open(100));
    let trees = Trees { source: open(source), dest: open(dest) };
    let heard = Recording::default();
    let synced = sync(&trees, options, &heard, &Stop::new(), &mut Silent);
    let heard = heard.into_heard();
    assert_eq!(heard.counts, synced.counts, "what was told part by part is the sum");
    assert_eq!((heard.started, heard.scanned), (heard.ended, 1), "what was begun has ended");
    Ran { synced, heard }
}

impl Ran {
    /// Every change that was made or planned, and its path.
    pub(crate) fn changes(&self) -> Vec<(Change, String)> {
        let mut changes: Vec<_> = (self.heard.outcomes.iter())
            .map(|outcome| (outcome.effect.change, outcome.path.to_string()))
            .collect();
        changes.sort_by(|left, right| left.1.cmp(&right.1));
        changes
    }

    /// Every path under which both sides hold the same, or have come to.
    pub(crate) fn equal(&self) -> Vec<String> {
        self.heard.equal.iter().map(ToString::to_string).collect()
    }
}

/// Writes a file with that content and mtime, and the directories above it.
pub(crate) fn write(root: &Path, path: &str, content: &str, mtime: SystemTime) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_times(FileTimes::new().set_modified(mtime)).unwrap();
}

/// Every path below a root, with the content and mtime of files and the target of symlinks.
pub(crate) fn look(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let shown = if meta.is_dir() {
                waiting.push(path.clone());
                "directory".to_owned()
            } else if meta.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else {
                let mtime =
                    meta.modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
                format!("{} at {}", fs::read_to_string(&path).unwrap(), mtime.as_nanos())
            };
            found.insert(path.strip_prefix(root).unwrap().to_owned(), shown);
        }
    }
    found
}
