use proptest::prelude::*;

use super::*;

fn server(text: &str) -> Server {
    match text.parse() {
        Ok(Dsn::MySql(server)) => *server,
        other => panic!("{text}: {other:?}"),
    }
}

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp(host.into(), port)
}

#[test]
fn the_forms_of_gos_driver() {
    let full = server(
        "ha:s3cret@tcp(db.example:3307)/sync?parseTime=true&tls=true&tls-ca=%2Fetc%2Fca.pem",
    );
    assert_eq!((full.user.as_str(), full.password.0.as_str()), ("ha", "s3cret"));
    assert_eq!((full.address, full.database.as_str()), (tcp("db.example", 3307), "sync"));
    assert_eq!((full.tls, full.ca), (Tls::Verified, Some("/etc/ca.pem".into())));

    let cases = [
        ("u@tcp(db)/x", tcp("db", 3306)),
        ("u:@tcp([::1]:3307)/x", tcp("::1", 3307)),
        ("u:p@tcp6([fe80::1])/x", tcp("fe80::1", 3306)),
        ("u:p@tcp/x", tcp("127.0.0.1", 3306)),
        ("/x", tcp("127.0.0.1", 3306)),
        ("u:p@/x", tcp("127.0.0.1", 3306)),
        ("u:p@unix(/run/mysqld/mysqld.sock)/x", Address::Unix("/run/mysqld/mysqld.sock".into())),
    ];
    for (text, address) in cases {
        let server = server(text);
        assert_eq!((server.address, server.database.as_str()), (address, "x"), "{text}");
    }
}

#[test]
fn the_url_form() {
    let url = server(
        "mysql://ha:p%40ss%2F%3a@[2001:db8::1]:3307/sync%20db?ssl-mode=REQUIRED&ssl-ca=/etc/ca.pem",
    );
    assert_eq!((url.user.as_str(), url.password.0.as_str()), ("ha", "p@ss/:"));
    assert_eq!((url.address, url.database.as_str()), (tcp("2001:db8::1", 3307), "sync db"));
    assert_eq!((url.tls, url.ca), (Tls::Required, Some("/etc/ca.pem".into())));
    assert_eq!(server("mysql://u:p@h/x?socket=/run/s").address, Address::Unix("/run/s".into()));
    assert_eq!(server("mysql://u:a@b/c?d@h/x").password.0, "a@b/c?d", "one that nobody encoded");
}

#[test]
fn the_ways_to_ask_for_tls() {
    let modes = [
        ("off", Tls::Off),
        ("false", Tls::Off),
        ("DISABLED", Tls::Off),
        ("preferred", Tls::Preferred),
        ("required", Tls::Required),
        ("skip-verify", Tls::Required),
        ("true", Tls::Verified),
        ("verified", Tls::Verified),
        ("VERIFY_IDENTITY", Tls::Verified),
    ];
    for (word, mode) in modes {
        assert_eq!(server(&format!("u:p@tcp(h)/x?tls={word}")).tls, mode, "{word}");
    }
    assert_eq!(server("u:p@tcp(h)/x").tls, Tls::Preferred);
}

#[test]
fn a_bad_one_names_the_part_that_is_wrong() {
    let cases = [
        ("", "the part after the login"),
        ("sqlite:", "the path after sqlite:"),
        ("sqlite::memory:", "the path after sqlite:"),
        ("sqlite:file:rows?mode=memory", "the path after sqlite:"),
        ("u:p@tcp(h:3306)", "the part after the address"),
        ("u:p@tcp(h:3306)/", "the name of the database"),
        ("u:p@tcp(h:3306", "the address"),
        ("u:p@tcp(h:0)/x", "the port"),
        ("u:p@tcp(h:65536)/x", "the port"),
        ("u:p@tcp(h:)/x", "the port"),
        ("u:p@tcp(::1)/x", "the port"),
        ("u:p@tcp([::g])/x", "the host"),
        ("u:p@tcp([::1)/x", "the host"),
        ("u:p@tcp(a b)/x", "the host"),
        ("u:p@udp(h)/x", "the protocol"),
        ("u:p@unix(run/s)/x", "the path of the socket"),
        ("u:p@tcp(h)/x?tls=maybe", "the value of the parameter tls"),
        ("u:p@tcp(h)/x?tsl=true", "the name of a parameter"),
        ("u:p@tcp(h)/x?tls-ca=", "the parameter tls-ca"),
        ("mysql://u:p@h", "the part after the address"),
        ("mysql://u:p@h/", "the name of the database"),
        ("mysql://u%ff:p@h/x", "the user"),
    ];
    for (text, part) in cases {
        let error = text.parse::<Dsn>().expect_err(text).to_string();
        assert!(error.starts_with(&format!("{part} is wrong: ")), "{text}: {error}");
    }
}

#[test]
fn nothing_that_is_shown_holds_the_password() {
    let dsn: Dsn = "ha:s3cret@tcp(db:3306)/sync".parse().unwrap();
    assert_eq!(dsn.to_string(), "ha@tcp(db:3306)/sync");
    assert!(!format!("{dsn:?}").contains("s3cret"));
}

proptest! {
    #[test]
    fn a_password_may_hold_every_character(password in ".*", host in "[a-z][a-z0-9.-]{0,20}", port in 1u16..) {
        let parsed = server(&format!("user:{password}@tcp({host}:{port})/db?parseTime=true"));
        prop_assert_eq!(&parsed.password.0, &password);
        prop_assert_eq!(parsed.address, tcp(&host, port));
        let encoded = percent_encoding::utf8_percent_encode(&password, percent_encoding::NON_ALPHANUMERIC);
        prop_assert_eq!(server(&format!("mysql://user:{encoded}@{host}:{port}/db")).password.0, password);
    }

    #[test]
    fn no_text_makes_it_panic_and_no_error_repeats_it(text in ".{0,80}", secret in "[A-Z]{12}") {
        for text in [text.clone(), format!("user:{secret}{text}"), format!("mysql://u:{secret}{text}@h")] {
            if let Err(error) = text.parse::<Dsn>() {
                prop_assert!(!error.to_string().contains(&secret));
            }
        }
    }
}
