//! On which terms the dashboard answers: what it refuses, what it bears, and how it ends.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use mysql::prelude::Queryable as _;
use proptest::prelude::*;
use rustix::process::Signal;
use serde_json::json;

use super::client::*;
use super::filled::{Run, insert_runs};
use super::server::*;
use crate::fixture::*;
use crate::ledger::base::*;
use crate::ledger::mariadb::{PASSWORD, Server};

fn filled() -> (Base, Dashboard) {
    let base = Base::sqlite();
    base.make_tables();
    insert_runs(&base, [Run::new(1, "media", "there", 5)]);
    let dashboard = Dashboard::start(&base.pair.dsn, &[]);
    (base, dashboard)
}

#[test]
fn a_wrong_question_is_refused_with_the_reason() {
    let (_base, dashboard) = filled();
    for (path, words) in [
        ("/api/pairs?x=1", "there is no parameter \"x\" here: it takes none"),
        ("/api/iterations?Pair=media", "there is no parameter \"Pair\""),
        ("/api/iterations?limit=0", "limit is \"0\": give a number from 1 to 200"),
        ("/api/iterations?limit=201", "give a number from 1 to 200"),
        ("/api/iterations?limit=1&limit=2", "limit is given twice"),
        ("/api/iterations?status=fine", "give running, success, partial_failure, failed"),
        ("/api/iterations?dry_run=maybe", "give true, false, 1, 0"),
        ("/api/iterations?before=-1", "before is \"-1\""),
        ("/api/iterations?pair=%ff", "pair is not UTF-8"),
        ("/api/iterations?pair=%e2%82", "pair is not UTF-8"),
        ("/api/iterations?pair=%0", "after a % come two hexadecimal digits"),
        ("/api/operations", "iteration_id is missing"),
        ("/api/operations?iteration_id=", "iteration_id is missing"),
        ("/api/operations?iteration_id=1.5", "iteration_id is \"1.5\""),
        (
            "/api/operations?iteration_id=9223372036854775808",
            "give a number from 0 to 9223372036854775807",
        ),
        ("/api/operations?iteration_id=1&operation=move", "give create, update, delete"),
        ("/api/history?days=0", "give a number from 1 to 3660"),
    ] {
        let response = dashboard.get(path);
        assert_eq!(response.status, 400, "{path}: {}", response.text());
        let answer = response.json();
        assert!(answer["error"].as_str().unwrap().contains(words), "{path}: {answer}");
        assert_eq!(answer.as_object().unwrap().len(), 1);
    }
    // Bytes that do not belong into an address at all.
    assert_eq!(
        send(dashboard.port, b"GET /api/iterations?pair=\xff HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap()
            .status,
        400
    );
    let missing = dashboard.get("/api/nothing");
    assert_eq!(
        (missing.status, missing.json()),
        (404, json!({ "error": "there is nothing at this path" }))
    );
}

#[test]
fn whatever_is_asked_the_answer_is_never_an_internal_error() {
    let (_base, dashboard) = filled();
    let route = prop::sample::select(vec!["pairs", "iterations", "operations", "history"]);
    let name = prop::sample::select(vec![
        "iteration_id",
        "pair",
        "status",
        "q",
        "limit",
        "after",
        "before",
        "days",
        "direction",
    ]);
    let value = prop_oneof![
        "[0-9]{1,20}",
        "\\PC{0,12}",
        prop::collection::vec(any::<u8>(), 0..8)
            .prop_map(|bytes| bytes.iter().map(|byte| format!("%{byte:02x}")).collect()),
    ];
    let parameters = prop::collection::vec((name, value), 0..4);
    let config =
        ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |((route, parameters) in (route, parameters))| {
        let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", value.replace([' ', '#'], "+"))).collect();
        let status = get(dashboard.port, &format!("/api/{route}?{}", query.join("&"))).status;
        prop_assert!(matches!(status, 200 | 400 | 404), "{} {}", status, query.join("&"));
    });
}

