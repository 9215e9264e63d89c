//! A test's way into the guest of `scripts/labs/nfs`, and what it finds there.

use std::any::type_name;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::fixture::*;

/// What the guest says when a test has come to its end in there.
const HOLDS: &str = "this holds\n";

/// The trees as the server has them. To our client, what is done here looks like the work of
/// another client.
pub const SERVER_A: &str = "/srv/a";
pub const SERVER_B: &str = "/srv/b";

/// Runs `fact` in a guest machine: here the test only boots one and has it run this very test.
#[track_caller]
pub fn in_the_lab<F: FnOnce(Fixture)>(fact: F) {
    if std::env::var_os("NFS_LAB").is_some() {
        fact(Fixture { a: "/mnt/a".into(), b: "/mnt/b".into(), ..Fixture::new() });
        return io::stdout().write_all(HOLDS.as_bytes()).unwrap();
    }
    // A closure is named after the function that it stands in.
    let name = type_name::<F>().trim_start_matches("suite::").trim_end_matches("::{{closure}}");
    let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/labs/nfs");
    let mut command = Command::new(lab);
    command
        .args(["--memory", "512M", "--timeout", "150s", "--"])
        .arg(std::env::current_exe().unwrap());
    let ran = run(command.args(["--exact", name, "--nocapture", "--test-threads=1"]));
    let holds = ran.code == Some(0) && ran.stdout.contains(HOLDS);
    assert!(holds, "in the guest, status {:?}:\n{}{}", ran.code, ran.stdout, ran.stderr);
}

/// Runs a line of shell with the guest's own functions (`scripts/labs/nfs nfs_help`), and returns
/// its output.
#[track_caller]
pub fn shell(line: &str) -> String {
    let ran = run(Command::new("bash").args(["-euc", line]));
    assert_eq!(ran.code, Some(0), "{line}: {}{}", ran.stdout, ran.stderr);
    ran.stdout
}

/// Lets every packet take so long: a run takes its time.
pub fn slow_down(delay: &str) {
    shell(&format!("tc qdisc add dev lo root netem delay {delay} limit 100000"));
}

/// As fast as before.
pub fn speed_up() {
    shell("tc qdisc del dev lo root");
}

/// A run that goes on while the test does something.
pub fn start(pair: &Fixture, flags: &[&str]) -> Child {
    let mut command = pair.command();
    command.args(flags).args(["--format", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits until the server has so many finished files in a directory of dest.
#[track_caller]
pub fn wait_for_files(dir: &str, files: usize) {
    wait_until("files arrive", || {
        let Ok(names) = fs::read_dir(dir) else { return false };
        names.filter(|name| !is_temporary(name.as_ref().unwrap())).count() >= files
    });
}

fn is_temporary(name: &fs::DirEntry) -> bool {
    name.file_name().to_string_lossy().starts_with(".ha-sync.")
}

/// The trees are the same at the server, nothing of ours is left there, and another run finds
/// nothing to do.
#[track_caller]
pub fn all_is_carried(pair: &Fixture) {
    let (a, b) = (look(SERVER_A.as_ref()), look(SERVER_B.as_ref()));
    assert_same(&without_dir_metadata(a), &without_dir_metadata(b));
    pair.counts(&[]).expect(&[]);
}
