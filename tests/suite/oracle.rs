//! rsync as an oracle: where both tools promise the same, both trees come out the same.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::fixture::*;

fn make_tree(dir: &Path, flags: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/make-tree");
    let ran = run(Command::new(script).arg(dir).args(flags));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

fn rsync(source: &Path, dest: &Path) {
    let mut from = source.as_os_str().to_owned();
    from.push("/");
    let ran = run(Command::new("rsync").args(["-a", "--update"]).arg(from).arg(dest));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn a_copy_into_an_empty_folder_is_the_same_as_rsyncs() {
    let pair = Fixture::new();
    fs::remove_dir(&pair.a).unwrap();
    make_tree(
        &pair.a,
        &["--files=3000", "--per-dir=20", "--symlinks=5", "--hostile=20", "--seed=7"],
    );
    let oracle = pair.scratch.path().join("oracle");
    rsync(&pair.a, &oracle);
    pair.counts(&["--workers=8"]);
    // rsync leaves a directory's mtime as it is where only the fraction of a second differs.
    assert_same(&without_dir_metadata(look(&pair.b)), &without_dir_metadata(look(&oracle)));
    assert_same(&look(&pair.b), &look(&pair.a));
}

/// Changes every few files of a tree, each more than the threshold older or newer than it was.
fn mutate(root: &Path, every: usize, seconds: i64) {
    for (index, (path, seen)) in look(root).into_iter().enumerate() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = root.join(std::ffi::OsStr::from_bytes(&path));
        let Kind::File(mut content) = seen.kind else {
            continue;
        };
        match index % every {
            0 => content.extend_from_slice(b"and more"),
            1 => content.iter_mut().for_each(|byte| *byte ^= 1),
            2 => {
                fs::remove_file(&path).unwrap();
                continue;
            }
            // Touched: newer or older, with the same content.
            3 => {}
            _ => continue,
        }
        fs::write(&path, content).unwrap();
        date(&path, seen.mtime.0 + seconds, 500);
    }
}

#[test]
fn an_update_of_a_tree_that_changed_on_both_sides_is_the_same_as_rsyncs() {
    for seed in 1..4 {
        let pair = Fixture::new();
        fs::remove_dir(&pair.a).unwrap();
        make_tree(
            &pair.a,
            &["--files=2000", "--per-dir=30", "--hostile=10", &format!("--seed={seed}")],
        );
        rsync(&pair.a, &pair.b);
        mutate(&pair.a, 11, 1000);
        mutate(&pair.b, 13, 2000);
        mutate(&pair.a, 17, -5000);
        let oracle = pair.scratch.path().join("oracle");
        rsync(&pair.b, &oracle);
        rsync(&pair.a, &oracle);

        let counts = pair.counts(&[]);

        assert!(counts.get("updated") > 100 && counts.get("newer_at_dest") > 100, "{counts:?}");
        assert_same(&without_dir_metadata(look(&pair.b)), &without_dir_metadata(look(&oracle)));
    }
}
