//! The dashboard: what it answers, on which terms, and what a browser makes of it.

mod answers;
mod browser;
mod client;
mod documented;
mod filled;
mod large;
mod metrics;
mod page;
mod server;
mod terms;
