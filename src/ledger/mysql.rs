//! MySQL and MariaDB: the home of the crate `mysql`.
//!
//! The connection uses utf8mb4, UTC and strict mode, whatever the server's defaults are. Every wait
//! for the server has an end: connecting, reading, writing, and waiting for somebody else's lock.
//!
//! Values are bound. A statement that has values is prepared, and they go to the server apart from
//! its text. Its rows then come in the binary protocol, all other rows in the text protocol;
//! [`from_mysql`] makes the same of both. Only the rows of a flush ([`Database::insert`]) stand in
//! the text of the statement, escaped. Many rows in one statement are what makes a flush fast, and
//! a statement of bound values would have to be prepared anew for each number of rows.

use std::net::ToSocketAddrs as _;
use std::time::Duration;

use mysql::prelude::{Protocol, Queryable as _};
use mysql::{Conn, DriverError, Error, Opts, OptsBuilder, Params, QueryResult, SslOpts};

use super::database::{Database, DbError, DbResult, Dialect, ErrorKind, Row};
use super::dsn::{Address, Server, Tls};
use super::value::Value;

/// A server that takes longer than this for one answer is as good as down.
const ANSWER: Duration = Duration::from_secs(20);

/// Limit for connecting to one address of a server.
const CONNECT: Duration = Duration::from_secs(5);

/// `lock_wait_timeout` is for statements that change a table, `innodb_lock_wait_timeout` for those
/// that change a row. Both are shorter than [`ANSWER`].
const SETTINGS: &str = "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
                        autocommit = 1, innodb_lock_wait_timeout = 5, lock_wait_timeout = 5";

/// Bytes of one statement, at most, even if the server would accept more. Its text is held in
/// memory at both ends, and longer statements are no faster.
const STATEMENT: usize = 256 << 10;

/// Bytes that a packet holds beside the statement.
const PACKET_HEAD: usize = 64;

/// A connection.
pub(super) struct MySql {
    conn: Conn,
    /// Bytes of one statement, at most.
    longest: usize,
    max_allowed_packet: usize,
}

impl MySql {
    /// A connection that cannot change anything. The server gives up each question after `limit`.
    pub(super) fn connect_to_read(server: &Server, limit: Duration) -> DbResult<Self> {
        let mut reader = Self::connect(server)?;
        let version: Option<String> =
            reader.conn.query_first("SELECT VERSION()").map_err(db_error)?;
        let bound = if version.is_some_and(|version| version.contains("MariaDB")) {
            format!("max_statement_time = {}", limit.as_secs_f64())
        } else {
            format!("max_execution_time = {}", limit.as_millis())
        };
        for setting in [&*format!("SET SESSION {bound}"), "SET SESSION TRANSACTION READ ONLY"] {
            reader.conn.query_drop(setting).map_err(db_error)?;
        }
        Ok(reader)
    }

    pub(super) fn connect(server: &Server) -> DbResult<Self> {
        let mut conn = match open(server, server.tls != Tls::Off) {
            Err(Error::DriverError(DriverError::TlsNotSupported))
                if server.tls == Tls::Preferred =>
            {
                open(server, false)
            }
            opened => opened,
        }
        .map_err(db_error)?;
        let packet: Option<u64> =
            conn.query_first("SELECT @@max_allowed_packet").map_err(db_error)?;
        let max_allowed_packet =
            packet.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(STATEMENT);
        let longest = max_allowed_packet.saturating_sub(PACKET_HEAD).min(STATEMENT);
        Ok(Self { conn, longest, max_allowed_packet })
    }
}

fn open(server: &Server, encrypted: bool) -> Result<Conn, Error> {
    let options = OptsBuilder::new()
        .user(Some(&server.user))
        .pass(Some(&server.password.0))
        .db_name(Some(&server.database))
        // A socket would replace the encrypted connection by one that nobody asked for.
        .prefer_socket(false)
        .tcp_connect_timeout(Some(CONNECT))
        .read_timeout(Some(ANSWER))
        .write_timeout(Some(ANSWER))
        .init(vec![SETTINGS])
        .ssl_opts(encrypted.then(|| ssl(server)));
    match &server.address {
        Address::Unix(path) => Conn::new(Opts::from(options.socket(Some(path)))),
        // The certificate is checked against this name, so it has to be the one that was given.
        Address::Tcp(host, port) if server.tls == Tls::Verified => {
            Conn::new(Opts::from(options.ip_or_hostname(Some(bracketed(host))).tcp_port(*port)))
        }
        Address::Tcp(host, port) => open_any(&options, host, *port),
    }
}

