//! An API server to test on, a fake or a real one, and what its administrator does there.
//!
//! Whatever a test does there, it asks for in plain HTTP, the same on both.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use super::fake::{ADMIN, Fake};
use crate::fixture::*;

pub const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/infrastructure/leases";

/// An API server.
pub struct Lab {
    pub dir: TempDir,
    pub fake: Option<Fake>,
    next: AtomicU32,
}

/// What a test does in it: two trees, and a pair of its own.
pub struct Job<'l> {
    pub lab: &'l Lab,
    pub trees: Fixture,
    pub pair: String,
    /// Whose rights the runs have.
    pub kubeconfig: PathBuf,
}

impl Lab {
    pub fn fake() -> Self {
        let (dir, fake) = (tempfile::tempdir().unwrap(), Fake::start());
        let lab = Self { dir, fake: Some(fake), next: AtomicU32::new(0) };
        lab.write_kubeconfig("admin", ADMIN);
        lab.account("ha-sync", true);
        lab
    }

    /// One of its own, with the rights that `deploy/` gives.
    pub fn real() -> Self {
        let lab = Self { dir: tempfile::tempdir().unwrap(), fake: None, next: AtomicU32::new(0) };
        lab.kube(&["build"], &[]);
        lab.start_server();
        lab.kube(&["setup"], &[]);
        lab.account("ha-sync", true);
        lab
    }

    pub fn start_server(&self) {
        self.kube(&["start"], &[]);
    }

    /// Ends only the API server; what it knows stays.
    pub fn stop_server(&self) {
        self.kube(&["stop"], &["apiserver"]);
    }

    /// The project's own script, on this lab's folder.
    fn kube(&self, first: &[&str], then: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/labs/kube");
        let mut command = Command::new(script);
        command.args(first);
        if first != ["build"] {
            command.arg(self.dir.path());
        }
        // The servers keep what they were given open: a pipe would never end.
        let (out, err) = (self.dir.path().join("out"), self.dir.path().join("err"));
        let file = |path: &Path| fs::File::create(path).unwrap();
        let status =
            command.args(then).stdin(Stdio::null()).stdout(file(&out)).stderr(file(&err)).status();
        let (out, err) = (fs::read_to_string(out).unwrap(), fs::read_to_string(err).unwrap());
        assert!(status.unwrap().success(), "{first:?}: {out}{err}");
        out
    }

    /// Makes who runs a sync; `may`: with the rights that it needs. Returns the kubeconfig.
    pub fn account(&self, name: &str, may: bool) -> PathBuf {
        match &self.fake {
            Some(fake) => {
                let verbs =
                    if may { vec!["get", "create", "update", "delete"] } else { Vec::new() };
                fake.inner.lock().unwrap().tokens.insert(name.into(), verbs);
                self.write_kubeconfig(name, name);
            }
            None => {
                self.make_account(name, may);
                self.kube(&["account"], &[name]);
            }
        }
        self.dir.path().join(format!("{name}.kubeconfig"))
    }

    fn make_account(&self, name: &str, may: bool) {
        let _there_already =
            self.kubectl(&["create", "serviceaccount", name, "-n", "infrastructure"]);
        if may && name != "ha-sync" {
            let account = format!("--serviceaccount=infrastructure:{name}");
            let binding = [
                "create",
                "rolebinding",
                name,
                "--role=ha-sync-lease",
                &account,
                "-n",
                "infrastructure",
            ];
            let _there_already = self.kubectl(&binding);
        }
    }

    /// The account's token is refused from now on; a new one is put into its file.
    pub fn replace_token(&self, name: &str) {
        match &self.fake {
            Some(fake) => {
                let new = format!("{name}-new");
                let tokens = &mut fake.inner.lock().unwrap().tokens;
                let verbs = tokens.remove(name).unwrap();
                tokens.insert(new.clone(), verbs);
                fs::write(self.dir.path().join(format!("{name}.token")), new).unwrap();
            }
            None => {
                // A token is good for the account of that uid only.
                self.kubectl(&["delete", "serviceaccount", name, "-n", "infrastructure"]).unwrap();
                self.make_account(name, true);
                let token = self.kube(&["token"], &[name]);
                fs::write(self.dir.path().join(format!("{name}.token")), token.trim()).unwrap();
            }
        }
    }

    fn write_kubeconfig(&self, name: &str, token: &str) {
        let file = self.dir.path().join(format!("{name}.token"));
        fs::write(&file, token).unwrap();
        self.write_kubeconfig_of(name, &serde_json::json!({ "tokenFile": file }));
    }

