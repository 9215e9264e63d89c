//! Workers that hang in the kernel, on a file system that does not answer.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::lab::Lab;
use crate::fixture::*;

/// A mounted file system that stops to answer when it is told to. Ended, with all that waits for it, when dropped.
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
        let process =
            Command::new(script).arg(&store).arg(on).arg(&hang).stdin(Stdio::null()).spawn().unwrap();
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
    // It has ended but for the thread in the kernel, which FUSE lets nobody take out of there: while it waits there are no
    // other threads, and the exit code can't be had.
    let stat = format!("/proc/{}/stat", child.id());
    wait_until("all of it has ended that can", || fs::read_to_string(&stat).unwrap().contains(") Z "));
    let left = job.lease().expect("the Lease is left");
    assert_eq!(left["spec"]["holderIdentity"], held["spec"]["holderIdentity"]);
    assert_eq!(fs::read_dir(&dest.store).unwrap().count(), 1, "the temporary that it hangs in");
    drop(dest);
    let output = child.wait_with_output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(143), "{stdout}{stderr}");
    let footer = job.footer();
    let said = footer["error_message"].as_str().unwrap();
    assert!(
        said.contains("interrupted by signal 15") && said.contains("the Lease is left to expire"),
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
    // A database that takes connections and never answers keeps the process at its end for some seconds.
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
    let left: Vec<_> = fs::read_dir(&dest.store).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().starts_with(".ha-sync.")), "{left:?}");
    assert_eq!(left.len(), 1, "the temporary, for the next run to sweep");
}
