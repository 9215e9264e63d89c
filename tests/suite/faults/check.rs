//! The three assertions of every fault: nothing is lost, summary and exit code are true, and the
//! next run is clean.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::fixture::*;

/// Both trees before a fault, and what a run is to make of them.
pub struct Before {
    source: PathBuf,
    dest: PathBuf,
    /// The source as it is to be found again.
    source_then: Tree,
    dest_then: Tree,
    /// Dest after the fault.
    dest_now: Tree,
    /// What dest may become, for each state that the source had while the run lasted. The last one
    /// is the present state.
    wholes: Vec<Tree>,
    leftovers: BTreeSet<Vec<u8>>,
    may_leave_temporaries: bool,
    /// Directories of which the run said that they are not finished: nobody corrects them later.
    unfinished: BTreeSet<Vec<u8>>,
}

impl Before {
    /// Looks at both trees.
    pub fn of(source: &Path, dest: &Path) -> Self {
        let (source_then, (dest_then, leftovers)) = (look(source), look_apart(dest));
        let wholes = vec![whole(&source_then, &dest_then)];
        let (source, dest) = (source.to_owned(), dest.to_owned());
        let (unfinished, dest_now) = (BTreeSet::new(), Tree::new());
        Self {
            source,
            dest,
            source_then,
            dest_then,
            dest_now,
            wholes,
            leftovers,
            may_leave_temporaries: false,
            unfinished,
        }
    }

    /// The fault, or a killing, keeps temporaries from being removed.
    pub fn may_leave_temporaries(mut self, may: bool) -> Self {
        self.may_leave_temporaries = may;
        self
    }

    /// The source has just been changed while the run goes on. Both its former state and its
    /// present one are right.
    pub fn source_changed(&mut self) {
        self.source_then = look(&self.source);
        self.wholes.push(whole(&self.source_then, &self.dest_then));
    }

    /// The first assertion. The source is untouched, and each path at dest is its old self or the
    /// complete new file.
    #[track_caller]
    pub fn nothing_is_lost(&mut self, fault: &str) {
        assert_same(&look(&self.source), &self.source_then);
        let (now, temporaries) = look_apart(&self.dest);
        for (path, seen) in &now {
            let name = shown(path);
            let is_old = self.dest_then.get(path).is_some_and(|then| same(seen, then));
            // What only gets metadata gets its mode first, and its mtime last.
            let is_between = self.dest_then.get(path).is_some_and(|then| {
                (&seen.kind, seen.mtime) == (&then.kind, then.mtime)
                    && self.wholes.iter().any(|whole| whole[path].kind == seen.kind)
            });
            assert!(is_old || is_between || self.is_new(path, seen), "{fault}: {name} is {seen:?}");
        }
        for path in self.dest_then.keys() {
            assert!(now.contains_key(path), "{fault}: {} is gone", shown(path));
        }
        let left: Vec<_> =
            temporaries.difference(&self.leftovers).map(|path| shown(path)).collect();
        assert!(self.may_leave_temporaries || left.is_empty(), "{fault}: {left:?} is left");
        self.dest_now = now;
    }

    /// The second: what is not in place was told, and what was told is so.
    #[track_caller]
    pub fn was_told(&mut self, fault: &str, ran: &Ran) {
        let context = format!("{fault}: {}{}", ran.stdout, ran.stderr);
        match ran.code {
            Some(0 | 1) => self.was_told_path_by_path(&context, ran),
            Some(2) => assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{context}"),
            Some(5) => {
                let last = ran.summary();
                assert_eq!(last["exit_code"], 5, "{context}");
                assert!(
                    last["error_message"].as_str().is_some_and(|text| !text.is_empty()),
                    "{context}"
                );
                if last["opslog"].is_string() {
                    let failed = self.operations_are_true(&context, &last);
                    self.unfinished = failed.into_iter().map(|(name, _)| name).collect();
                }
            }
            code => panic!("exit code {code:?}, {context}"),
        }
    }

    /// Takes the place of the second assertion: a run that was killed says nothing. A directory
    /// that was being filled still lets us in.
    pub fn was_killed(&mut self) {
        self.unfinished = self.wholes[0].keys().cloned().collect();
    }

    fn was_told_path_by_path(&mut self, context: &str, ran: &Ran) {
        let summary = ran.summary();
        assert_eq!(summary["exit_code"], ran.code.unwrap(), "{context}");
        let status = if ran.code == Some(0) { "success" } else { "partial_failure" };
        assert_eq!(summary["status"], status, "{context}");
        let failed = self.operations_are_true(context, &summary);
        let causes =
            |wanted: &str| failed.iter().filter(|(_, cause)| cause == wanted).count() as u64;
        let counts = Counts(summary);
        for (count, cause) in
            [("failed", "error"), ("conflicts", "conflict"), ("deferred", "deferred")]
        {
            assert_eq!(counts.get(count), causes(cause), "{count}, {context}");
        }
        assert_eq!(ran.code == Some(1), causes("error") + causes("conflict") > 0, "{context}");
        let now = look_apart(&self.dest).0;
        let all_the_time =
            |path: &&Vec<u8>| self.wholes.iter().all(|whole| whole.contains_key(*path));
        for path in self.wholes[0].keys().filter(all_the_time) {
            let is_there = now.get(path).is_some_and(|seen| self.is_new(path, seen));
            let is_named = failed.iter().any(|(name, _)| lies_below(path, name));
            assert!(
                is_there || is_named,
                "{} is not in place and nobody says so, {context}",
                shown(path)
            );
        }
        self.unfinished = failed.into_iter().map(|(name, _)| name).collect();
    }

