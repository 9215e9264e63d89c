//! Where a server listens, in both forms of a DSN. What is returned with it is the rest of the
//! text.

use super::error::{Parsed, wrong};

const PORT: u16 = 3306;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Host name or address, and port.
    Tcp(String, u16),
    /// The path of a Unix socket.
    Unix(String),
}

/// `tcp(host:port)/`, `unix(/path)/`, `tcp/` or `/`, and what follows.
pub(super) fn go_address(text: &str) -> Parsed<(Address, &str)> {
    const SHAPE: &str =
        "give user:password@tcp(host:3306)/database or user:password@unix(/path)/database";
    let Some(end) = text.find(['(', '/']) else {
        return wrong("the part after the login", SHAPE);
    };
    let protocol = &text[..end];
    let (inside, rest) = match text[end..].strip_prefix('(') {
        Some(open) => {
            open.split_once(')').map_or_else(|| wrong("the address", "it lacks its )"), Ok)?
        }
        None => ("", &text[end..]),
    };
    let Some(path) = rest.strip_prefix('/') else {
        return wrong("the part after the address", "give / and the name of the database");
    };
    let address = match protocol {
        "tcp" | "tcp4" | "tcp6" => tcp(inside)?,
        "unix" if inside.starts_with('/') => Address::Unix(inside.to_owned()),
        "unix" => {
            return wrong(
                "the path of the socket",
                "give it from the root on, as in unix(/run/mysqld/mysqld.sock)",
            );
        }
        "" if inside.is_empty() => tcp("")?,
        _ => return wrong("the protocol", SHAPE),
    };
    Ok((address, path))
}

pub(super) fn url_address(text: &str) -> Parsed<(Address, &str)> {
    let Some((address, path)) = text.split_once('/') else {
        return wrong("the part after the address", "give / and the name of the database");
    };
    Ok((tcp(address)?, path))
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn tcp(text: &str) -> Parsed<Address> {
    let (host, port) = match text.strip_prefix('[') {
        Some(open) => {
            let Some((host, port)) = open.split_once(']') else {
                return wrong("the host", "an IPv6 address stands between [ and ]");
            };
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return wrong("the host", "between [ and ] goes an IPv6 address");
            }
            (host, port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => PORT,
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            let port = digits.parse().ok().filter(|port| *port > 0);
            port.map_or_else(|| wrong("the port", "it is a number from 1 to 65535"), Ok)?
        }
        _ => {
            return wrong(
                "the port",
                "it is a number from 1 to 65535; an IPv6 address stands between [ and ]",
            );
        }
    };
    let is_name =
        |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte) || !byte.is_ascii();
    match host {
        "" => Ok(Address::Tcp("127.0.0.1".into(), port)),
        host if host.bytes().all(is_name) => Ok(Address::Tcp(host.to_owned(), port)),
        _ => wrong("the host", "give a name or an address"),
    }
}
