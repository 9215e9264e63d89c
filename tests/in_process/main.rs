//! The in-process tier: tests that need neither root nor servers nor processes of their own.
//!
//! [`house`] reads the source and checks the arrangement of the code. The others run the engine on
//! small trees in a temporary folder.

mod carrying;
mod deleting;
mod house;
mod trees;
