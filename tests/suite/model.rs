//! Random trees, random changes on both sides, and a model so simple that it is plainly right.
//!
//! The model knows a tree as a map and merges two of them by recursion over names. The binary runs in
//! one direction, then in the other; after each run the tree that was read is untouched and the
//! other one is what the model says. Then neither direction finds anything to do.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use crate::fixture::*;

#[derive(Clone, Debug, PartialEq)]
enum Node {
    File { content: Vec<u8>, mtime: i64 },
    Link { target: String, mtime: i64 },
    Dir(Names),
}

type Names = BTreeMap<String, Node>;

/// Few names, sizes and times, so that every kind of meeting is frequent.
fn any_node() -> impl Strategy<Value = Node> {
    let mtime = prop_oneof![Just(0), Just(1), Just(2), Just(3), Just(100)].prop_map(|seconds| T0 + seconds);
    let leaf = prop_oneof![
        3 => (proptest::collection::vec(0_u8..3, 0..3), mtime.clone())
            .prop_map(|(content, mtime)| Node::File { content, mtime }),
        1 => ("[ab]", mtime).prop_map(|(target, mtime)| Node::Link { target, mtime }),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| any_names(inner).prop_map(Node::Dir))
}

fn any_names(node: impl Strategy<Value = Node>) -> impl Strategy<Value = Names> {
    let name = prop_oneof!["[a-d]", Just("a-b".to_owned()), Just("-d".to_owned()), Just("é".to_owned())];
    proptest::collection::btree_map(name, node, 0..6)
}

fn build(root: &Path, names: &Names) {
    for (name, node) in names {
        match node {
            Node::File { content, mtime } => drop(write(root, name, content, *mtime)),
            Node::Link { target, mtime } => drop(symlink(root, name, target, *mtime)),
            Node::Dir(inner) => {
                std::fs::create_dir(root.join(name)).unwrap();
                build(&root.join(name), inner);
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
            Node::Dir(found(&path))
        } else if meta.is_symlink() {
            let target = std::fs::read_link(&path).unwrap().to_str().unwrap().to_owned();
            Node::Link { target, mtime: meta.mtime() }
        } else {
            Node::File { content: std::fs::read(&path).unwrap(), mtime: meta.mtime() }
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
                (Node::Dir(ours), Node::Dir(theirs)) => Node::Dir(merged(ours, theirs)),
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
        (Node::Dir(_), _) | (_, Node::Dir(_)) => false,
        (Node::File { content: a, mtime: at }, Node::File { content: b, mtime: bt }) => {
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
        left in any_names(any_node()),
        right in any_names(any_node()),
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
