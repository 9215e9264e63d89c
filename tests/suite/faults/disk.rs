//! A small disk of its own for dest: an image, mounted where nobody else sees it.
//!
//! A process holds the mount namespace. What is run enters it, and the test looks in through
//! `/proc`. When the holder ends, with the test or before, the mount and its loop device are gone.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::fixture::*;

/// A file system on an image, and whoever holds it.
pub struct Disk {
    holder: Child,
    image: PathBuf,
    mounted: PathBuf,
}

impl Disk {
    /// Makes a file system of that many megabytes with `mkfs`, and mounts it in the pair's scratch
    /// folder.
    pub fn new(pair: &Fixture, mkfs: &[&str], megabytes: u64) -> Self {
        let (image, mounted) =
            (pair.scratch.path().join("image"), pair.scratch.path().join("disk"));
        File::create(&image).unwrap().set_len(megabytes << 20).unwrap();
        expect(&run(Command::new(mkfs[0]).args(&mkfs[1..]).arg(&image)));
        std::fs::create_dir(&mounted).unwrap();
        let script = "mount -o loop \"$1\" \"$2\" && echo mounted && read -r _";
        let mut holder = Command::new("unshare");
        holder.args(["-m", "bash", "-c", script, "bash"]).args([&image, &mounted]);
        let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "mounted\n", "{mkfs:?} made nothing that can be mounted here");
        Self { holder, image, mounted }
    }

    /// A path on the disk, for those who are inside.
    pub fn inside(&self, path: &str) -> PathBuf {
        self.mounted.join(path)
    }

    /// The same path, seen from outside.
    pub fn seen(&self, path: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.inside(path).strip_prefix("/").unwrap())
    }

    /// The command, in there.
    pub fn enter(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["-m", "-t", &self.holder.id().to_string(), "--"]);
        inside.arg(command.get_program()).args(command.get_args());
        inside
    }

    /// Runs something in there that has to succeed.
    #[track_caller]
    pub fn run(&self, program: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) {
        expect(&run(&mut self.enter(Command::new(program).args(args))));
    }

    /// Takes it out and puts it in again.
    pub fn mount_again(&self) {
        self.run("umount", [&self.mounted]);
        self.run(
            "mount",
            ["-o".as_ref(), "loop".as_ref(), self.image.as_os_str(), self.mounted.as_os_str()],
        );
    }

    /// The sync of the source to a folder on the disk.
    pub fn sync(&self, pair: &Fixture, dest: &str) -> Command {
        self.enter(pair.command_between(&pair.a, &self.inside(dest)).args(["--format", "json"]))
    }

    /// Takes all room but so many kilobytes.
    pub fn fill_up_to(&self, kilobytes: u64) {
        let free = |path: &Path| {
            let stat = rustix::fs::statvfs(path).unwrap();
            stat.f_bavail * stat.f_frsize / 1024
        };
        let ballast = self.seen("ballast");
        let size = (free(&self.seen("")) - kilobytes).to_string();
        expect(&run(Command::new("fallocate").args(["-l", &format!("{size}KiB")]).arg(ballast)));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take()); // Which ends its waiting.
        let _nobody_to_tell = self.holder.wait();
    }
}

#[track_caller]
fn expect(ran: &Ran) {
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
}
