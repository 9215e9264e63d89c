//! Runs that hang in the kernel, on a file system that does not answer: in their workers, or when
//! they are about to begin.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::lab::{Job, Lab};
use crate::fixture::*;

/// A mounted file system that stops answering when it is told to. When dropped, it is ended with
/// all that waits for it.
struct HangingFs {
    process: Child,
    mounted: PathBuf,
    store: PathBuf,
    hang: PathBuf,
}

impl HangingFs {
    fn mount(scratch: &Path, on: &Path) -> Self {
        let (store, hang) = (scratch.join("store"), scratch.join("hang"));
        fs::create_dir(&store).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hanging-fs");
        let process = Command::new(script)
            .arg(&store)
            .arg(on)
            .arg(&hang)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mounted = on.to_owned();
        wait_until("it is mounted", || {
            fs::read_to_string("/proc/self/mounts").unwrap().contains(mounted.to_str().unwrap())
        });
        Self { process, mounted, store, hang }
    }
}

impl Drop for HangingFs {
    fn drop(&mut self) {
        let _ended_meanwhile = self.process.kill();
        let _nobody_to_tell = self.process.wait();
        let _unmounted = Command::new("umount").arg("-l").arg(&self.mounted).status();
    }
}

/// Returns when everything of the process has ended that can end: nothing gets a thread out of the
/// kernel's FUSE. While that thread waits there are no other threads, and the exit code can't be
/// had.
fn wait_for_the_end(child: &Child) {
    let stat = format!("/proc/{}/stat", child.id());
    wait_until("all of it has ended that can", || {
        fs::read_to_string(&stat).unwrap().contains(") Z ")
    });
}

