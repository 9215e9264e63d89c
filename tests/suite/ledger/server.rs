//! What can happen between a flush and a server.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mysql::prelude::Queryable as _;
use rustix::process::{Signal, kill_process};

use super::base::*;
use super::mariadb::{PASSWORD, Server};
use super::proxy::Proxy;
use crate::fixture::*;

/// A pair, a server of its own and a database there.
struct Own {
    server: Server,
    pair: Fixture,
}

impl Own {
    fn start(options: &[&str]) -> Self {
        Self::on(Server::start(options))
    }

    fn on(server: Server) -> Self {
        let mut pair = Fixture::new();
        pair.dsn = server.database("own");
        let own = Self { server, pair };
        let made = run(binary()
            .args(["history", "--db-dsn", &own.pair.dsn, "--log-dir"])
            .arg(&own.pair.logs));
        assert_eq!(
            (made.code, made.stdout.as_str()),
            (Some(0), "no runs yet\n"),
            "{}",
            made.stderr
        );
        own
    }

    fn flush(&self) -> Ran {
        self.flush_by(&self.pair.dsn)
    }

    fn flush_by(&self, dsn: &str) -> Ran {
        run(&mut self.flush_command(dsn))
    }

    fn flush_command(&self, dsn: &str) -> Command {
        let mut command = binary();
        command.args(["flush", "--db-dsn", dsn, "--log-dir"]).arg(&self.pair.logs);
        command
    }

    fn opslog(&self, number: u32, operations: usize) -> Opslog {
        Opslog::new(&self.pair.logs, "test", number, operations).lay_down()
    }

    fn execute(&self, sql: &str) {
        self.server.root().query_drop(sql).unwrap();
    }

    fn rows(&self) -> usize {
        server_rows(&self.server, "own", "SELECT COUNT(*) FROM sync_operations")[0][0]
            .parse()
            .unwrap()
    }

    /// How many of ours the server still has.
    fn connections(&self) -> usize {
        let query = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'ha'";
        server_rows(&self.server, "own", query)[0][0].parse().unwrap()
    }

