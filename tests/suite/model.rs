//! Random trees, random changes on both sides, and a model so simple that it is plainly right.
//!
//! The model holds a tree as a map and merges two of them by recursion over names. The binary runs
//! in one direction, then in the other. After each run the tree that was read is untouched, and the
//! other one is what the model says. Then neither direction finds anything to do.
//!
//! With deletion it runs in one direction: first with files and directories at the source that it
//! may not read, then without.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use crate::fixture::*;

#[derive(Clone, Debug, PartialEq)]
enum Node {
    File { content: Vec<u8>, mtime: i64, is_closed: bool },
    Link { target: String, mtime: i64 },
    Dir { names: Names, is_closed: bool },
}

type Names = BTreeMap<String, Node>;

/// Few names, sizes and times, so that every kind of meeting is frequent. `is_closed` says which
/// files and directories can't be read.
fn any_node(
    is_closed: impl Strategy<Value = bool> + Clone + 'static,
) -> impl Strategy<Value = Node> {
    let mtime =
        prop_oneof![Just(0), Just(1), Just(2), Just(3), Just(100)].prop_map(|seconds| T0 + seconds);
    let leaf = prop_oneof![
        3 => (proptest::collection::vec(0_u8..3, 0..3), mtime.clone(), is_closed.clone())
            .prop_map(|(content, mtime, is_closed)| Node::File { content, mtime, is_closed }),
        1 => ("[ab]", mtime).prop_map(|(target, mtime)| Node::Link { target, mtime }),
    ];
    leaf.prop_recursive(3, 24, 5, move |inner| {
        (any_names(inner), is_closed.clone())
            .prop_map(|(names, is_closed)| Node::Dir { names, is_closed })
    })
}

fn any_names(node: impl Strategy<Value = Node>) -> impl Strategy<Value = Names> {
    let name =
        prop_oneof!["[a-d]", Just("a-b".to_owned()), Just("-d".to_owned()), Just("é".to_owned())];
    proptest::collection::btree_map(name, node, 0..6)
}

fn build(root: &Path, names: &Names) {
    for (name, node) in names {
        match node {
            Node::File { content, mtime, .. } => drop(write(root, name, content, *mtime)),
            Node::Link { target, mtime } => drop(symlink(root, name, target, *mtime)),
            Node::Dir { names, .. } => {
                std::fs::create_dir(root.join(name)).unwrap();
                build(&root.join(name), names);
            }
        }
    }
}

/// What a directory is really like, in the model's words.
fn found(root: &Path) -> Names {
    let mut names = Names::new();
    for entry in std::fs::read_dir(root).unwrap() {
        use std::os::unix::fs::MetadataExt as _;
        let path = entry.unwrap().path();
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let node = if meta.is_dir() {
            Node::Dir { names: found(&path), is_closed: false }
        } else if meta.is_symlink() {
            let target = std::fs::read_link(&path).unwrap().to_str().unwrap().to_owned();
            Node::Link { target, mtime: meta.mtime() }
        } else {
            let content = std::fs::read(&path).unwrap();
            Node::File { content, mtime: meta.mtime(), is_closed: false }
        };
        names.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), node);
    }
    names
}

/// The destination after a run.
fn merged(source: &Names, dest: &Names) -> Names {
    let mut result = dest.clone();
    for (name, ours) in source {
        let node = match dest.get(name) {
            None => ours.clone(),
            Some(theirs) => match (ours, theirs) {
                (Node::Dir { names: ours, .. }, Node::Dir { names: theirs, .. }) => {
                    Node::Dir { names: merged(ours, theirs), is_closed: false }
                }
                _ if source_wins(ours, theirs) => ours.clone(),
                _ => theirs.clone(),
            },
        };
        result.insert(name.clone(), node);
    }
    result
}

fn source_wins(ours: &Node, theirs: &Node) -> bool {
    match (ours, theirs) {
        (Node::Dir { .. }, _) | (_, Node::Dir { .. }) => false,
        (Node::File { content: a, mtime: at, .. }, Node::File { content: b, mtime: bt, .. }) => {
            let close = (at - bt).abs() <= 2;
            if close && a.len() == b.len() { false } else { (at, a.len()) > (bt, b.len()) }
        }
        (Node::Link { target: a, mtime: at }, Node::Link { target: b, mtime: bt }) => {
            a != b && (at, a) > (bt, b)
        }
        (Node::File { mtime: at, .. }, Node::Link { mtime: bt, .. }) => *at >= bt - 2,
        (Node::Link { mtime: at, .. }, Node::File { mtime: bt, .. }) => *at > bt + 2,
    }
}

