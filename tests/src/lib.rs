//! Generated files, benchmarks, scenarios and end-to-end tests on real API servers.
//!
//! Nothing of the product depends on this crate, so it may look at every other one.

pub mod generated;
pub mod world;