    /// For the fake, with that way to prove who one is.
    pub fn write_kubeconfig_of(&self, name: &str, user: &Value) {
        let (dir, port) = (self.dir.path(), self.fake.as_ref().unwrap().port);
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "clusters": [{ "name": "lab", "cluster": { "server": format!("http://127.0.0.1:{port}") } }],
            "users": [{ "name": name, "user": user }],
            "contexts": [{ "name": "lab", "context": { "cluster": "lab", "user": name } }],
        });
        fs::write(dir.join(format!("{name}.kubeconfig")), config.to_string()).unwrap();
    }

    /// What only the real server knows, as its administrator. The error is what kubectl said.
    fn kubectl(&self, args: &[&str]) -> Result<String, String> {
        let config = self.dir.path().join("admin.kubeconfig");
        let mut command = Command::new("kubectl");
        said(command.env("HOME", self.dir.path()).arg("--kubeconfig").arg(config).args(args), None)
    }

    /// A request in the name of a user. The error is the server's answer. (kubectl does not send a
    /// token without TLS.)
    pub fn ask(
        &self,
        who: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<String, String> {
        let text = |name: &str| fs::read_to_string(self.dir.path().join(name)).unwrap();
        let server = match &self.fake {
            Some(fake) => format!("http://127.0.0.1:{}", fake.port),
            None => format!("https://127.0.0.1:{}", text("ports").split(' ').next().unwrap()),
        };
        let token = text(&format!("{who}.token"));
        let mut curl = Command::new("curl");
        curl.args([
            "-sk",
            "--noproxy",
            "*",
            "--fail-with-body",
            "-X",
            method,
            "--data-binary",
            "@-",
        ]);
        curl.args([
            "-H",
            "Content-Type: application/json",
            "-H",
            &format!("Authorization: Bearer {}", token.trim()),
        ]);
        said(curl.arg(format!("{server}{path}")), body)
    }

    /// A pair of its own.
    pub fn job(&self) -> Job<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let kubeconfig = self.dir.path().join("ha-sync.kubeconfig");
        Job { lab: self, trees: Fixture::new(), pair: format!("pair-{number}"), kubeconfig }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.fake.is_none() {
            self.kube(&["stop"], &[]);
        }
    }
}

impl Job<'_> {
    /// The sync from a to b, with a Lease that holds for so many seconds.
    pub fn command(&self, seconds: u32) -> Command {
        self.between(&self.trees.a, &self.trees.b, seconds)
    }

    pub fn between(&self, source: &Path, dest: &Path, seconds: u32) -> Command {
        // In front of it, so that it is carried along under strace.
        let mut command = Command::new("env");
        command.args(["-u", "KUBERNETES_SERVICE_HOST", "-u", "HTTPS_PROXY", "-u", "https_proxy"]);
        command.arg(format!("KUBECONFIG={}", self.kubeconfig.display()));
        command.arg(env!("CARGO_BIN_EXE_ha-sync")).arg("--src").arg(source).arg("--dest").arg(dest);
        command.arg("--log-dir").arg(&self.trees.logs);
        command.args([
            "--pair",
            &self.pair,
            "--progress",
            "none",
            "--db-dsn",
            "none",
            "--lock=lease",
        ]);
        command.args(["--lock-ttl", &seconds.to_string()]);
        command
    }

    pub fn unlock(&self, flags: &[&str]) -> Ran {
        let mut command = Command::new("env");
        command
            .arg(format!("KUBECONFIG={}", self.kubeconfig.display()))
            .arg(env!("CARGO_BIN_EXE_ha-sync"));
        run(command
            .args(["unlock", "--pair", &self.pair, "--lock=lease"])
            .args(flags)
            .stdin(Stdio::null()))
    }

    /// A run that copies slowly: it has the Lease, and is at it for a while.
    pub fn slow_holder(&self, seconds: u32) -> Child {
        write(&self.trees.a, "large", vec![1; 256 << 20], T0);
        let mut command = self.command(seconds);
        command.args(["--direction", "there", "--format", "json"]);
        let holder = slowed(&command, 50, &[]).spawn().unwrap();
        wait_until("the run has begun", || !temporaries(&self.trees.b).is_empty());
        holder
    }

    fn path(&self) -> String {
        format!("{LEASES}/ha-sync-{}", self.pair)
    }

    /// The Lease as it is now.
    pub fn lease(&self) -> Option<Value> {
        match self.lab.ask("admin", "GET", &self.path(), None) {
            Ok(text) => Some(serde_json::from_str(&text).unwrap()),
            Err(said) => {
                assert!(said.contains("NotFound"), "{said}");
                None
            }
        }
    }

    pub fn renewed(&self) -> String {
        self.lease().expect("there is a Lease")["spec"]["renewTime"].as_str().unwrap().to_owned()
    }

    /// Edits it as the administrator, as often as somebody else is faster.
    pub fn edit(&self, change: impl Fn(&mut Value)) -> Value {
        let mut edited = None;
        wait_until("the Lease can be edited", || {
            let mut lease = self.lease().expect("there is a Lease");
            change(&mut lease);
            let replaced = self.lab.ask("admin", "PUT", &self.path(), Some(&lease));
            edited = replaced.ok().map(|text| serde_json::from_str(&text).unwrap());
            edited.is_some()
        });
        edited.unwrap()
    }

    /// Somebody has the Lease, and has just renewed it.
    pub fn held_by_somebody(&self) {
        let theirs = serde_json::json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": { "name": format!("ha-sync-{}", self.pair), "namespace": "infrastructure" },
            "spec": {
                "holderIdentity": "somebody", "leaseDurationSeconds": 3600,
                "renewTime": ha_sync::time::to_rfc3339_micro(std::time::SystemTime::now()),
            },
        });
        self.lab.ask("admin", "POST", LEASES, Some(&theirs)).unwrap();
    }

    pub fn delete(&self) {
        self.lab.ask("admin", "DELETE", &self.path(), None).unwrap();
    }

    /// What the last opslog says of how its run ended.
    pub fn footer(&self) -> Value {
        self.trees.opslogs().pop().expect("the opslog is sealed").pop().unwrap()
    }
}

/// What a command that went well printed; the error is what another one did.
fn said(command: &mut Command, input: Option<&Value>) -> Result<String, String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    if let Some(input) = input {
        stdin.write_all(input.to_string().as_bytes()).unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    if output.status.success() { Ok(out) } else { Err(out + &err) }
}