#[test]
fn nothing_can_be_done_but_reading() {
    let (base, dashboard) = filled();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        for path in ["/", "/api/pairs", "/nothing"] {
            let response = request(dashboard.port, method, path, &[], "").unwrap();
            assert_eq!(
                (response.status, response.header("allow")),
                (405, Some("GET, HEAD")),
                "{method} {path}"
            );
        }
    }
    let head = request(dashboard.port, "HEAD", "/api/pairs", &[], "").unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    let refused = request(dashboard.port, "GET", "/api/pairs", &[], "a body").unwrap();
    assert_eq!((refused.status, refused.header("x-content-type-options")), (413, Some("nosniff")));
    assert_eq!(refused.json(), json!({ "error": "no request has a body here" }));
    assert_eq!(base.one("SELECT COUNT(*) FROM sync_iterations"), "1");
}

#[test]
fn the_session_at_a_server_can_change_nothing() {
    let base = Base::mariadb();
    base.make_tables();
    let mut root = base.connection();
    root.query_drop("SET GLOBAL log_output = 'TABLE', GLOBAL general_log = 1").unwrap();
    let dashboard = Dashboard::start(&base.pair.dsn, &[]);
    dashboard.ask("/api/pairs");
    root.query_drop("SET GLOBAL general_log = 0").unwrap();
    let said: Vec<String> = root
        .query(
            "SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log \
             WHERE user_host LIKE 'ha[%' AND command_type IN ('Query', 'Prepare', 'Execute')",
        )
        .unwrap();
    assert!(said.iter().any(|sql| sql.contains("sync_pair >= ?")), "{said:?}");
    assert!(said.iter().any(|sql| sql == "SET SESSION TRANSACTION READ ONLY"), "{said:?}");
    // Each server knows one of them only.
    let limits = ["SET SESSION max_statement_time = 3", "SET SESSION max_execution_time = 3000"];
    assert!(said.iter().any(|sql| limits.contains(&&**sql)), "{said:?}");
    for sql in &said {
        assert!(sql.starts_with("SELECT") || sql.starts_with("SET "), "{sql}");
    }
}

#[test]
fn every_answer_has_the_headers_that_keep_a_browser_from_mistakes() {
    let (_base, dashboard) = filled();
    for path in [
        "/",
        "/app.js",
        "/style.css",
        "/icon.svg",
        "/api/pairs",
        "/metrics",
        "/nothing",
        "/api/pairs?x",
    ] {
        let response = dashboard.get(path);
        let policy = response.header("content-security-policy").unwrap();
        for part in
            ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
        {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(response.header(name), Some(value), "{path}");
        }
    }
    let page = dashboard.get("/").text();
    assert!(
        !page.contains("http://") && !page.contains("https://") && !page.contains("style="),
        "{page}"
    );
}

#[test]
fn only_allowed_names_are_answered_where_there_is_a_list() {
    let (base, _) = filled();
    let flags = ["--allowed-host", "Sync.Example", "--allowed-host", "other.example"];
    let dashboard = Dashboard::start(&base.pair.dsn, &flags);
    for (host, path, status) in [
        ("sync.example", "/api/pairs", 200),
        ("SYNC.example:8443", "/", 200),
        ("other.example", "/", 200),
        ("evil.example", "/", 421),
        ("evil.example", "/metrics", 421),
        ("127.0.0.1", "/api/pairs", 421),
        ("127.0.0.1:9", "/metrics", 200),
        ("10.1.2.3", "/healthz", 200),
    ] {
        let response = request(dashboard.port, "GET", path, &[("Host", host)], "").unwrap();
        assert_eq!(response.status, status, "{host} {path}");
    }
}

