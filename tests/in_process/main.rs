//! The in-process tier: what holds without root, servers and processes of its own.
//!
//! [`house`] reads the source and holds the arrangement of the code; the others run the engine on small
//! trees in a temporary folder.

mod carrying;
mod deleting;
mod house;
mod trees;
