//! A MariaDB server of the tests' own. It has a private data folder and a free port of the
//! loopback, and it ends with the process that started it, however that ends.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::thread;

use mysql::prelude::Queryable as _;
use mysql::{Conn, OptsBuilder};
use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::wait_until;

/// Every character that a DSN gives a meaning to.
pub const PASSWORD: &str = "p@ss/w:rd?(x)&%41";

/// A running server, or one that was stopped and can be started again.
pub struct Server {
    pub folder: PathBuf,
    pub port: u16,
    options: Vec<String>,
    /// What starts it: nothing, or a program that ends in running its arguments.
    wrapper: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// The one that all tests of this process share, each with a database of its own.
    pub fn shared() -> &'static Server {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| {
            let (started, starting) = channel();
            // The server ends with the thread that started it, so that thread has to live as long
            // as the process.
            thread::spawn(move || {
                started.send(Server::start(&[])).unwrap();
                loop {
                    thread::park();
                }
            });
            starting.recv().unwrap()
        })
    }

    /// One that a test can do with what it wants.
    pub fn start(options: &[&str]) -> Self {
        Self::start_in(options, &[])
    }

    /// The same, started by a wrapper. The wrapper gets the data folder as the last argument before
    /// the command.
    pub fn start_in(options: &[&str], wrapper: &[&str]) -> Self {
        let folder = new_folder();
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let mut server =
            Self { folder, port: 0, options: owned(options), wrapper: owned(wrapper), child: None };
        copy(&template(), &server.folder.join("data"));
        server.resume();
        let mut root = server.root();
        for name in ["%", "localhost"] {
            root.query_drop(format!("CREATE USER ha@'{name}' IDENTIFIED BY '{PASSWORD}'")).unwrap();
            root.query_drop(format!("GRANT ALL ON *.* TO ha@'{name}'")).unwrap();
        }
        server
    }

    /// Starts it again on its folder and its port.
    pub fn resume(&mut self) {
        if self.port == 0 {
            self.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        }
        let data = self.folder.join("data");
        let mut words = vec!["setpriv".to_owned(), "--pdeathsig".into(), "KILL".into()];
        if !self.wrapper.is_empty() {
            words.extend(self.wrapper.iter().cloned());
            words.push(data.to_str().unwrap().to_owned());
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args([
            "mariadbd",
            "--no-defaults",
            "--user=root",
            "--skip-log-bin",
        ]);
        command
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", self.socket()));
        command.arg(format!("--pid-file={}", self.folder.join("pid").display()));
        // A server that starts removes the temporary tables of all others there.
        let temporary = self.folder.join("tmp");
        fs::create_dir_all(&temporary).unwrap();
        command.arg(format!("--tmpdir={}", temporary.display()));
        command.args([
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=2",
        ]);
        command.args([
            "--innodb-log-file-size=8M",
            "--innodb-buffer-pool-size=64M",
            "--performance-schema=off",
        ]);
        command.arg(format!("--port={}", self.port)).args(&self.options);
        let log = File::options().append(true).create(true).open(self.folder.join("log")).unwrap();
        self.child = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        wait_until("the server takes connections", || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert_eq!(ended, None, "{}", fs::read_to_string(self.folder.join("log")).unwrap());
            Conn::new(self.root_options()).is_ok()
        });
    }

    /// Ends it without any warning.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Lets it take connections and answer nothing.
    pub fn freeze(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
    }

    pub fn thaw(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    pub fn socket(&self) -> String {
        self.folder.join("socket").to_str().unwrap().to_owned()
    }

    /// A connection that may do everything.
    pub fn root(&self) -> Conn {
        Conn::new(self.root_options()).unwrap()
    }

    fn root_options(&self) -> OptsBuilder {
        OptsBuilder::new().socket(Some(self.socket())).user(Some("root"))
    }

    /// Makes a database and returns its DSN.
    pub fn database(&self, name: &str) -> String {
        self.root().query_drop(format!("CREATE DATABASE {name}")).unwrap();
        Self::dsn(self.port, name)
    }

    /// The DSN with another port, as of a proxy.
    pub fn dsn(port: u16, name: &str) -> String {
        format!("ha:{PASSWORD}@tcp(127.0.0.1:{port})/{name}?parseTime=true")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // What is left is removed by the next one.
        let _left = fs::remove_dir_all(&self.folder);
    }
}

/// A folder whose name tells which process it belongs to. Folders of processes that are gone are
/// removed, because the shared server does not clean up at its end.
fn new_folder() -> PathBuf {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let above = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mariadb");
    fs::create_dir_all(&above).unwrap();
    for entry in fs::read_dir(&above).unwrap() {
        let path = entry.unwrap().path();
        let owner =
            path.file_name().unwrap().to_str().unwrap().split('-').next().unwrap().to_owned();
        if !Path::new("/proc").join(owner).exists() {
            let _another_is_at_it = fs::remove_dir_all(path);
        }
    }
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = above.join(format!("{}-{number}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    folder
}

/// An empty data folder, made once.
fn template() -> PathBuf {
    let above = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (template, making) = (above.join("mariadb-template"), above.join("mariadb-making"));
    let lock = File::create(above.join("mariadb-template.lock")).unwrap();
    lock.lock().unwrap();
    if !template.exists() {
        let _half_made = fs::remove_dir_all(&making);
        let made = Command::new("mariadb-install-db")
            .args([
                "--no-defaults",
                "--user=root",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ])
            .args(["--innodb-log-file-size=8M", &format!("--datadir={}", making.display())])
            .output()
            .expect("mariadb-install-db, of the Debian package mariadb-server");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        fs::rename(making, &template).unwrap();
    }
    template
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}
