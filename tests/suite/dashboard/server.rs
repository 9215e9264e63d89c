//! A dashboard of a test's own.

use std::io::{BufRead as _, BufReader};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::client::{Response, get};
use crate::fixture::wait_until;

/// The dashboard's binary, with none of the environment's settings.
pub fn dashboard() -> Command {
    // It ends with the test, however that ends.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_ha-sync-ui")]);
    for (name, _) in std::env::vars_os() {
        if name.as_bytes().starts_with(b"HA_SYNC_") {
            command.env_remove(name);
        }
    }
    command
}

/// One that is running.
pub struct Dashboard {
    pub port: u16,
    child: Child,
    log: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl Dashboard {
    /// Starts one on a free port.
    pub fn start(dsn: &str, flags: &[&str]) -> Self {
        Self::start_on(0, dsn, flags)
    }

    pub fn start_on(port: u16, dsn: &str, flags: &[&str]) -> Self {
        let mut command = dashboard();
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--db-dsn", dsn]).args(flags);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        let reading = std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                kept.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let mut port = None;
        wait_until("it says where it listens", || {
            let said = log.lock().unwrap();
            let address = said.split_once("listening on http://127.0.0.1:").map(|(_, rest)| rest);
            port = address
                .and_then(|rest| rest.split_once(','))
                .map(|(port, _)| port.parse().unwrap());
            assert!(port.is_some() || child.try_wait().unwrap().is_none(), "{said}");
            port.is_some()
        });
        Self { port: port.unwrap(), child, log, reading: Some(reading) }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        get(self.port, path)
    }

    /// What an API route answers to a good question.
    #[track_caller]
    pub fn ask(&self, path: &str) -> Value {
        let response = self.get(path);
        assert_eq!(response.status, 200, "{path}: {}{}", response.text(), self.log());
        response.json()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn exit_code(&mut self) -> Option<i32> {
        wait_until("it ends", || self.child.try_wait().unwrap().is_some());
        // What it said last may still be on its way.
        self.reading.take().into_iter().for_each(|reading| reading.join().unwrap());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        // It may have ended.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