    #[track_caller]
    fn assert_all_in(&self, opslogs: &[Opslog]) {
        assert_eq!(self.pair.log_files(".jsonl"), Vec::<std::path::PathBuf>::new());
        for Opslog { run_id, operations, .. } in opslogs {
            let query = format!(
                "SELECT COUNT(*), COUNT(DISTINCT o.filepath), MIN(i.status) FROM sync_iterations i \
                 JOIN sync_operations o ON o.iteration_id = i.id WHERE i.run_id = '{run_id}'"
            );
            let lines = operations.to_string();
            assert_eq!(
                server_rows(&self.server, "own", &query),
                [[lines.clone(), lines, "success".into()]]
            );
        }
    }
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_a_transaction_has_every_row_once_in_the_end() {
    let mut own = Own::start(&[]);
    for number in 1..4 {
        let opslog = own.opslog(number, 60_000);
        let before = own.rows();
        let mut child = own
            .flush_command(&own.pair.dsn)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("some are in", || own.rows() > before || child.try_wait().unwrap().is_some());
        own.server.kill();
        assert_ne!(child.wait().unwrap().code(), Some(0));
        let ran = own.pair.sync(&[]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(opslog.path.exists());
        own.server.resume();
        let (rows, ran) = (own.rows() - before, own.flush());
        assert!(rows < 60_000, "it was killed in the middle");
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        own.assert_all_in(&[opslog]);
    }
}

#[test]
fn no_value_stands_in_the_text_of_a_statement_but_the_rows_of_a_flush() {
    let own = Own::start(&[]);
    own.execute("SET GLOBAL log_output = 'TABLE'");
    own.execute("SET GLOBAL general_log = 1");
    let opslog = own.opslog(1, 20_000);
    assert_eq!(own.flush().code, Some(0));
    for words in [&["history", "--pair", "test"][..], &["prune", "--older-than", "1d"]] {
        let mut command = binary();
        let ran = run(command
            .args(words)
            .args(["--db-dsn", &own.pair.dsn, "--log-dir"])
            .arg(&own.pair.logs));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    // A closed statement is not answered. The server may learn of the last one after the process
    // has ended.
    wait_until("all have hung up", || own.connections() == 0);
    own.execute("SET GLOBAL general_log = 0");
    let said = |kind: &str| {
        let query = format!(
            "SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log \
             WHERE user_host LIKE 'ha[%' AND command_type = '{kind}'"
        );
        server_rows(&own.server, "own", &query)
            .into_iter()
            .map(|mut row| row.remove(0))
            .collect::<Vec<_>>()
    };
    let (prepared, sent) = (said("Prepare"), said("Query"));
    for part in
        ["INSERT INTO sync_iterations", "UPDATE sync_iterations", "sync_pair = ?", "DELETE FROM"]
    {
        assert!(
            prepared.iter().any(|sql| sql.contains(part) && sql.contains('?')),
            "{part}: {prepared:#?}"
        );
    }
    let close = said("Close stmt").len();
    assert_eq!(
        (said("Execute").len(), close),
        (prepared.len(), prepared.len()),
        "each is executed once"
    );
    let texts = || {
        prepared.iter().chain(&sent).filter(|sql| !sql.starts_with("INSERT INTO sync_operations"))
    };
    for value in [&opslog.run_id, "'test'", "/mnt/a", "node-1", "2026-", "'fwd'"] {
        assert_eq!(texts().find(|sql| sql.contains(value)), None, "{value}");
    }
}

#[test]
fn a_server_that_prepares_no_statements_is_told_of_and_the_opslog_waits() {
    let own = Own::start(&[]);
    own.execute("SET GLOBAL max_prepared_stmt_count = 0");
    let opslog = own.opslog(1, 3);
    let ran = own.flush();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("max_prepared_stmt_count"), "{}", ran.stderr);
    own.execute("SET GLOBAL max_prepared_stmt_count = 16382");
    assert_eq!(own.flush().code, Some(0));
    own.assert_all_in(&[opslog]);
}

#[test]
fn a_lost_answer_to_a_commit_makes_no_row_twice() {
    let own = Own::start(&[]);
    // The first transaction's, one in the middle, the last one's of the first opslog.
    for (number, lost) in [(1, &[1][..]), (2, &[2]), (3, &[3]), (4, &[1, 2, 3, 4, 5])] {
        let proxy = Proxy::losing_the_answers_to_commits(own.server.port, lost);
        let dsn = Server::dsn(proxy.port, "own");
        let opslog = own.opslog(number, 20_000);
        let mut ran = own.flush_by(&dsn);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert!(ran.stderr.contains("the connection broke"), "{}", ran.stderr);
        while ran.code != Some(0) {
            assert!(proxy.lost() <= lost.len() as u32);
            ran = own.flush_by(&dsn);
        }
        assert_eq!(proxy.lost(), lost.len() as u32);
        own.assert_all_in(&[opslog]);
    }
}

#[test]
fn a_lost_answer_at_any_point_of_a_run_changes_nothing_of_it() {
    let own = Own::start(&[]);
    // The announcement's, the last one's, both.
    for lost in [&[1][..], &[2], &[1, 2]] {
        let mut pair = Fixture::new();
        let proxy = Proxy::losing_the_answers_to_commits(own.server.port, lost);
        pair.dsn = Server::dsn(proxy.port, "own");
        write(&pair.a, "file", vec![1; 4 << 20], T0);
        let output = slowed(&pair.command(), 30, &[]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(proxy.lost(), lost.len() as u32);
        assert_eq!(pair.sync(&[]).code, Some(0));
        assert_eq!(pair.log_files(".jsonl").len(), 0);
    }
    let query =
        "SELECT COUNT(DISTINCT run_id), COUNT(*), MIN(status), MAX(status) FROM sync_iterations";
    assert_eq!(server_rows(&own.server, "own", query), [["6", "6", "success", "success"]]);
    assert_eq!(own.rows(), 3);
}

#[test]
fn a_server_that_takes_connections_and_answers_nothing_delays_a_run_by_its_bound() {
    let own = Own::start(&[]);
    write(&own.pair.a, "file", "x", T0);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dsn = Server::dsn(silent.local_addr().unwrap().port(), "own");
    own.server.freeze();
    for dsn in [&own.pair.dsn, &dsn] {
        let begun = Instant::now();
        let mut command = binary();
        command
            .args(["--pair", "test", "--db-dsn", dsn, "--src"])
            .arg(&own.pair.a)
            .arg("--dest")
            .arg(&own.pair.b);
        let ran = run(command.arg("--log-dir").arg(&own.pair.logs));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stderr.contains("no answer within 5 s"), "{}", ran.stderr);
        // Twice 5 s. Not a measurement: without a bound it would be for ever.
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
    own.server.thaw();
    // One of them was for the server that is none.
    assert_eq!(run(own.flush_command(&own.pair.dsn).arg("--all")).code, Some(0));
    assert_eq!(own.rows(), 1);
}

#[test]
fn a_signal_ends_a_run_whose_server_answers_nothing_too() {
    let own = Own::start(&[]);
    write(&own.pair.a, "large", vec![1; 64 << 20], T0);
    own.server.freeze();
    let mut child = slowed(&own.pair.command(), 50, &[]).stdout(Stdio::null()).spawn().unwrap();
    wait_until("a temporary appears", || !temporaries(&own.pair.b).is_empty());
    kill_process(traced(&child), Signal::TERM).unwrap();
    wait_until("it ends", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(own.pair.log_files(".jsonl").len(), 1, "sealed, and it waits");
    own.server.thaw();
    assert_eq!(own.flush().code, Some(0));
    assert_eq!(server_rows(&own.server, "own", "SELECT status FROM sync_iterations"), [["failed"]]);
}

#[test]
fn a_connection_that_ends_during_a_run_costs_nothing() {
    let mut own = Own::start(&["--wait-timeout=3"]);
    for (number, restarts) in [(0, true), (1, false)] {
        write(&own.pair.a, format!("large-{number}"), vec![1; 16 << 20], T0);
        let child = slowed(&own.pair.command(), 30, &[]).stdout(Stdio::null()).spawn().unwrap();
        let running = "SELECT COUNT(*) FROM sync_iterations WHERE status = 'running'";
        wait_until("it is announced", || server_rows(&own.server, "own", running) == [["1"]]);
        kill_process(traced(&child), Signal::STOP).unwrap();
        if restarts {
            own.server.kill();
            own.server.resume();
        } else {
            wait_until("it was idle", || own.connections() == 0);
        }
        kill_process(traced(&child), Signal::CONT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
            (Some(0), "")
        );
        assert_eq!(own.pair.log_files(".jsonl").len(), 0);
    }
    let query = "SELECT COUNT(*), MIN(status), MAX(status) FROM sync_iterations";
    assert_eq!(server_rows(&own.server, "own", query), [["2", "success", "success"]]);
    assert_eq!(own.rows(), 2);
}

#[test]
fn an_opslog_that_somebody_took_away_is_not_said_to_be_in_the_database() {
    let own = Own::start(&[]);
    own.server.freeze();
    let child = own.pair.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("it is sealed", || !own.pair.log_files(".jsonl").is_empty());
    std::fs::remove_file(&own.pair.log_files(".jsonl")[0]).unwrap();
    own.server.thaw();
    let output = child.wait_with_output().unwrap();
    let (said, told) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(!said.contains("recorded") && !told.is_empty(), "{said}{told}");
}

#[test]
fn a_deadlock_is_tried_again() {
    let own = Own::start(&["--innodb-lock-wait-timeout=50"]);
    let first = own.opslog(1, 3);
    assert_eq!(own.flush().code, Some(0));
    own.assert_all_in(&[first]);
    let longer = own.opslog(1, 6);
    // Another client holds the operations and then wants the iteration, which the flush holds while
    // it wants to insert.
    let mut other = own.server.root();
    other.query_drop("USE own").unwrap();
    other.query_drop("BEGIN").unwrap();
    // So much that the server does not choose it to give way.
    other.query_drop("UPDATE sync_operations SET error_message = 'held'").unwrap();
    other.query_drop("SELECT * FROM sync_operations WHERE id >= 0 FOR UPDATE").unwrap();
    let mut child = own.flush_command(&own.pair.dsn).stdout(Stdio::null()).spawn().unwrap();
    let status = |name: &str| {
        let found = server_rows(&own.server, "own", &format!("SHOW GLOBAL STATUS LIKE '{name}'"));
        found[0][1].clone()
    };
    wait_until("the flush waits", || status("Innodb_row_lock_current_waits") == "1");
    let deadlocks = || status("Innodb_deadlocks");
    let before = deadlocks();
    other.query_drop("SELECT * FROM sync_iterations FOR UPDATE").unwrap();
    other.query_drop("ROLLBACK").unwrap();
    assert_ne!(deadlocks(), before, "the server saw one");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    own.assert_all_in(&[longer]);
}

/// What a person has to put right: in the meantime nothing is lost, and the reason is told.
#[test]
fn what_the_server_refuses_gets_in_when_it_does_so_no_more() {
    let own = Own::start(&[]);
    own.execute("CREATE USER less@'%' IDENTIFIED BY 's3cret'");
    let less = format!("less:s3cret@tcp(127.0.0.1:{})/own", own.server.port);
    // What is wrong, what puts it right, whose DSN, the exit code, and what is said.
    let cases = [
        (
            "SET GLOBAL read_only = 1; REVOKE ALL ON *.* FROM ha@'%'; GRANT ALL ON own.* TO ha@'%'",
            "SET GLOBAL read_only = 0",
            &own.pair.dsn,
            1,
            "read-only",
        ),
        (
            "SET GLOBAL max_allowed_packet = 4096",
            "SET GLOBAL max_allowed_packet = 16777216",
            &own.pair.dsn,
            1,
            "does not fit into the server's max_allowed_packet of 4096 bytes",
        ),
        (
            "SELECT 1",
            "GRANT SELECT, INSERT, UPDATE ON own.* TO less@'%'",
            &less,
            5,
            "Access denied",
        ),
        (
            "REVOKE INSERT ON own.* FROM less@'%'",
            "GRANT INSERT ON own.* TO less@'%'",
            &less,
            1,
            "command denied",
        ),
    ];
    for (number, (wrong, right, dsn, code, words)) in (1..).zip(cases) {
        wrong.split("; ").for_each(|sql| own.execute(sql));
        let opslog = Opslog::new(&own.pair.logs, "test", number, 10);
        let opslog =
            opslog.with(|lines| lines[4]["error_message"] = "x".repeat(6000).into()).lay_down();
        let ran = own.flush_by(dsn);
        assert_eq!(ran.code, Some(code), "{words}: {}{}", ran.stdout, ran.stderr);
        assert!(
            ran.stderr.contains(words) && !ran.stderr.contains("s3cret"),
            "{words}: {}",
            ran.stderr
        );
        assert!(opslog.path.exists(), "{words}");
        own.execute(right);
        let ran = own.flush_by(dsn);
        assert_eq!(ran.code, Some(0), "{words}: {}", ran.stderr);
        own.assert_all_in(&[opslog]);
    }
}

#[test]
fn a_database_that_does_not_exist_is_named() {
    let own = Own::start(&[]);
    let opslog = own.opslog(1, 3);
    let ran = own.flush_by(&Server::dsn(own.server.port, "nowhere"));
    assert_eq!(ran.code, Some(5));
    assert!(ran.stderr.contains("Unknown database 'nowhere'"), "{}", ran.stderr);
    assert_eq!(own.flush().code, Some(0));
    own.assert_all_in(&[opslog]);
}

#[test]
fn a_packet_limit_that_is_small_makes_small_statements() {
    let own = Own::start(&["--max-allowed-packet=16384"]);
    let opslog = own.opslog(1, 9000);
    let ran = own.flush();
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    own.assert_all_in(&[opslog]);
}

#[test]
fn a_full_disk_under_the_server_loses_nothing() {
    let script = "mount --bind \"$1\" \"$1\" && cp -a \"$1\" \"$1.full\" && mount -t tmpfs -o size=96m none \"$1\" && \
                  cp -a \"$1.full/.\" \"$1\" && shift && exec \"$@\"";
    let server = Server::start_in(&[], &["unshare", "-m", "bash", "-c", script, "bash"]);
    let own = Own::on(server);
    // The server's own view of its folder.
    let data = own.server.folder.join("data").strip_prefix("/").unwrap().to_owned();
    let filler = std::path::Path::new(&format!("/proc/{}/root", own.server.pid().as_raw_nonzero()))
        .join(data)
        .join("filler");
    let filled = Command::new("dd")
        .args(["if=/dev/zero", "bs=64k", &format!("of={}", filler.display())])
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&filled.stderr).contains("No space left"),
        "the disk is full now"
    );
    let opslog = own.opslog(1, 60_000);
    let ran = own.flush();
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("is full") || ran.stderr.contains("No space left"),
        "{}",
        ran.stderr
    );
    assert!(opslog.path.exists());
    std::fs::remove_file(filler).unwrap();
    let ran = own.flush();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    own.assert_all_in(&[opslog]);
}

/// Kills, restarts and lost answers, in an order that differs each time. In the end everything that
/// was laid down is there.
#[test]
fn after_any_mixture_of_failures_every_line_is_a_row_once() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    let mut own = Own::start(&[]);
    let numbers = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(4) });
    let steps = proptest::collection::vec(0..5u8, 4..7);
    let all = std::cell::RefCell::new(Vec::new());
    let own = std::cell::RefCell::new(&mut own);
    let result = runner.run(&steps, |steps| {
        for step in steps {
            numbers.set(numbers.get() + 1);
            let number = numbers.get();
            let own = &mut **own.borrow_mut();
            all.borrow_mut().push(own.opslog(number, 9000));
            match step {
                0 => drop(own.flush()),
                1 => {
                    let proxy = Proxy::losing_the_answers_to_commits(own.server.port, &[2]);
                    own.flush_by(&Server::dsn(proxy.port, "own"));
                }
                2 => {
                    let (flush, when) = (own.flush_command(&own.pair.dsn), 8 + number % 20);
                    let mut strace = Command::new("strace");
                    strace.args(["-f", "-qq", "-o", "/dev/null", "-e"]);
                    strace.arg(format!("inject=sendto:signal=SIGKILL:when={when}"));
                    run(strace.arg(flush.get_program()).args(flush.get_args()));
                }
                3 => {
                    let mut child = own
                        .flush_command(&own.pair.dsn)
                        .stdout(Stdio::null())
                        .stderr(Stdio::null())
                        .spawn()
                        .unwrap();
                    wait_until("it is at it", || {
                        child.try_wait().unwrap().is_some()
                            || !server_rows(&own.server, "own", "SHOW TABLES").is_empty()
                    });
                    own.server.kill();
                    child.wait().unwrap();
                    own.server.resume();
                }
                _ => {
                    let children = [0; 2].map(|_| {
                        own.flush_command(&own.pair.dsn)
                            .stdout(Stdio::null())
                            .stderr(Stdio::null())
                            .spawn()
                            .unwrap()
                    });
                    for mut child in children {
                        child.wait().unwrap();
                    }
                }
            }
        }
        let own = own.borrow();
        prop_assert_eq!(own.flush().code, Some(0));
        own.assert_all_in(&all.borrow());
        Ok(())
    });
    result.unwrap();
}