    /// What the opslog says was done was done, and what it says failed was not. Returns what
    /// failed, and why.
    fn operations_are_true(&self, context: &str, summary: &Value) -> Vec<(Vec<u8>, String)> {
        let text = fs::read_to_string(summary["opslog"].as_str().unwrap()).unwrap();
        let rows: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (footer, rows) = (rows.last().unwrap(), &rows[1..rows.len() - 1]);
        assert_eq!(footer["status"], summary["status"], "{context}");
        for (name, count) in summary["counts"].as_object().unwrap() {
            assert_eq!(footer["counts"][name].as_u64().unwrap_or(0), *count, "{name}, {context}");
        }
        let now = look_apart(&self.dest).0;
        let (done, failed): (Vec<_>, Vec<_>) =
            rows.iter().partition(|row| row["status"] == "success");
        let changes =
            |operation: &str| done.iter().filter(|row| row["operation"] == operation).count();
        assert_eq!(summary["counts"]["created"], changes("create"), "{context}");
        assert_eq!(summary["counts"]["updated"], changes("update"), "{context}");
        for row in done {
            let path = path_of(row);
            let is_there = now.get(&path).is_some_and(|seen| self.is_new(&path, seen));
            assert!(is_there, "{row} is not so: {:?}, {context}", now.get(&path));
        }
        let cause = |row: &Value| row["cause"].as_str().unwrap().to_owned();
        failed.into_iter().map(|row| (path_of(row), cause(row))).collect()
    }

    /// The third assertion. Without the fault the next run ends well, and dest is what an
    /// undisturbed run makes of it.
    #[track_caller]
    pub fn is_mended_by(&self, fault: &str, next: &Ran) {
        assert_eq!(next.code, Some(0), "{fault}, then: {}{}", next.stdout, next.stderr);
        assert_same(&look(&self.source), &self.source_then);
        let (mut now, temporaries) = look_apart(&self.dest);
        let mut wanted = match &*self.wholes {
            [whole] => whole.clone(),
            // What was carried before the source changed stays.
            _ => whole(&self.source_then, &self.dest_now),
        };
        for tree in [&mut now, &mut wanted] {
            for (path, seen) in tree.iter_mut().filter(|(_, seen)| seen.kind == Kind::Dir) {
                seen.mtime = (0, 0);
                seen.mode = if self.unfinished.contains(path) { 0 } else { seen.mode };
            }
        }
        assert_same(&now, &wanted);
        assert_eq!(temporaries, BTreeSet::new(), "{fault}");
        for path in self.source_then.keys().filter(|path| !self.dest_then.contains_key(*path)) {
            let [source, dest] = [&self.source, &self.dest].map(|root| owner(root, path));
            assert_eq!(source, dest, "{fault}: the owner of {}", shown(path));
        }
    }

    /// Whether it is the complete new version of any moment.
    fn is_new(&self, path: &[u8], seen: &Seen) -> bool {
        self.wholes.iter().any(|whole| whole.get(path).is_some_and(|new| same(seen, new)))
    }
}

/// A directory is there or not: its mode and mtime come last.
fn same(now: &Seen, then: &Seen) -> bool {
    if now.kind == Kind::Dir { then.kind == Kind::Dir } else { now == then }
}

/// What a run makes of dest: the newer of two files or symlinks, and what only one side has.
fn whole(source: &Tree, dest: &Tree) -> Tree {
    let mut whole = dest.clone();
    for (path, seen) in source.iter().filter(|(_, seen)| seen.kind != Kind::Other) {
        let keeps = |dest: &Seen| dest.kind == Kind::Dir || dest.mtime >= seen.mtime;
        if !whole.get(path).is_some_and(keeps) {
            whole.insert(path.clone(), seen.clone());
        }
    }
    whole
}

/// A tree, and apart from it the temporaries in it.
fn look_apart(root: &Path) -> (Tree, BTreeSet<Vec<u8>>) {
    let mut tree = look(root);
    let is_temporary = |path: &Vec<u8>| shown(path).contains(".ha-sync.");
    let temporaries: BTreeSet<_> = tree.keys().filter(|path| is_temporary(path)).cloned().collect();
    tree.retain(|path, _| !temporaries.contains(path));
    // The file system's own.
    tree.remove(&b"lost+found"[..]);
    (tree, temporaries)
}

fn owner(root: &Path, path: &[u8]) -> (u32, u32) {
    let meta = fs::symlink_metadata(root.join(shown(path))).unwrap();
    (meta.uid(), meta.gid())
}

fn lies_below(path: &[u8], above: &[u8]) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || above.is_empty())
}

fn path_of(row: &Value) -> Vec<u8> {
    row["filepath"].as_str().unwrap().into()
}

/// The names of these tests are plain.
fn shown(path: &[u8]) -> String {
    String::from_utf8(path.to_vec()).unwrap()
}