/// Exit code 1 tells of conflicts, which the model leaves as they are.
fn sync(pair: &Fixture, source: &Path, dest: &Path) -> Counts {
    let ran = run(pair.command_between(source, dest).args(["--format", "json", "--workers", "3"]));
    assert!(matches!(ran.code, Some(0 | 1)), "{}{}", ran.stdout, ran.stderr);
    let counts = Counts(ran.summary());
    assert_eq!(counts.get("failed") + counts.get("deferred"), 0, "{}", ran.stdout);
    assert_eq!(ran.code == Some(1), counts.get("conflicts") > 0, "{}", ran.stdout);
    counts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn two_runs_in_opposite_directions_end_where_the_model_does(
        left in any_names(any_node(Just(false))),
        right in any_names(any_node(Just(false))),
    ) {
        let pair = Fixture::new();
        build(&pair.a, &left);
        build(&pair.b, &right);

        sync(&pair, &pair.a, &pair.b);
        prop_assert_eq!(&found(&pair.a), &left);
        let expected_right = merged(&left, &right);
        prop_assert_eq!(&found(&pair.b), &expected_right);

        sync(&pair, &pair.b, &pair.a);
        prop_assert_eq!(&found(&pair.b), &expected_right);
        let expected_left = merged(&expected_right, &left);
        prop_assert_eq!(&found(&pair.a), &expected_left);

        for (source, dest) in [(&pair.a, &pair.b), (&pair.b, &pair.a)] {
            let again = sync(&pair, source, dest);
            prop_assert_eq!(again.get("created") + again.get("updated"), 0);
        }
        prop_assert_eq!(temporaries(&pair.a).len() + temporaries(&pair.b).len(), 0);
    }
}

/// A run with deletion, by the model.
struct Mirror {
    /// Sizes and mtimes of source files that dest does not hold in this version.
    not_arrived: Vec<(usize, i64)>,
    failed: u64,
    conflicts: u64,
    /// What only dest has.
    candidates: u64,
}

impl Mirror {
    /// Both phases: what dest holds afterwards.
    fn run(source: &Names, dest: &Names) -> (Self, Names) {
        let mut mirror = Self { not_arrived: Vec::new(), failed: 0, conflicts: 0, candidates: 0 };
        let mut after = mirror.copy(source, dest);
        if !source.is_empty() {
            mirror.delete(source, &mut after);
        }
        (mirror, after)
    }

    fn copy(&mut self, source: &Names, dest: &Names) -> Names {
        let mut after = dest.clone();
        for (name, ours) in source {
            if let (Node::File { content, mtime, is_closed }, theirs) = (ours, dest.get(name)) {
                let arrives = theirs
                    .is_none_or(|theirs| is_in_sync(ours, theirs) || source_wins(ours, theirs));
                let is_read = theirs.is_none_or(|theirs| source_wins(ours, theirs));
                if !arrives || (is_read && *is_closed) {
                    self.not_arrived.push((content.len(), *mtime));
                }
            }
            let node = match (ours, dest.get(name)) {
                (ours @ Node::Dir { .. }, Some(theirs)) if !matches!(theirs, Node::Dir { .. }) => {
                    self.stays_behind(ours);
                    self.conflict(theirs)
                }
                (_, Some(theirs @ Node::Dir { .. })) if !matches!(ours, Node::Dir { .. }) => {
                    self.conflict(theirs)
                }
                (Node::Dir { is_closed: true, .. }, theirs) => self.fail(theirs),
                (Node::Dir { names, .. }, theirs) => {
                    let inner = match theirs {
                        Some(Node::Dir { names, .. }) => names,
                        _ => &Names::new(),
                    };
                    Some(Node::Dir { names: self.copy(names, inner), is_closed: false })
                }
                (ours, Some(theirs)) if !source_wins(ours, theirs) => Some(theirs.clone()),
                (Node::File { is_closed: true, .. }, theirs) => self.fail(theirs),
                (ours, _) => Some(ours.clone()),
            };
            match node {
                Some(node) => drop(after.insert(name.clone(), node)),
                None => drop(after.remove(name)),
            }
        }
        for (name, theirs) in dest {
            if !source.contains_key(name) {
                self.candidates += entries(theirs);
            }
        }
        after
    }

    /// Nothing of it arrives; what is closed is unknown.
    fn stays_behind(&mut self, ours: &Node) {
        match ours {
            Node::File { content, mtime, .. } => self.not_arrived.push((content.len(), *mtime)),
            Node::Dir { names, is_closed: false } => {
                names.values().for_each(|inner| self.stays_behind(inner));
            }
            Node::Dir { .. } | Node::Link { .. } => {}
        }
    }

    fn conflict(&mut self, theirs: &Node) -> Option<Node> {
        self.conflicts += 1;
        Some(theirs.clone())
    }

    fn fail(&mut self, theirs: Option<&Node>) -> Option<Node> {
        self.failed += 1;
        theirs.cloned()
    }

