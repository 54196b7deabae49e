//! Rollouts: one change through the fleet, in waves that are sound.
//!
//! [`tick`] is the engine: from what was read of a rollout, its members, their clusters, the votes and the checks it
//! decides what to write next. It remembers nothing: everything is in the objects, so that a crash at any moment and a
//! restart end in the same state. Three things make it safe on stale reads and with two writers:
//!
//! 1. The rollout's status is written first, against the version that was read. It carries the ledger: the names of the
//!    members that this tick allows to begin. A tick that does not yet see the members of the last entry as begun
//!    finishes that entry and allows nothing new, so that no stale cache can exceed a cap.
//! 2. A member's status is written against the version that was read, and a cluster's [`Move`](fleet_api::v1alpha1::Move) is derived from the
//!    member as it was read back, never from what is about to be written.
//! 3. A move carries the member's `seq`; the management cluster refuses one that is older than what stands.

mod amounts;
mod back;
mod begin;
mod engine;
mod evidence;
mod gates;
mod ledger;
mod member;
mod moves;
pub mod plan;
mod scene;
mod summary;
mod twist;
mod view;
mod waits;
mod waves;

pub use scene::expected_minutes;
#[cfg(feature = "mutants")]
pub use twist::Mutant;
pub use view::{CheckResult, ClusterView, MemberView, Name, RolloutView, Tick, Version, VoteView, World};

/// Decides what to write next for a rollout.
pub fn tick(world: &World<'_>) -> Tick {
    engine::tick(world, twist::Twist::default())
}

/// Decides as [`tick`] does, with a fault in force.
#[cfg(feature = "mutants")]
pub fn tick_mutated(world: &World<'_>, mutant: Option<Mutant>) -> Tick {
    engine::tick(world, twist::Twist::new(mutant))
}