/// Tries all addresses of a name. The crate gives up at the first one that does not answer, as
/// `::1` of `localhost` may.
fn open_any(options: &OptsBuilder, host: &str, port: u16) -> Result<Conn, Error> {
    let cannot = |error: String| {
        let reason = (format!("{host}:{port}"), error, std::io::ErrorKind::NotFound);
        Error::DriverError(DriverError::CouldNotConnect(Some(reason)))
    };
    let addresses = (host, port).to_socket_addrs().map_err(|error| cannot(error.to_string()))?;
    let mut last = cannot("the name has no address".into());
    for address in addresses {
        let ip = bracketed(&address.ip().to_string());
        match Conn::new(Opts::from(options.clone().ip_or_hostname(Some(ip)).tcp_port(port))) {
            Err(
                error @ Error::DriverError(
                    DriverError::CouldNotConnect(_) | DriverError::ConnectTimeout,
                ),
            ) => last = error,
            ended => return ended,
        }
    }
    Err(last)
}

/// A host as the crate wants it: an IPv6 address in brackets.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn ssl(server: &Server) -> SslOpts {
    let anybodys = server.tls != Tls::Verified;
    SslOpts::default()
        .with_root_cert_path(server.ca.clone())
        .with_danger_accept_invalid_certs(anybodys)
        .with_danger_skip_domain_validation(anybodys)
}

impl Database for MySql {
    fn dialect(&self) -> Dialect {
        Dialect::MySql
    }

    fn execute(&mut self, sql: &str, values: &[Value]) -> DbResult<u64> {
        self.query(sql, values, &mut drop)?;
        Ok(self.conn.affected_rows())
    }

    /// Executes a prepared statement only once. From the second time on, MariaDB may go along
    /// another index and read all rows that lie before the wanted ones.
    fn query(&mut self, sql: &str, values: &[Value], each: &mut dyn FnMut(Row)) -> DbResult<()> {
        if values.is_empty() {
            // Not every statement can be prepared: on MySQL, one that begins a transaction cannot.
            return hand_over(self.conn.query_iter(sql), each);
        }
        let statement = self.conn.prep(sql).map_err(db_error)?;
        let asked = hand_over(self.conn.exec_iter(&statement, bound(values)), each);
        let closed = self.conn.close(statement).map_err(db_error);
        asked.and(closed)
    }

    fn insert(&mut self, table: &str, columns: &[&str], rows: &[Row]) -> DbResult<()> {
        let head = format!("INSERT INTO {table} ({}) VALUES ", columns.join(","));
        let mut statement = head.clone();
        let mut row_text = String::new();
        for row in rows {
            row_text.clear();
            write_row(&mut row_text, row);
            if statement.len() > head.len() && statement.len() + 1 + row_text.len() > self.longest {
                self.conn.query_drop(&statement).map_err(db_error)?;
                statement.truncate(head.len());
            }
            if statement.len() > head.len() {
                statement.push(',');
            }
            statement.push_str(&row_text);
            // A row beyond our own limit is fine, one beyond the limit of the server is not.
            if statement.len() + PACKET_HEAD > self.max_allowed_packet {
                return Err(DbError::refused(format!(
                    "a row of {} bytes does not fit into the server's max_allowed_packet of {} bytes: raise that",
                    row_text.len(),
                    self.max_allowed_packet
                )));
            }
        }
        if statement.len() > head.len() {
            self.conn.query_drop(&statement).map_err(db_error)?;
        }
        Ok(())
    }
}

/// The values of a statement, in the order of its `?`.
fn bound(values: &[Value]) -> Params {
    Params::Positional(values.iter().map(to_mysql).collect())
}

fn to_mysql(value: &Value) -> mysql::Value {
    match value {
        Value::Null => mysql::Value::NULL,
        Value::Int(number) => mysql::Value::Int(*number),
        Value::Text(string) => mysql::Value::Bytes(string.as_bytes().to_vec()),
        Value::Bytes(bytes) => mysql::Value::Bytes(bytes.clone()),
    }
}

fn hand_over<P: Protocol>(
    rows: Result<QueryResult<'_, '_, '_, P>, Error>,
    each: &mut dyn FnMut(Row),
) -> DbResult<()> {
    for row in rows.map_err(db_error)? {
        let row = row.map_err(db_error)?;
        let columns = row.columns();
        let values = row.unwrap().into_iter().zip(columns.iter());
        each(values.map(|(value, column)| from_mysql(value, column.decimals())).collect());
    }
    Ok(())
}

fn write_row(text: &mut String, row: &[Value]) {
    for (index, value) in row.iter().enumerate() {
        text.push(if index == 0 { '(' } else { ',' });
        write_value(text, value);
    }
    text.push(')');
}

/// A value in the text of a statement. [`SETTINGS`] leaves backslashes as escapes.
fn write_value(text: &mut String, value: &Value) {
    text.push_str(&to_mysql(value).as_sql(false));
}