    fn delete(&self, source: &Names, dest: &mut Names) {
        dest.retain(|name, theirs| match (source.get(name), theirs) {
            (Some(Node::Dir { names, is_closed: false }), Node::Dir { names: theirs, .. }) => {
                self.delete(names, theirs);
                true
            }
            (Some(_), _) => true,
            (None, theirs) => self.stays(theirs),
        });
    }

    /// Deletes what can be, and says whether something is left.
    fn stays(&self, theirs: &mut Node) -> bool {
        match theirs {
            Node::Link { .. } => false,
            Node::File { content, mtime, .. } => self
                .not_arrived
                .iter()
                .any(|(len, at)| *len == content.len() && (at - *mtime).abs() <= 2),
            Node::Dir { names, .. } => {
                names.retain(|_, inner| self.stays(inner));
                !names.is_empty()
            }
        }
    }
}

fn is_in_sync(ours: &Node, theirs: &Node) -> bool {
    match (ours, theirs) {
        (Node::File { content: a, mtime: at, .. }, Node::File { content: b, mtime: bt, .. }) => {
            a.len() == b.len() && (at - bt).abs() <= 2
        }
        _ => false,
    }
}

fn entries(node: &Node) -> u64 {
    match node {
        Node::Dir { names, .. } => 1 + names.values().map(entries).sum::<u64>(),
        Node::File { .. } | Node::Link { .. } => 1,
    }
}

/// The same without anything that can't be read.
fn opened(names: &Names) -> Names {
    let open = |node: &Node| match node {
        Node::File { content, mtime, .. } => {
            Node::File { content: content.clone(), mtime: *mtime, is_closed: false }
        }
        Node::Dir { names, .. } => Node::Dir { names: opened(names), is_closed: false },
        link @ Node::Link { .. } => link.clone(),
    };
    names.iter().map(|(name, node)| (name.clone(), open(node))).collect()
}

/// Closes or opens everything that the model says is closed. To close a directory, what is in it
/// comes first.
fn set_closed(root: &Path, names: &Names, close: bool) {
    for (name, node) in names {
        let path = root.join(name);
        let mode = |open: u32| if close { 0o000 } else { open };
        match node {
            Node::File { is_closed, .. } if *is_closed => chmod(&path, mode(0o644)),
            Node::Dir { names, is_closed } => {
                set_closed(&path, names, close);
                if *is_closed {
                    chmod(&path, mode(0o755));
                }
            }
            Node::File { .. } | Node::Link { .. } => {}
        }
    }
}

const MIRROR: [&str; 4] = ["--delete-missing", "--max-delete=none", "--format=json", "--workers=3"];

/// Checks one run against the model; returns what it says is at dest now.
fn check(ran: &Ran, source: &Names, dest: &Names) -> Result<Names, TestCaseError> {
    let (mirror, after) = Mirror::run(source, dest);
    let is_withheld = source.is_empty() && mirror.candidates > 0;
    let code = match mirror.failed + mirror.conflicts {
        _ if is_withheld => 3,
        0 => 0,
        _ => 1,
    };
    prop_assert_eq!(ran.code, Some(code), "{}{}", ran.stdout, ran.stderr);
    let counts = Counts(ran.summary());
    prop_assert_eq!(counts.get("failed"), mirror.failed, "{}", ran.stdout);
    prop_assert_eq!(counts.get("conflicts"), mirror.conflicts, "{}", ran.stdout);
    let went = counts.get("deleted") + counts.get("spared") + counts.get("withheld");
    prop_assert_eq!(went, mirror.candidates, "{}", ran.stdout);
    prop_assert_eq!(counts.get("withheld") > 0, is_withheld);
    Ok(after)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_run_with_deletion_ends_where_the_model_does_whatever_it_may_not_read(
        left in any_names(any_node(proptest::bool::weighted(0.15))),
        right in any_names(any_node(Just(false))),
    ) {
        let pair = Fixture::new();
        build(&pair.a, &left);
        build(&pair.b, &right);
        set_closed(&pair.a, &left, true);
        let ran = as_nobody(&pair, &MIRROR);
        set_closed(&pair.a, &left, false);
        prop_assert_eq!(&found(&pair.a), &opened(&left));
        let after = check(&ran, &left, &right)?;
        prop_assert_eq!(&found(&pair.b), &after, "{}", ran.stdout);

        let left = opened(&left);
        let after = check(&as_nobody(&pair, &MIRROR), &left, &after)?;
        prop_assert_eq!(&found(&pair.b), &after);
        let again = Counts(as_nobody(&pair, &MIRROR).summary());
        prop_assert_eq!(again.get("created") + again.get("updated") + again.get("deleted"), 0);
        prop_assert_eq!(temporaries(&pair.a).len() + temporaries(&pair.b).len(), 0);
    }
}
