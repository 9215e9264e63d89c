//! Extended attributes and ACLs: the destination has what the source has, and nobody gets access in
//! the meantime.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use crate::fixture::*;

fn tool(program: &str, words: &[&str], path: &Path) -> String {
    let ran = run(Command::new(program).args(words).arg(path));
    assert_eq!(ran.code, Some(0), "{program} {words:?}: {}", ran.stderr);
    ran.stdout
}

fn set_xattr(path: &Path, name: &str, value: &str) {
    tool("setfattr", &["-n", name, "-v", value], path);
}

fn set_acl(path: &Path, acl: &str) {
    tool("setfacl", &["-m", acl], path);
}

/// Every attribute with its value, ACLs included, as text without the path.
fn attributes(path: &Path) -> String {
    let dump = tool("getfattr", &["-d", "-m", "-", "-e", "hex", "--absolute-names"], path);
    dump.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn files_and_directories_carry_attributes_and_acls() {
    let pair = Fixture::new();
    let file = write(&pair.a, "dir/file", "content", T0);
    write(&pair.a, "dir/plain", "content", T0);
    set_xattr(&file, "user.comment", "from the camera");
    set_xattr(&file, "user.empty", "");
    set_xattr(&file, "trusted.mine", "stays here");
    set_acl(&file, "u:1234:rw,g:2345:r");
    let dir = pair.a.join("dir");
    set_xattr(&dir, "user.colour", "green");
    set_acl(&dir, "u:1234:rwx");
    set_acl(&dir, "d:u:1234:rwx");
    symlink(&pair.a, "dir/link", "file", T0);

    pair.counts(&[]);

    let carried = attributes(&pair.b.join("dir/file"));
    tool("setfattr", &["-x", "trusted.mine"], &file);
    assert_eq!(carried, attributes(&file));
    assert!(carried.contains("user.comment") && carried.contains("posix_acl_access"), "{carried}");
    assert_eq!(attributes(&pair.b.join("dir")), attributes(&dir));
    assert_eq!(
        attributes(&pair.b.join("dir/plain")),
        "",
        "a default ACL that is carried is not handed down"
    );
    assert_same(&look(&pair.a), &look(&pair.b));
    pair.counts(&[]).expect(&[("in_sync", 3)]);
}

/// An ACL that the destination's directory hands down to what is made in it is not the source's.
#[test]
fn what_is_made_in_a_directory_with_a_default_acl_is_as_the_source_has_it() {
    let pair = Fixture::new();
    write(&pair.a, "here/plain", "x", T0);
    let own = write(&pair.a, "here/own", "x", T0);
    set_acl(&own, "u:7:r");
    chmod(&write(&pair.a, "here/open", "x", T0), 0o666);
    fs::create_dir_all(pair.a.join("here/sub/below")).unwrap();
    fs::create_dir(pair.b.join("here")).unwrap();
    set_acl(&pair.b.join("here"), "d:u:1234:rwx,d:o::rwx");
    pair.counts(&[]);
    for name in ["here/plain", "here/own", "here/open", "here/sub", "here/sub/below"] {
        assert_eq!(attributes(&pair.b.join(name)), attributes(&pair.a.join(name)), "{name}");
        assert_eq!(
            look(&pair.b)[name.as_bytes()].mode,
            look(&pair.a)[name.as_bytes()].mode,
            "{name}"
        );
    }
    assert!(
        attributes(&pair.b.join("here")).contains("posix_acl_default"),
        "what stands there keeps its own"
    );
}

#[test]
fn setting_only_metadata_makes_the_attributes_the_sources_too() {
    let pair = Fixture::new();
    let source = write(&pair.a, "same", "content", T0 + 100);
    set_xattr(&source, "user.kept", "1");
    set_xattr(&source, "user.changed", "new");
    let dest = write(&pair.b, "same", "content", T0);
    for (name, value) in [("user.kept", "1"), ("user.changed", "old"), ("user.gone", "x")] {
        set_xattr(&dest, name, value);
    }
    set_acl(&dest, "u:1234:rw,g::-,o::-");
    chmod(&source, 0o440);
    let inode = fs::metadata(&dest).unwrap().ino();
    pair.counts(&[]).expect(&[("updated", 1), ("updated_metadata", 1)]);
    assert_eq!(attributes(&dest), attributes(&source));
    let after = fs::metadata(&dest).unwrap();
    assert_eq!((after.ino(), after.mode() & 0o7777), (inode, 0o440));

    set_acl(&source, "u:7:r");
    date(&source, T0 + 200, 0);
    pair.counts(&[]).expect(&[("updated", 1), ("updated_metadata", 1)]);
    assert_eq!(attributes(&dest), attributes(&source));
}

#[test]
fn a_replaced_file_keeps_none_of_its_attributes() {
    let pair = Fixture::new();
    write(&pair.a, "file", "the new version", T0 + 100);
    let dest = write(&pair.b, "file", "old", T0);
    set_xattr(&dest, "user.old", "x");
    set_acl(&dest, "u:1234:rw");
    pair.counts(&[]);
    assert_eq!(attributes(&dest), "");
}

#[test]
fn attributes_are_left_behind_where_that_is_asked() {
    let pair = Fixture::new();
    let file = write(&pair.a, "file", "x", T0);
    set_xattr(&file, "user.comment", "x");
    set_acl(&file, "u:1234:rw");
    let other = write(&pair.a, "other", "x", T0);
    set_xattr(&other, "user.comment", "x");
    set_acl(&other, "u:1234:rw");
    pair.counts(&["--xattrs=false", "--exclude=other"]);
    assert_eq!(attributes(&pair.b.join("file")), "");
    pair.counts(&["--mode=false"]);
    assert_eq!(attributes(&pair.b.join("other")), "user.comment=0x78\n\n", "an ACL is a mode, too");
}

#[test]
fn an_unprivileged_user_carries_attributes_of_a_read_only_file() {
    let pair = Fixture::new();
    let file = write(&pair.a, "closed", "x", T0);
    set_xattr(&file, "user.comment", "x");
    chmod(&file, 0o444);
    let ran = as_nobody(&pair, &[]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(attributes(&pair.b.join("closed")), attributes(&file));
    assert_eq!(look(&pair.b)[&b"closed"[..]].mode, 0o444);
}

/// The permission bits and ACL that others see, at each call that changes them.
#[test]
fn a_file_with_an_acl_is_its_owners_alone_until_it_has_it() {
    let pair = Fixture::new();
    let file = write(&pair.a, "secret", "x", T0);
    set_acl(&file, "u:1234:rw,g::-,o::r");
    set_acl(&file, "u:7:-");
    std::os::unix::fs::chown(&file, Some(1000), Some(1000)).unwrap();
    let trace = pair.scratch.path().join("trace");
    let command = pair.command();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=openat,fchmod,fchown,fsetxattr", "-o"]).arg(&trace);
    let ran = run(strace.arg(command.get_program()).args(command.get_args()));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let trace = fs::read_to_string(trace).unwrap();
    let calls: Vec<&str> = trace
        .lines()
        .skip_while(|line| !(line.contains("O_EXCL") && line.contains(".tmp")))
        .filter_map(|line| line.split_once(' ').map(|(_, call)| call.trim()))
        .filter(|call| call.contains(".tmp") || !call.starts_with("openat"))
        .collect();
    let names = calls.iter().map(|call| call.split('(').next().unwrap()).collect::<Vec<_>>();
    assert_eq!(names[..4], ["openat", "fchown", "fsetxattr", "fchmod"], "{calls:#?}");
    assert!(calls[0].contains("0600)"), "{calls:#?}");
    assert_eq!(attributes(&pair.b.join("secret")), attributes(&file));
}

/// Where an attribute cannot be kept: told once where none can, else the path has failed.
#[test]
fn a_destination_that_holds_no_attributes_is_told_once_and_closes_what_an_acl_closed() {
    let pair = Fixture::new();
    for name in ["one", "two"] {
        let file = write(&pair.a, name, "x", T0);
        set_xattr(&file, "user.comment", "x");
        set_acl(&file, "u:1234:rw,g::-,o::-");
    }
    let command = pair.command();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=fsetxattr:error=EOPNOTSUPP"]);
    let ran = run(strace.arg(command.get_program()).args(command.get_args()));
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stderr.matches("holds no extended attributes").count(), 1, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("holds no POSIX ACLs").count(), 1, "{}", ran.stderr);
    for name in ["one", "two"] {
        assert_eq!(look(&pair.b)[name.as_bytes()].mode, 0o600, "the mask is not the group's right");
    }
}

#[test]
fn an_attribute_that_does_not_fit_fails_its_path_and_no_other() {
    for (errno, count) in [("ENOSPC", 1), ("E2BIG", 1), ("ERANGE", 1)] {
        let pair = Fixture::new();
        let file = write(&pair.a, "large-attribute", "x", T0);
        set_xattr(&file, "user.thumbnail", "x");
        write(&pair.a, "plain", "x", T0);
        write(&pair.b, "extra", "goes", T0);
        let command = pair.command();
        let mut strace = Command::new("strace");
        strace.args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &format!("inject=fsetxattr:error={errno}"),
        ]);
        strace.arg(command.get_program()).args(command.get_args());
        let ran = run(strace.args(["--format=json", "--delete-missing"]));
        assert_eq!(ran.code, Some(1), "{errno}: {}{}", ran.stdout, ran.stderr);
        Counts(ran.summary()).expect(&[("failed", count), ("created", 1), ("deleted", 1)]);
        assert!(ran.stdout.contains("user.thumbnail"), "{}", ran.stdout);
        assert!(!pair.b.join("large-attribute").exists() && temporaries(&pair.b).is_empty());
    }
}