#[test]
fn a_socket_and_an_ipv6_address_are_ways_to_a_server_too() {
    let own = Own::start(&["--bind-address=127.0.0.1,::1"]);
    let dsns = [
        format!("ha:{PASSWORD}@unix({})/own", own.server.socket()),
        format!("ha:{PASSWORD}@tcp([::1]:{})/own", own.server.port),
        format!("ha:{PASSWORD}@tcp(localhost:{})/own", own.server.port),
        format!("mysql://ha:{}@127.0.0.1:{}/own", PASSWORD.replace('%', "%25"), own.server.port),
    ];
    for (number, dsn) in (1..).zip(&dsns) {
        let opslog = own.opslog(number, 3);
        let ran = own.flush_by(dsn);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{dsn}");
        own.assert_all_in(&[opslog]);
    }
}

/// Certificates of an authority of the test's own.
fn certificates(folder: &std::path::Path) {
    let script = "cd \"$1\" && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem \
                  && openssl req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr \
                  && printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > ext \
                  && openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem \
                  && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other -keyout other.key -out other.pem";
    let made = run(Command::new("bash").args(["-c", script, "bash"]).arg(folder));
    assert_eq!(made.code, Some(0), "{}", made.stderr);
}

#[test]
fn each_way_to_ask_for_tls_gets_what_it_says() {
    let scratch = tempfile::tempdir().unwrap();
    certificates(scratch.path());
    let file = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let options = [
        "--bind-address=127.0.0.1,127.0.0.2".into(),
        format!("--ssl-cert={}", file("server.pem")),
        format!("--ssl-key={}", file("server.key")),
    ];
    let own = Own::start(&options.each_ref().map(String::as_str));
    let plain = Own::start(&["--skip-ssl"]);
    let ca = |name: &str| format!("&tls-ca={}", file(name));
    // The server, the host, the parameters; how it ends.
    let cases = [
        (&own, "127.0.0.1", "tls=off".to_owned(), Ok(false)),
        (&own, "127.0.0.1", "tls=preferred".into(), Ok(true)),
        (&own, "127.0.0.1", "parseTime=true".into(), Ok(true)),
        (&own, "127.0.0.1", "tls=required".into(), Ok(true)),
        (&own, "127.0.0.1", format!("tls=verified{}", ca("ca.pem")), Ok(true)),
        (&own, "localhost", format!("tls=verified{}", ca("ca.pem")), Ok(true)),
        (&own, "127.0.0.2", format!("tls=verified{}", ca("ca.pem")), Err("not valid for name")),
        (&own, "127.0.0.1", "tls=true".into(), Err("UnknownIssuer")),
        (&own, "127.0.0.1", format!("tls=verified{}", ca("other.pem")), Err("UnknownIssuer")),
        (&own, "127.0.0.1", format!("tls=verified{}", ca("missing.pem")), Err("No such file")),
        (&plain, "127.0.0.1", "tls=preferred".into(), Ok(false)),
        (&plain, "127.0.0.1", "tls=required".into(), Err("secure connection")),
        (&plain, "127.0.0.1", "tls=verified".into(), Err("secure connection")),
    ];
    for (number, (own, host, params, expected)) in (1..).zip(cases) {
        let opslog = own.opslog(number, 3);
        let dsn = format!("ha:{PASSWORD}@tcp({host}:{})/own?{params}", own.server.port);
        own.execute("FLUSH STATUS");
        let ran = own.flush_by(&dsn);
        match expected {
            Ok(encrypted) => {
                assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{params}");
                let handshakes =
                    server_rows(&own.server, "own", "SHOW GLOBAL STATUS LIKE 'Ssl_accepts'")[0][1]
                        .clone();
                assert_eq!(handshakes != "0", encrypted, "{params}: {handshakes}");
                own.assert_all_in(&[opslog]);
            }
            Err(words) => {
                assert_eq!(ran.code, Some(5), "{params}");
                assert!(ran.stderr.contains(words), "{params}: {}", ran.stderr);
                std::fs::remove_file(opslog.path).unwrap();
            }
        }
    }
}
