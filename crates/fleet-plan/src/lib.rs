//! The functional core: what should happen next, as data, and why nothing does.
//!
//! Every function here is synchronous and total: no client, no clock, no randomness, no environment. The moment
//! is an argument, and the same input gives the same bytes, so that `fleet plan` and the controller agree.

pub mod calendar;
pub mod cluster;
pub mod compose;
pub mod diff;
pub mod evidence;
pub mod fleet_versions;
pub mod moves;
pub mod preference;
pub mod receipt;
pub mod report;
pub mod rollout;
pub mod windows;
