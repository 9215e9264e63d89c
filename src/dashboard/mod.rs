//! The dashboard: one page, an API and metrics, made from the ledger and from nothing else.
//!
//! What comes in is HTTP, what goes out is what the ledger's rows say. It changes nothing, by construction: no
//! route but `GET` and `HEAD`, a session that is read-only, no tables made (`database.rs`). Names of files are
//! data from strangers: JSON on the way, text nodes on the page, never markup.
//!
//! Who asks too much is told so: parameters are read strictly (`query.rs`), connections, headers and waiting
//! have limits (`server.rs`), and a database that hangs holds up nobody longer than agreed.
//!
//! TLS is not its business: a proxy or an Ingress does that.

mod answers;
mod database;
mod gate;
mod metrics;
mod page;
mod query;
mod routes;
mod server;

pub use self::server::serve;
