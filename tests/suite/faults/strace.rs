//! Faults at a system call: an error in its place, or a stop of the whole process right behind it.
//!
//! strace counts calls for each thread, so there is one worker and one thread that scans. If the
//! trees' paths are given, only calls that name one of them are counted and hit, not those of the
//! loader or the opslog.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::BELOW;
use crate::fixture::*;

/// Which calls are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// On directories and files of the trees, the roots themselves left out.
    Below,
    /// On the roots themselves.
    Roots,
    /// All that the process makes: temporaries have no name that is known before.
    Anywhere,
}

/// The command under strace. `injections` are `CALL:WHAT…` as strace reads them.
pub fn under_strace(
    pair: &Fixture,
    command: &Command,
    reach: Reach,
    injections: &[&str],
) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y", "-Y", "-o"]).arg(output(pair));
    if !injections.iter().any(|injection| injection.contains("signal=")) {
        strace.arg("--seccomp-bpf"); // Quick, but it loses signals.
    }
    let calls: Vec<_> =
        injections.iter().map(|injection| injection.split(':').next().unwrap()).collect();
    strace.args(["-e", &format!("trace={}", calls.join(","))]);
    for injection in injections {
        strace.args(["-e", &format!("inject={injection}")]);
    }
    for path in paths(pair, reach) {
        strace.arg("-P").arg(path);
    }
    strace
        .arg(command.get_program())
        .args(command.get_args())
        .args(["--workers=1", "--scan-threads=1"]);
    strace
}

/// The calls in whose place an error was put, as strace shows them.
pub fn injected(pair: &Fixture, call: &str) -> Vec<String> {
    let text = fs::read_to_string(output(pair)).unwrap();
    let hit = |line: &&str| line.contains(call) && line.contains("(INJECTED)");
    text.lines().filter(hit).map(str::to_owned).collect()
}

/// The threads that are no worker's: the process's own, and the one that the pipeline is wired in.
const MAIN: &str = "ha-sync";
pub const PIPELINE: &str = "sync";

/// How many such calls a thread makes.
pub fn made_by(thread: &str, pair: &Fixture, command: &Command, reach: Reach, call: &str) -> usize {
    let ran = run(&mut under_strace(pair, command, reach, &[&format!("{call}:delay_enter=0")]));
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    fs::read_to_string(output(pair)).unwrap().lines().filter(|line| is_by(thread, line)).count()
}

/// How many such calls the threads make that are not workers. A thread's calls beyond that number
/// can only be a worker's.
pub fn made_by_no_worker(pair: &Fixture, command: &Command, reach: Reach, call: &str) -> usize {
    let made = |thread| made_by(thread, pair, command, reach, call);
    made(MAIN).max(made(PIPELINE))
}

/// Whether a line of strace's is about a thread of that name.
fn is_by(thread: &str, line: &str) -> bool {
    line.split(' ').next().is_some_and(|who| who.ends_with(&format!("<{thread}>")))
}

fn output(pair: &Fixture) -> PathBuf {
    pair.scratch.path().join("strace")
}

fn paths(pair: &Fixture, reach: Reach) -> Vec<PathBuf> {
    let roots = [&pair.a, &pair.b];
    match reach {
        Reach::Anywhere => Vec::new(),
        Reach::Roots => roots.map(Clone::clone).into(),
        Reach::Below => {
            let names = roots.map(|root| look(root).into_keys()).into_iter().flatten();
            let names: Vec<_> = names.map(|path| String::from_utf8(path).unwrap()).collect();
            let both = names.iter().flat_map(|name| roots.map(|root| root.join(name)));
            both.chain([BELOW.into()]).collect()
        }
    }
}

/// A sync that stands still.
pub struct Held {
    strace: Child,
    sync: Pid,
}

impl Held {
    /// Starts the command, and returns when it stands right behind that call, the `when`th of its
    /// kind.
    pub fn behind(
        pair: &Fixture,
        command: &Command,
        reach: Reach,
        call: &str,
        when: usize,
    ) -> Self {
        Self::behind_calls_of(|_| true, pair, command, reach, (call, when))
    }

    /// The same, but only that thread's calls matter: the run goes on if another thread makes as
    /// many.
    pub fn behind_call_of(
        thread: &str,
        pair: &Fixture,
        command: &Command,
        reach: Reach,
        call: (&str, usize),
    ) -> Self {
        Self::behind_calls_of(|line| is_by(thread, line), pair, command, reach, call)
    }

    fn behind_calls_of(
        matters: impl Fn(&str) -> bool,
        pair: &Fixture,
        command: &Command,
        reach: Reach,
        (call, when): (&str, usize),
    ) -> Self {
        let injection = format!("{call}:signal=SIGSTOP:when={when}");
        let mut strace = under_strace(pair, command, reach, &[&injection]);
        let mut strace = strace.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut before = String::new();
        wait_until(&format!("the run stands behind {call} number {when}"), || {
            assert!(
                strace.try_wait().unwrap().is_none(),
                "it has ended before {call} number {when}"
            );
            let text = fs::read_to_string(output(pair)).unwrap_or_default();
            // A SIGCONT that meets the SIGSTOP of the thread that matters would cancel it. So it is
            // only sent to a run that does nothing any more.
            let is_still = std::mem::replace(&mut before, text.clone()) == text;
            let stopped = text.lines().rfind(|line| line.contains("--- SIGSTOP {"));
            let is_stopped = text.contains("stopped by SIGSTOP");
            let stands = is_stopped && stopped.is_some_and(&matters);
            if is_stopped && is_still && !stands {
                let _runs_already = kill_process(traced(&strace), Signal::CONT);
            }
            stands
        });
        let sync = traced(&strace);
        Self { strace, sync }
    }

    /// The process that stands still.
    pub fn process(&self) -> Pid {
        self.sync
    }

    /// Lets the run go on to its end. Another thread may make as many such calls, and stop it once
    /// more.
    pub fn go_on(mut self) -> Ran {
        let mut status = None;
        wait_until("the run ends", || {
            let _ended_meanwhile = kill_process(self.sync, Signal::CONT);
            status = self.strace.try_wait().unwrap();
            status.is_some()
        });
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.strace.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        self.strace.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        Ran { code: status.and_then(|status| status.code()), stdout, stderr }
    }
}

impl Drop for Held {
    /// A test that failed leaves no process behind.
    fn drop(&mut self) {
        if self.strace.try_wait().is_ok_and(|status| status.is_none()) {
            let _ended_meanwhile = kill_process(self.sync, Signal::KILL);
            let _nobody_to_tell = self.strace.wait();
        }
    }
}
