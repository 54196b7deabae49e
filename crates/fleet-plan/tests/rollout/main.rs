//! The rules of a rollout, one table or story each. `hub` is a management cluster as small as it can be.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![expect(unreachable_pub, reason = "the modules of a test are its own")]

mod approvals;
mod back;
mod caps;
mod evidence;
mod faults;
mod hub;
#[cfg(feature = "mutants")]
mod mutants;
mod passing;
mod people;
mod stories;
mod windows;
