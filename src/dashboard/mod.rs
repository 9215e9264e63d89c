//! The dashboard: one page, an API and metrics, all made from the ledger alone.
//!
//! HTTP comes in, and what the ledger's rows say goes out. The dashboard cannot change anything, by
//! construction: the only methods are `GET` and `HEAD`, the database session is read-only, and no
//! tables are made (`database.rs`). File names are data from strangers. They travel as JSON and
//! become text nodes on the page, never markup.
//!
//! A client that asks for too much is told so. Parameters are read strictly (`query.rs`),
//! connections, headers and waiting times have limits (`server.rs`), and a database that hangs
//! holds nobody up longer than agreed.
//!
//! TLS is left to a proxy or an Ingress.

mod api;
mod database;
mod metrics;
mod middleware;
mod page;
mod query;
mod refusal;
mod routes;
mod server;
mod state;

pub use self::server::serve;
