//! The loops against a real management API server, with an in-memory cloud.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod admission;
mod crashes;
mod deletion;
mod election;
mod life;
mod people;
mod process;
mod rollouts;
mod support;
