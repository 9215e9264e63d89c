//! The audit trail in a database: every line of an opslog is a row, once, whatever happens on the
//! way.
//!
//! What does not depend on the database is tested on both.

pub mod base;
mod damage;
mod dry_run;
mod failures;
mod history;
pub mod mariadb;
mod proxy;
mod recorded;
mod server;
pub mod tables;