/// A value as the text protocol has it, in which everything but NULL is bytes. A time gets as many
/// decimals of a second as the column has.
fn from_mysql(value: mysql::Value, decimals: u8) -> Value {
    match value {
        mysql::Value::NULL => Value::Null,
        mysql::Value::Bytes(bytes) => String::from_utf8(bytes)
            .map_or_else(|error| Value::Bytes(error.into_bytes()), Value::Text),
        mysql::Value::Int(number) => Value::Text(number.to_string()),
        mysql::Value::UInt(number) => Value::Text(number.to_string()),
        mysql::Value::Date(year, month, day, hour, minute, second, micros) => {
            let date = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
            match usize::from(decimals.min(6)) {
                0 => Value::Text(date),
                digits => Value::Text(format!("{date}.{}", &format!("{micros:06}")[..digits])),
            }
        }
        other => Value::Text(other.as_sql(false).trim_matches('\'').to_owned()),
    }
}

fn db_error(error: Error) -> DbError {
    /// Lock wait timeout, deadlock, duplicate key.
    const CONTENDED: [u16; 3] = [1205, 1213, 1062];
    /// The server is shutting down, was told to end the connection, or ended it because it was
    /// idle.
    const LOST: [u16; 5] = [1053, 1152, 1158, 1927, 4031];
    /// A statement that exceeded its time limit, on MariaDB and on MySQL, and one that was told to
    /// end.
    const LATE: [u16; 3] = [1969, 3024, 1317];
    match error {
        Error::MySqlError(error) => {
            let kind = match error.code {
                code if CONTENDED.contains(&code) => ErrorKind::Contended,
                code if LOST.contains(&code) => ErrorKind::Lost,
                code if LATE.contains(&code) => ErrorKind::Late,
                _ => ErrorKind::Refused,
            };
            DbError { kind, message: format!("{} (error {})", error.message, error.code) }
        }
        Error::IoError(error) => broken(&error),
        Error::CodecError(error) => {
            let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
            cause.map_or_else(|| DbError::lost(error.to_string()), broken)
        }
        Error::DriverError(DriverError::CouldNotConnect(Some((address, reason, _)))) => {
            DbError::lost(format!("cannot connect to {address}: {reason}"))
        }
        Error::DriverError(error) => DbError::lost(error.to_string()),
        Error::TlsError(error) => DbError::lost(format!("no encrypted connection: {error}")),
        other => DbError::lost(other.to_string()),
    }
}

fn broken(error: &std::io::Error) -> DbError {
    match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            DbError::lost(format!("the server did not answer within {} s", ANSWER.as_secs()))
        }
        _ => DbError::lost(format!("the connection broke: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_flush_are_read_as_nothing_else() {
        let row =
            [Value::text("a'b\\c?\0"), Value::Int(-3), Value::Null, Value::Bytes(vec![0xff, 0])];
        let mut text = String::new();
        write_row(&mut text, &row);
        assert_eq!(text, "('a\\'b\\\\c?\\0',-3,NULL,0xFF00)");
    }

    #[test]
    fn what_comes_in_the_binary_protocol_is_what_the_text_would_have_said() {
        use mysql::Value as Binary;
        let texts = |text: &str| Binary::Bytes(text.as_bytes().to_vec());
        for (binary, decimals, text) in [
            (Binary::Int(-7), 0, "-7"),
            (Binary::UInt(u64::MAX), 0, "18446744073709551615"),
            // DATETIME(3), also at midnight and without a part of a second; DATETIME; DATETIME(6).
            (Binary::Date(2026, 1, 2, 3, 4, 5, 678_000), 3, "2026-01-02 03:04:05.678"),
            (Binary::Date(2026, 1, 2, 0, 0, 0, 0), 3, "2026-01-02 00:00:00.000"),
            (Binary::Date(2026, 1, 2, 0, 0, 0, 0), 0, "2026-01-02 00:00:00"),
            (Binary::Date(2026, 1, 2, 3, 4, 5, 1), 6, "2026-01-02 03:04:05.000001"),
            // A sum, an ENUM.
            (texts("12345678901234567890"), 0, "12345678901234567890"),
            (texts("partial_failure"), 0, "partial_failure"),
        ] {
            assert_eq!(from_mysql(binary, decimals), from_mysql(texts(text), decimals), "{text}");
            assert_eq!(from_mysql(texts(text), decimals), Value::text(text));
        }
        assert_eq!(from_mysql(Binary::NULL, 3), Value::Null);
        assert_eq!(from_mysql(Binary::Bytes(vec![0xe9]), 0), Value::Bytes(vec![0xe9]));
    }
}
