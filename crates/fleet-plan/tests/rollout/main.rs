//! The rules of a rollout, one table or story each. `hub` is a management cluster as small as it can be.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![expect(unreachable_pub, reason = "the modules of a test are seen by nobody else")]

mod caps;
mod hub;
mod windows;