#[test]
fn who_is_slow_or_says_too_much_is_cut_off_and_nobody_else_waits_for_it() {
    let (_base, dashboard) = filled();
    let slow: Vec<TcpStream> = (0..24)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", dashboard.port)).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
            stream
        })
        .collect();
    assert_eq!(dashboard.get("/api/pairs").status, 200);
    let long = "x".repeat(64 << 10);
    let answer = request(dashboard.port, "GET", "/", &[("X-Long", &long)], "");
    assert!(answer.is_err() || answer.unwrap().status == 431);
    let many: Vec<(String, String)> =
        (0..200).map(|index| (format!("X-{index}"), "x".into())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, &**value)).collect();
    let answer = request(dashboard.port, "GET", "/", &many, "");
    assert!(answer.is_err() || answer.unwrap().status == 431);
    let answer = request(dashboard.port, "GET", &format!("/?{long}"), &[], "");
    assert!(answer.is_err() || matches!(answer.unwrap().status, 414 | 431));
    for mut stream in slow {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut rest = Vec::new();
        // Reset or ended: in both cases it is over.
        let _over = stream.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(dashboard.get("/api/pairs").status, 200);
}

/// One answer over a connection that stays open, and whether it is to be closed.
fn asked_over(stream: &mut TcpStream, path: &str) -> (String, bool) {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length =
        head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    stream.read_exact(&mut vec![0; length.unwrap()]).unwrap();
    (head[9..12].to_owned(), head.contains("connection: close"))
}

#[test]
fn all_readers_behind_one_proxy_are_answered() {
    let (_base, dashboard) = filled();
    let connect = || TcpStream::connect(("127.0.0.1", dashboard.port)).unwrap();
    let mut held: Vec<TcpStream> = (0..128).map(|_| connect()).collect();
    let mut kept = 0;
    for stream in &mut held {
        let (status, is_last) = asked_over(stream, "/api/iterations");
        assert_eq!(status, "200");
        if is_last {
            // The proxy makes another one, for which there is room.
            *stream = connect();
        } else {
            kept += 1;
        }
    }
    assert_eq!(kept, 64, "as many as may wait for a next request");
    for stream in &mut held {
        assert_eq!(asked_over(stream, "/api/iterations").0, "200");
    }
}

#[test]
fn the_access_log_tells_who_asked_and_for_whom_a_proxy_says_it_does() {
    let (_base, dashboard) = filled();
    let log_of = |path: &str, headers: &[(&str, &str)]| {
        assert_eq!(request(dashboard.port, "GET", path, headers, "").unwrap().status, 200);
        let mut line = None;
        wait_until("it is in the log", || {
            line = dashboard.log().lines().find(|line| line.contains(path)).map(str::to_owned);
            line.is_some()
        });
        line.unwrap().split_once(" ms ").unwrap().1.to_owned()
    };
    assert_eq!(log_of("/?1", &[]), "from 127.0.0.1");
    let two = [("X-Forwarded-For", "203.0.113.9, 10.0.0.1"), ("X-Forwarded-For", "10.0.0.2")];
    assert_eq!(log_of("/?2", &two), "from 127.0.0.1, says for 203.0.113.9, 10.0.0.1, 10.0.0.2");
    let other = [("Forwarded", "for=\"[2001:db8::1]\";proto=https")];
    assert_eq!(log_of("/?3", &other), "from 127.0.0.1, says for for=\"[2001:db8::1]\";proto=https");
    assert_eq!(
        log_of("/?4", &[("X-Forwarded-For", "\u{202e}x\\n")]),
        "from 127.0.0.1, says for \\u{202e}x\\\\n"
    );
    let long = "9".repeat(5000);
    let told = log_of("/?5", &[("X-Forwarded-For", &long)]);
    assert_eq!(told, format!("from 127.0.0.1, says for {}", "9".repeat(256)));
}

