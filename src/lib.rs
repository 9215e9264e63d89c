//! Carries everything that is newer below one folder over to another one, so that two runs in
//! opposite directions keep a pair of huge trees in step.
//!
//! # The story of one run
//!
//! [`commands`] is the process around a command. It turns what was typed ([`cli`]) into what is
//! meant ([`config`]) and calls [`run::run`]. The run flushes what earlier runs left to the
//! database ([`ledger`]), takes the pair's lock ([`lock`]), recovers what a killed run left, writes
//! the header of the opslog ([`opslog`]) and lets the [`pipeline`] go over both trees ([`tree`]):
//!
//! ```text
//!  list(source dir) ─┐
//!                    ├─ join ─ classify ──▶ operations ──▶ workers ──▶ outcomes ──▶ opslog
//!  list(dest dir) ───┘                      (bounded)                  (bounded)
//! ```
//!
//! `scan` lists the directories of both trees. `join` turns two listings into one sequence of
//! names, and `classify` decides about each name. `queue` takes the operations to the workers,
//! which `execute` them, and `record` hands the outcomes to the opslog. When every copy has its
//! result, `delete` removes what only the destination has, if that is wanted and the evidence is
//! good enough. The stages share a `context`, and `completion` finishes each directory when its
//! last piece of work has ended.
//!
//! What people see of all this is in [`report`]. In the end the opslog is sealed and flushed, the
//! lock is given back, and the exit code tells how the run went. A lock that is a Lease may be lost
//! on the way; then nothing more is begun.
//!
//! [`dashboard`] is a program of its own (`ha-sync-ui`): it asks the ledger and shows the answers.
//!
//! # Who knows whom
//!
//! The nouns ([`model`]) know nothing of what is done with them. `tree` makes the system calls and
//! decides nothing; `join` and `classify` decide and do not make any. No stage of the pipeline
//! calls another one. The pipeline does not know the opslog, the lock or the terminal: it gets a
//! trait to report to, a trait to record with and a flag to stop ([`stop`]).

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