#[test]
fn a_worker_that_hangs_at_a_signal_is_not_waited_for_and_the_lease_is_left_to_expire() {
    let lab = Lab::fake();
    let job = lab.job();
    let dest = HangingFs::mount(job.trees.scratch.path(), &job.trees.b);
    write(&job.trees.a, "first", "x", T0);
    write(&job.trees.a, "second", vec![1; 1 << 20], T0);
    fs::write(&dest.hang, "write").unwrap();
    let mut command = job.command(30);
    command.args(["--workers=1", "--format=json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait_until("a worker hangs", || dest.hang.with_extension("hit").exists());
    let held = job.lease().expect("the Lease is held");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    wait_for_the_end(&child);
    let left = job.lease().expect("the Lease is left");
    assert_eq!(left["spec"]["holderIdentity"], held["spec"]["holderIdentity"]);
    assert_eq!(fs::read_dir(&dest.store).unwrap().count(), 1, "the temporary that it hangs in");
    drop(dest);
    let ran = finish(child);
    assert_eq!(ran.code, Some(143), "{}{}", ran.stdout, ran.stderr);
    let footer = job.footer();
    let said = footer["error_message"].as_str().unwrap();
    assert!(
        said.contains("interrupted by SIGTERM") && said.contains("the Lease is left to expire"),
        "{said}"
    );
    assert!(said.contains("first") || said.contains("second"), "{said}");
    assert_eq!(footer["status"], "failed");
    assert_eq!(job.lease(), Some(left), "nobody releases it later");
}

#[test]
fn what_comes_back_after_the_opslog_was_sealed_changes_nothing() {
    let lab = Lab::fake();
    let job = lab.job();
    let dest = HangingFs::mount(job.trees.scratch.path(), &job.trees.b);
    write(&job.trees.a, "first", "x", T0);
    fs::write(&dest.hang, "fsync").unwrap();
    // A database that accepts connections and never answers delays the end of the process by some
    // seconds.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dsn = format!("u:p@tcp({})/d", silent.local_addr().unwrap());
    let usual = job.command(30);
    let mut command = Command::new(usual.get_program());
    // "none" stands for the database and, before it, for the progress.
    let mut nones = 0;
    command.args(usual.get_args().map(|arg| {
        nones += usize::from(arg == "none");
        if arg == "none" && nones == 2 { OsStr::new(&dsn) } else { arg }
    }));
    command.args(["--workers=1", "--fsync=always"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait_until("a worker hangs", || dest.hang.with_extension("hit").exists());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    wait_until("the opslog is sealed", || !job.trees.opslogs().is_empty());
    fs::remove_file(&dest.hang).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    assert_eq!(job.footer()["operations"], 0);
    let left: Vec<_> =
        fs::read_dir(&dest.store).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().starts_with(".ha-sync.")), "{left:?}");
    assert_eq!(left.len(), 1, "the temporary, for the next run to sweep");
}

/// A run that has just got its Lease when the destination stops answering. It hangs before it has
/// begun.
fn hanging_before_it_begins(job: &Job<'_>, dest: &HangingFs) -> Child {
    write(&job.trees.a, "file", "x", T0);
    job.held_by_somebody();
    let mut command = job.command(6);
    command
        .args(["--if-locked=wait", "--format=json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let requests = || job.lab.fake.as_ref().unwrap().inner.lock().unwrap().requests.len();
    wait_until("it waits for the Lease, and has looked at the roots", || requests() > 0);
    fs::write(&dest.hang, "opendir").unwrap();
    job.delete();
    wait_until("it hangs", || dest.hang.with_extension("hit").exists());
    child
}

fn assert_not_begun(job: &Job<'_>, ran: &Ran, code: i32) {
    assert_eq!(ran.code, Some(code), "{}{}", ran.stdout, ran.stderr);
    let said = ran.summary();
    assert_eq!((&said["type"], &said["exit_code"]), (&"error".into(), &code.into()), "{said}");
    let said = said["error_message"].as_str().unwrap();
    let path = job.trees.b.to_str().unwrap();
    assert!(said.contains(path) && said.contains("does not answer"), "{said}");
    assert!(said.contains("the Lease is left to expire"), "{said}");
    assert!(job.trees.log_files("jsonl").is_empty() && job.trees.log_files(".part").is_empty());
}

#[test]
fn a_root_that_hangs_before_the_run_begins_does_not_keep_a_signal_from_ending_it() {
    let lab = Lab::fake();
    let job = lab.job();
    let dest = HangingFs::mount(job.trees.scratch.path(), &job.trees.b);
    let child = hanging_before_it_begins(&job, &dest);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    wait_for_the_end(&child);
    let left = job.lease().expect("the Lease is left");
    drop(dest);
    let ran = finish(child);
    assert_not_begun(&job, &ran, 143);
    assert!(ran.stderr.contains("interrupted by SIGTERM"), "{}", ran.stderr);
    assert_eq!(job.lease(), Some(left), "nobody releases it later");
}

#[test]
fn a_lease_that_is_lost_while_a_root_hangs_ends_the_run() {
    let lab = Lab::fake();
    let job = lab.job();
    let dest = HangingFs::mount(job.trees.scratch.path(), &job.trees.b);
    let child = hanging_before_it_begins(&job, &dest);
    job.delete();
    wait_for_the_end(&child);
    drop(dest);
    let ran = finish(child);
    assert_not_begun(&job, &ran, 4);
    assert!(ran.stderr.contains("somebody deleted the Lease"), "{}", ran.stderr);
    assert!(ran.stderr.contains("waiting for it. Is its server down?"), "{}", ran.stderr);
}

#[test]
fn what_ended_the_run_is_told_also_where_a_worker_hangs_then() {
    let lab = Lab::fake();
    let job = lab.job();
    let dest = HangingFs::mount(job.trees.scratch.path(), &job.trees.b);
    write(&job.trees.a, "file", "x", T0);
    for number in 0..100 {
        fs::create_dir(job.trees.a.join(format!("{number:0>100}"))).unwrap();
    }
    fs::write(&dest.hang, "write").unwrap();
    // No file may become larger than this: the opslog can't be written any more.
    let usual = job.command(30);
    let mut command = Command::new("env");
    command.args(["--ignore-signal=XFSZ", "prlimit", "--fsize=4096"]).arg(usual.get_program());
    command.args(usual.get_args()).args(["--workers=2", "--format=json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("a worker hangs", || dest.hang.with_extension("hit").exists());
    let is_full = |path: &PathBuf| fs::metadata(path).is_ok_and(|part| part.len() == 4096);
    wait_until("the opslog is full", || job.trees.log_files(".part").iter().any(is_full));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    wait_for_the_end(&child);
    drop(dest);
    let ran = finish(child);
    assert_eq!(ran.code, Some(143), "{}{}", ran.stdout, ran.stderr);
    let summary = ran.summary();
    let said = summary["error_message"].as_str().unwrap();
    assert!(said.contains("interrupted by SIGTERM"), "{said}");
    assert!(
        said.contains("cannot write down what was done, in the opslog: File too large"),
        "{said}"
    );
}

/// A run that hangs while it gives the file `first` its name, and loses its Lease meanwhile. Then
/// it learns that the call was refused. Returns what is in the destination's folder then.
fn after_a_name_was_refused(call: &str, meanwhile: impl FnOnce(&Path)) -> Vec<(String, bool)> {
    let lab = Lab::fake();
    let job = lab.job();
    let dest = HangingFs::mount(job.trees.scratch.path(), &job.trees.b);
    write(&job.trees.a, "first", "new", T0);
    if call == "rename" {
        write(&dest.store, "first", "old!", T0 - 100);
    }
    fs::write(&dest.hang, call).unwrap();
    let mut command = job.command(6);
    command.arg("--workers=1").stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait_until("it hangs", || dest.hang.with_extension("hit").exists());
    job.delete();
    let tasks = format!("/proc/{}/task", child.id());
    wait_until("it knows of the loss", || {
        let threads = fs::read_dir(&tasks).unwrap().map(|task| task.unwrap().path().join("comm"));
        !threads
            .into_iter()
            .any(|name| fs::read_to_string(name).is_ok_and(|name| name == "lease\n"))
    });
    meanwhile(&dest.store);
    fs::remove_file(&dest.hang).unwrap();
    let ran = finish(child);
    assert_eq!(ran.code, Some(4), "{}{}", ran.stdout, ran.stderr);
    let entries = fs::read_dir(&dest.store).unwrap().map(|entry| entry.unwrap());
    let shown =
        |name: String| if name.starts_with(".ha-sync.") { "temporary".to_owned() } else { name };
    let mut left: Vec<_> = entries
        .map(|entry| {
            (shown(entry.file_name().into_string().unwrap()), entry.file_type().unwrap().is_dir())
        })
        .collect();
    left.sort();
    left
}

#[test]
fn a_name_that_was_refused_when_the_lease_was_lost_is_not_given_in_another_way() {
    // This file system knows neither a rename without replacing nor links, so only a plain rename
    // is left.
    assert_eq!(after_a_name_was_refused("link", |_| ()), [("temporary".into(), false)]);
}

#[test]
fn a_temporary_whose_name_was_refused_when_the_lease_was_lost_is_not_removed() {
    let left = after_a_name_was_refused("rename", |store| {
        fs::remove_file(store.join("first")).unwrap();
        fs::create_dir(store.join("first")).unwrap();
    });
    assert_eq!(left, [("first".into(), true), ("temporary".into(), false)]);
}
