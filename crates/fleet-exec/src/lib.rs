//! All side effects that the controller and the CLI share: the way to tenants' API servers, the baseline engine,
//! probes, steps, and what is read from and written to the management cluster.
//!
//! Nothing here decides what a tenant should have: plans and bundles come in, and reports go out.

pub mod baseline;
pub mod clock;
pub mod drain;
pub mod gates;
pub mod hub;
pub mod inside;
pub mod probes;
pub mod remote;
pub mod steps;
