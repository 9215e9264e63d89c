//! The tests of the whole: the library's stages on real trees, and the binary as a black box.
//!
//! One binary: it links once, and its modules share [`fixture`].

#![allow(unreachable_pub, missing_docs)] // Nothing outside this binary sees it.

mod attack;
mod attributes;
mod carried;
mod command_line;
mod continued;
mod dashboard;
mod deletion;
mod deploy;
mod docs;
mod dry_run;
mod faults;
mod filters;
mod fixture;
mod granularity;
mod half_made;
mod hostile;
mod interrupted;
mod killed;
mod large;
mod lease;
mod ledger;
mod locking;
mod model;
mod nfs;
mod opslog;
mod oracle;
mod owners;
mod pace;
mod progress;
mod spared;
