//! Plans of rollouts: slots, refusals, conflicts, chains, and what has moved since.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod conflicts;
mod moves;
mod refusals;
mod slots;
mod world;
