//! A dry run touches nothing and says exactly what the real run then does.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::fixture::*;

fn populated() -> Fixture {
    let pair = Fixture::new();
    write(&pair.a, "new/dir/file", "content", T0);
    write(&pair.a, "changed", "the new one", T0 + 100);
    write(&pair.b, "changed", "old", T0);
    write(&pair.a, "touched", "same", T0 + 100);
    write(&pair.b, "touched", "same", T0);
    write(&pair.a, "new\nline", "x", T0);
    symlink(&pair.a, "link", "target", T0);
    fs::create_dir(pair.a.join("empty")).unwrap();
    write(&pair.b, "only-here", "x", T0);
    write(&pair.b, ".ha-sync.0123456789abcdef.00000001.tmp", "left over", T0);
    pair
}

/// Path, operation and size before of every operation.
fn plan(lines: &[Value]) -> BTreeSet<(String, String, Option<u64>)> {
    let operations = lines.iter().filter(|line| line["type"] == "operation");
    operations
        .map(|line| {
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            (text("filepath"), text("operation"), line["size_before"].as_u64())
        })
        .collect()
}

#[test]
fn the_plan_is_what_the_real_run_does_and_then_nothing_is_left() {
    let pair = populated();
    let before = (look(&pair.a), look(&pair.b));

    let dry = pair.sync(&["--dry-run", "--format", "json"]);
    assert_eq!(dry.code, Some(0), "{}", dry.stderr);
    assert_same(&look(&pair.a), &before.0);
    assert_same(&look(&pair.b), &before.1);

    let real = pair.sync(&["--verbose", "--format", "json"]);
    assert_eq!(plan(&dry.json()), plan(&real.json()));
    assert_eq!(plan(&dry.json()).len(), 8);
    for count in
        ["created", "updated", "failed", "conflicts", "in_sync", "newer_at_dest", "only_at_dest"]
    {
        assert_eq!(Counts(dry.summary()).get(count), Counts(real.summary()).get(count), "{count}");
    }
    let touched = dry.json().into_iter().find(|line| line["filepath"] == "touched").unwrap();
    assert_eq!(touched["compares"], true);

    let again = pair.sync(&["--dry-run", "--format", "json"]);
    assert!(plan(&again.json()).is_empty(), "{}", again.stdout);
}

#[test]
fn the_plan_is_in_the_order_of_the_tree_one_line_a_path() {
    let pair = populated();
    let dry = pair.sync(&["--dry-run"]);
    let lines: Vec<&str> = dry.stdout.lines().take(8).collect();
    let expected = [
        "update    changed  (3 B → 11 B)",
        "create    empty/",
        "create    link  (symlink)",
        "create    new/",
        "create    new/dir/",
        "create    new/dir/file  (7 B)",
        "create    new\\nline  (1 B)",
        "update    touched  (4 B, contents to be compared)",
    ];
    assert_eq!(lines, expected, "{}", dry.stdout);
    assert!(dry.stdout.contains("nothing was changed"), "{}", dry.stdout);
}

#[test]
fn its_opslog_says_that_it_was_dry() {
    let pair = populated();
    pair.counts(&["--dry-run"]);
    let lines = pair.opslogs().pop().unwrap();
    assert_eq!(lines[0]["dry_run"], true);
    assert_eq!(lines.last().unwrap()["operations"], 8);
}

/// Not what it intends but what it does: every call that could change something, by name.
#[test]
fn no_system_call_changes_anything_under_either_root() {
    let pair = populated();
    let trace = pair.scratch.path().join("trace");
    let command = pair.command();
    let changing = "trace=openat,open,creat,mkdir,mkdirat,mknod,mknodat,unlink,unlinkat,rmdir,rename,renameat,\
                    renameat2,link,linkat,symlink,symlinkat,chmod,fchmod,fchmodat,?fchmodat2,chown,fchown,fchownat,\
                    lchown,utimensat,utime,utimes,futimesat,truncate,ftruncate,fallocate,setxattr,lsetxattr,\
                    fsetxattr,removexattr,lremovexattr,fremovexattr,syncfs";
    let mut strace = std::process::Command::new("strace");
    // A file for each thread: calls of two threads are never shown cut into pieces.
    strace.args(["-ff", "-y", "-e", changing, "-o"]).arg(&trace);
    strace.arg(command.get_program()).args(command.get_args()).arg("--dry-run");
    let ran = run(&mut strace);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let roots = [pair.a.to_str().unwrap(), pair.b.to_str().unwrap()];
    let files = fs::read_dir(pair.scratch.path()).unwrap().map(|entry| entry.unwrap().path());
    let traces =
        files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("trace."));
    let calls: String = traces.map(|path| fs::read_to_string(path).unwrap()).collect();
    let in_the_trees: Vec<&str> =
        calls.lines().filter(|line| roots.iter().any(|root| line.contains(root))).collect();
    assert!(in_the_trees.len() >= 4, "the trace shows the trees being read:\n{calls}");
    for call in in_the_trees {
        let reads =
            call.contains("openat(") && call.contains("O_RDONLY") && !call.contains("O_CREAT");
        assert!(reads, "{call}");
    }
}
