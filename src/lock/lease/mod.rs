//! The Lease.

mod acquiring;
mod clock;
mod record;
#[cfg(test)]
mod simulation;
mod tenure;
mod terms;