#[test]
fn answers_are_compressed_for_who_takes_them_so() {
    let (base, dashboard) = filled();
    let plain = dashboard.get("/app.js");
    assert_eq!(
        (plain.header("content-encoding"), plain.header("vary")),
        (None, Some("accept-encoding"))
    );
    let packed =
        request(dashboard.port, "GET", "/app.js", &[("Accept-Encoding", "br, gzip")], "").unwrap();
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() < plain.body.len() / 2, "{}", packed.body.len());
    let file = base.pair.scratch.path().join("app.js.gz");
    std::fs::write(&file, &packed.body).unwrap();
    assert_eq!(run(std::process::Command::new("gzip").arg("-dc").arg(&file)).stdout, plain.text());
    for path in ["/api/pairs", "/metrics"] {
        let packed =
            request(dashboard.port, "GET", path, &[("Accept-Encoding", "gzip")], "").unwrap();
        assert_eq!(
            (packed.status, packed.header("content-encoding")),
            (200, Some("gzip")),
            "{path}"
        );
        assert_eq!(packed.header("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn a_database_that_is_away_or_hangs_is_told_of_within_a_bound_and_found_again() {
    let mut server = Server::start(&[]);
    let dsn = server.database("own");
    assert_eq!(
        run(binary().args(["history", "--db-dsn", &dsn, "--log-dir"]).arg(&server.folder)).code,
        Some(0)
    );
    let dashboard = Dashboard::start(&dsn, &[]);
    assert_eq!(dashboard.get("/readyz").status, 200);
    assert_eq!(dashboard.get("/api/pairs").status, 200);
    let away = || {
        let response = dashboard.get("/api/pairs");
        assert_eq!(response.header("retry-after"), (response.status == 503).then_some("5"));
        if response.status == 503 {
            response.json()["error"].as_str().unwrap().to_owned()
        } else {
            String::new()
        }
    };
    server.kill();
    assert_eq!(away(), "the database cannot be reached");
    for (path, status) in
        [("/healthz", 200), ("/readyz", 200), ("/", 200), ("/api/iterations", 503)]
    {
        assert_eq!(dashboard.get(path).status, status, "{path}");
    }
    let metrics = dashboard.get("/metrics");
    assert!(metrics.status == 200 && metrics.text().contains("\nhasync_up 0\n"));
    server.resume();
    assert_eq!(away(), "");

    server.freeze();
    wait_until("it hangs", || !away().is_empty());
    let begun = Instant::now();
    let asked: Vec<_> = (0..12)
        .map(|_| {
            let port = dashboard.port;
            std::thread::spawn(move || get(port, "/api/pairs").status)
        })
        .collect();
    assert_eq!(dashboard.get("/healthz").status, 200);
    for one in asked {
        assert_eq!(one.join().unwrap(), 503);
    }
    // Not a measurement: without a bound it would be for ever.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    server.thaw();
    wait_until("it answers again", || away().is_empty());
    let log = dashboard.log();
    assert!(
        log.contains("no answer from the database ha@tcp(") && log.contains("answers again"),
        "{log}"
    );
}

#[test]
fn a_file_that_is_replaced_or_gone_is_not_read_any_longer() {
    let (base, dashboard) = filled();
    let pairs = || -> Vec<String> {
        let answer = dashboard.ask("/api/pairs");
        answer["pairs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["pair"].as_str().unwrap().to_owned())
            .collect()
    };
    let counted = |pair: &str| {
        dashboard.get("/metrics").text().contains(&format!("hasync_failed_total{{pair=\"{pair}\""))
    };
    assert_eq!((pairs(), counted("media")), (vec!["media".to_owned()], true));
    let other = Base::sqlite();
    other.make_tables();
    insert_runs(&other, [Run::new(1, "other", "there", 5)]);
    let [file, new] =
        [&base, &other].map(|base| base.pair.dsn.trim_start_matches("sqlite:").to_owned());
    std::fs::rename(&new, &file).unwrap();
    assert_eq!(pairs(), ["other"]);
    assert!(counted("other") && !counted("media"));

    std::fs::remove_file(&file).unwrap();
    let gone = dashboard.get("/api/pairs");
    assert_eq!(gone.status, 503);
    assert!(gone.text().contains("what was in the database is gone"), "{}", gone.text());
    assert!(dashboard.get("/metrics").text().contains("\nhasync_up 0\n"));
    base.make_tables();
    assert_eq!(pairs(), Vec::<String>::new());
}

#[test]
fn a_file_whose_folder_is_missing_is_away_and_one_that_is_not_there_yet_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mount/rows");
    let dashboard = Dashboard::start(&format!("sqlite:{}", file.display()), &[]);
    assert_eq!(
        dashboard.get("/api/pairs").json(),
        json!({ "error": "the database cannot be reached" })
    );
    std::fs::create_dir(folder.path().join("mount")).unwrap();
    assert_eq!(dashboard.ask("/api/pairs")["missing"], file.to_str().unwrap());
}

#[test]
fn it_is_ready_when_the_database_was_reached() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let dashboard = Dashboard::start(&Server::dsn(port, "own"), &[]);
    assert_eq!((dashboard.get("/readyz").status, dashboard.get("/healthz").status), (503, 200));
}

#[test]
fn no_answer_and_no_log_has_the_password_or_what_the_server_said() {
    let base = Base::mariadb();
    let wrong = base.pair.dsn.replace("/w:rd?", "/w:rd!");
    assert_ne!(wrong, base.pair.dsn);
    for dsn in [&base.pair.dsn, &wrong] {
        let dashboard = Dashboard::start(dsn, &["--log-format", "json"]);
        let mut said = String::new();
        for path in [
            "/",
            "/api/pairs",
            "/api/iterations",
            "/api/history",
            "/metrics",
            "/healthz",
            "/readyz",
        ] {
            let response = dashboard.get(path);
            said += &format!("{:?}{}", response.headers, response.text());
        }
        assert!(!said.contains("ha@") && !said.contains("Access denied"), "{said}");
        said += &dashboard.log();
        assert!(
            !said.contains(PASSWORD) && !said.contains("p@ss") && !said.contains("w:rd"),
            "{said}"
        );
    }
}

#[test]
fn a_signal_ends_it_in_order_and_lets_what_is_under_way_be_answered() {
    for signal in [Signal::TERM, Signal::INT] {
        let (_base, mut dashboard) = filled();
        // One that says nothing, and one that is kept.
        let mut silent = TcpStream::connect(("127.0.0.1", dashboard.port)).unwrap();
        silent.write_all(b"GET ").unwrap();
        let mut kept = TcpStream::connect(("127.0.0.1", dashboard.port)).unwrap();
        kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut begin = [0; 15];
        kept.read_exact(&mut begin).unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200 OK");
        dashboard.signal(signal);
        assert_eq!(dashboard.exit_code(), Some(0));
        assert!(dashboard.log().contains("stopped"), "{}", dashboard.log());
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_it_listens() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (flags, code, words) in [
        (&["--listen", "8080"][..], 2, "give an IP address and a port"),
        (
            &["--listen", &taken, "--db-dsn", "sqlite:/nonexistent/x"],
            5,
            "cannot listen on 127.0.0.1:",
        ),
        (&["--db-dsn", "none"], 2, "--db-dsn none is not a database"),
        (&["--db-dsn", "user:s3cret@tcp(db:port)/x"], 2, "the port is wrong"),
        (&["--allowed-host", "http://x/"], 2, "give a name alone"),
        (&["--nonsense"], 2, "unexpected argument"),
        (&["user:s3cret@tcp(db)/x"], 2, "unexpected argument"),
    ] {
        let ran = run(dashboard().args(flags).stdin(Stdio::null()));
        assert_eq!(ran.code, Some(code), "{flags:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(words) && !ran.stderr.contains("s3cret"),
            "{flags:?}: {}",
            ran.stderr
        );
    }
    let version = run(dashboard().arg("--version"));
    assert_eq!(version.stdout, format!("ha-sync-ui {}\n", env!("CARGO_PKG_VERSION")));
    let help = run(dashboard().arg("--help").env("HA_SYNC_DB_DSN", "user:s3cret@tcp(db)/x"));
    assert!(
        help.stdout.contains("HA_SYNC_LISTEN") && !help.stdout.contains("s3cret"),
        "{}",
        help.stdout
    );
}
