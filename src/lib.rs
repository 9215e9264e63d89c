//! Carries everything that is newer below one folder over to another one, so that two runs in
//! opposite directions keep a pair of huge trees in step.
//!
//! # The story of one run
//!
//! [`commands`] turns what was typed ([`cli`]) into what is meant ([`config`]) and calls
//! [`run::run`]. That flushes what earlier runs left to the database ([`ledger`]), takes the pair's
//! lock ([`lock`]), recovers what a killed run left, writes the header of the opslog ([`opslog`]) and
//! lets the [`pipeline`] go over both trees ([`tree`]):
//!
//! ```text
//!  list(source dir) ─┐
//!                    ├─ join ─ classify ──▶ operations ──▶ workers ──▶ outcomes ──▶ opslog
//!  list(dest dir) ───┘                      (bounded)                  (bounded)
//! ```
//!
//! When every copy has its result, what only the destination has may be deleted, if that is wanted and
//! the evidence is good enough.
//!
//! What people see of it is [`report`]'s business. In the end the opslog is sealed and
//! flushed, the lock given back, and the exit code tells how it went. A lock that is a Lease may be lost on the
//! way; then nothing more is begun.
//!
//! [`dashboard`] is a program of its own (`ha-sync-ui`): it asks the ledger and shows what it says.
//!
//! # Who knows whom
//!
//! The nouns ([`model`]) know no verbs. `tree` makes the system calls and decides nothing; `join` and
//! `classify` decide and make none. The pipeline knows neither opslog nor lock nor terminal: it gets
//! a trait to report to, a trait to record with and a flag to stop ([`stop`]).

mod bounded;
pub mod cli;
pub mod commands;
pub mod config;
pub mod dashboard;
pub mod ledger;
pub mod lock;
mod locked;
pub mod model;
pub mod opslog;
pub mod pipeline;
pub mod report;
pub mod run;
pub mod stop;
pub mod time;
pub mod tree;
