//! What NFS does to a tool, on the real thing: the kernel's own server and client.
//!
//! Each test boots a guest machine and runs itself in there ([`lab`]). Both trees are NFSv4.2
//! mounts. What the server holds can be looked at, and changed, behind the client's back.

mod budget;
mod caches;
mod lab;
mod meanwhile;
mod outage;
mod plain;
mod refused;
