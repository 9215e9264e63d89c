//! Where the audit rows go, as it was typed: `none`, `sqlite:PATH`, or a MySQL server in the form
//! of Go's driver or as a URL.
//!
//! A password may hold every character, `@`, `/`, `?` and `:` too. Name and password end at the
//! last `@` that a valid rest follows. An error names the part that is wrong and never shows its
//! text: in a misspelt DSN, nobody can tell where the password ends.

mod address;
mod error;

use std::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

pub use self::address::Address;
use self::address::{go_address, url_address};
pub use self::error::DsnError;
use self::error::{Parsed, wrong};
use crate::model::Escaped;

/// A database, as the user named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dsn {
    /// No database: opslogs stay in the log directory.
    None,
    /// The path of an SQLite file.
    Sqlite(PathBuf),
    /// A MySQL or MariaDB server.
    MySql(Box<Server>),
}

/// A MySQL or MariaDB server, and who logs in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Login name.
    pub user: String,
    /// Password of that login.
    pub password: Secret,
    /// Where it listens.
    pub address: Address,
    /// Name of the database.
    pub database: String,
    /// Whether the connection is encrypted.
    pub tls: Tls,
    /// A file with certificates (PEM) to trust beside the well-known ones.
    pub ca: Option<PathBuf>,
}

/// Whether a TCP connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Never.
    Off,
    /// If the server can. Nobody checks whose certificate it is.
    Preferred,
    /// Always. Nobody checks whose certificate it is.
    Required,
    /// Always. The certificate has to be the server's, signed by an authority that is trusted.
    Verified,
}

/// Text that is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Dsn {
    /// With an absolute path, which means the same file from every directory.
    pub fn from_the_root(self) -> Self {
        match self {
            Self::Sqlite(path) => Self::Sqlite(std::path::absolute(&path).unwrap_or(path)),
            named => named,
        }
    }
}

impl std::str::FromStr for Dsn {
    type Err = DsnError;

    fn from_str(text: &str) -> Parsed<Self> {
        if text == "none" {
            return Ok(Self::None);
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            return match path {
                "" => wrong(
                    "the path after sqlite:",
                    "give a file, such as sqlite:/var/lib/ha-sync.sqlite",
                ),
                path if path.contains('\0') => wrong("the path after sqlite:", "it holds a NUL"),
                path if path == ":memory:" || path.starts_with("file:") => wrong(
                    "the path after sqlite:",
                    "give a file on a disk, not one of SQLite's special names",
                ),
                path => Ok(Self::Sqlite(path.into())),
            };
        }
        let server = match text.strip_prefix("mysql://") {
            Some(rest) => Server::parse(rest, Form::Url),
            None => Server::parse(text, Form::Go),
        };
        server.map(|server| Self::MySql(Box::new(server)))
    }
}

/// For people, without the password.
impl fmt::Display for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", crate::model::shown(path)),
            Self::MySql(server) => server.fmt(f),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: &str| Escaped(text.as_bytes()).to_string();
        let (user, database) = (text(&self.user), text(&self.database));
        match &self.address {
            Address::Tcp(host, port) if host.contains(':') => {
                write!(f, "{user}@tcp([{}]:{port})/{database}", text(host))
            }
            Address::Tcp(host, port) => write!(f, "{user}@tcp({}:{port})/{database}", text(host)),
            Address::Unix(path) => write!(f, "{user}@unix({})/{database}", text(path)),
        }
    }
}

/// The two ways to write a server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `user:pass@tcp(host:3306)/db?params`: name and password are taken as they are.
    Go,
    /// `user:pass@host:3306/db?params` after `mysql://`: name and password may be percent-encoded.
    Url,
}

impl Server {
    fn parse(text: &str, form: Form) -> Parsed<Self> {
        let ats: Vec<usize> = text.rmatch_indices('@').map(|(at, _)| at).collect();
        let mut first_error = None;
        for at in &ats {
            match Self::parse_rest(&text[at + 1..], form) {
                Ok(server) => return server.with_login(&text[..*at], form),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        if ats.is_empty() {
            Self::parse_rest(text, form)
        } else {
            first_error
                .map_or_else(|| wrong("it", "give user:password@tcp(host:3306)/database"), Err)
        }
    }

    /// Reads what follows the login.
    fn parse_rest(text: &str, form: Form) -> Parsed<Self> {
        let (address, path) = match form {
            Form::Go => go_address(text)?,
            Form::Url => url_address(text)?,
        };
        let (database, params) = path.split_once('?').unwrap_or((path, ""));
        let database = decoded("the name of the database", database)?;
        if database.is_empty() {
            return wrong(
                "the name of the database",
                "give it after the address, as in …tcp(host:3306)/database",
            );
        }
        let (user, password) = Default::default();
        let mut server = Self { user, password, address, database, tls: Tls::Preferred, ca: None };
        for param in params.split('&').filter(|param| !param.is_empty()) {
            server.set(param, form)?;
        }
        Ok(server)
    }

    fn with_login(mut self, login: &str, form: Form) -> Parsed<Self> {
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        (self.user, self.password) = match form {
            Form::Go => (user.to_owned(), Secret(password.to_owned())),
            Form::Url => (decoded("the user", user)?, Secret(decoded("the password", password)?)),
        };
        Ok(self)
    }

    fn set(&mut self, param: &str, form: Form) -> Parsed<()> {
        let (name, value) = param.split_once('=').unwrap_or((param, ""));
        let value = decoded("a parameter's value", value)?;
        match name {
            "tls" | "ssl-mode" => self.tls = tls(&value)?,
            "tls-ca" | "ssl-ca" if value.is_empty() => {
                return wrong("the parameter tls-ca", "give a file with certificates (PEM)");
            }
            "tls-ca" | "ssl-ca" => self.ca = Some(value.into()),
            "socket" if form == Form::Url && value.starts_with('/') => {
                self.address = Address::Unix(value);
            }
            // Options of Go's driver. A Secret that a Go program shares has them.
            "parseTime"
            | "loc"
            | "charset"
            | "collation"
            | "timeout"
            | "readTimeout"
            | "writeTimeout"
            | "multiStatements"
            | "interpolateParams"
            | "allowNativePasswords"
            | "allowCleartextPasswords"
            | "allowAllFiles"
            | "allowFallbackToPlaintext"
            | "allowOldPasswords"
            | "checkConnLiveness"
            | "clientFoundRows"
            | "columnsWithAlias"
            | "connectionAttributes"
            | "maxAllowedPacket"
            | "rejectReadOnly"
            | "serverPubKey"
            | "compress"
            | "timeTruncate" => {}
            _ => {
                return wrong(
                    "the name of a parameter",
                    "tls and tls-ca have a meaning, those of Go's driver are allowed, no others",
                );
            }
        }
        Ok(())
    }
}

fn tls(value: &str) -> Parsed<Tls> {
    match value.to_ascii_lowercase().as_str() {
        "off" | "false" | "0" | "disabled" => Ok(Tls::Off),
        "preferred" => Ok(Tls::Preferred),
        "required" | "skip-verify" => Ok(Tls::Required),
        "verified" | "true" | "1" | "verify_identity" => Ok(Tls::Verified),
        _ => wrong("the value of the parameter tls", "use off, preferred, required or verified"),
    }
}

fn decoded(part: &'static str, text: &str) -> Parsed<String> {
    let text = percent_decode_str(text).decode_utf8();
    text.map_or_else(
        |_| wrong(part, "what is percent-encoded there is not UTF-8"),
        |text| Ok(text.into_owned()),
    )
}

#[cfg(test)]
mod tests;
