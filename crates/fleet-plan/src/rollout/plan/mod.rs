//! Plans of rollouts: every member's dated slot before anything moves, or why there is none.
//!
//! [`plan`] finds the members, refuses what cannot be meant, and gives each member a slot inside its windows and outside
//! its freezes. A wave hands each place that becomes free to the member whose window is open and whose support ends
//! first, then by the tenant's name; a wave begins when the wave before it is expected to have passed. When a member
//! cannot be moved in time, the answer is the smallest set of rules that cannot hold together.

mod candidates;
mod chain;
mod conflict;
mod document;
mod hash;
mod make;
mod moved;
mod objects;
mod overrun;
mod refuse;
mod schedule;
mod selector;
mod smallest;
mod work;

use std::collections::BTreeMap;

use fleet_api::{
    KubernetesVersion,
    eks::EksVersionOffer,
    v1alpha1::{
        Baseline, Fleet, Rollout, RolloutMember, RolloutStrategy, Tenant, TenantClass, TenantCluster,
        VersionChannel,
    },
};
use fleet_spec::rules::Problem;
use jiff::Timestamp;

pub use chain::chain;
pub use conflict::{ConflictSet, ConflictingRule};
pub use document::{
    API_VERSION, CostOfDelay, Hop, KIND, PlannedGate, PlannedMember, PlannedRollback, PlannedWave,
    RolloutPlan,
};
pub use hash::stored_hash;
pub use moved::{Moved, moved};
pub use objects::{member_name, member_objects, rollout_object};

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The rollout's name.
    pub name: &'a str,
    /// What it does.
    pub strategy: &'a RolloutStrategy,
    /// The tenants.
    pub tenants: &'a [Tenant],
    /// Their clusters.
    pub clusters: &'a [TenantCluster],
    /// The classes, by name.
    pub classes: &'a BTreeMap<String, TenantClass>,
    /// The baselines, by name.
    pub baselines: &'a BTreeMap<String, Baseline>,
    /// The channels, by name.
    pub channels: &'a BTreeMap<String, VersionChannel>,
    /// The settings of the fleet.
    pub fleet: &'a Fleet,
    /// The minors that EKS offers, with the days of their support; empty when nobody knows them.
    pub calendar: &'a [EksVersionOffer],
    /// The tenants that rollouts which are not over have, each with the rollout: see [`taken`].
    pub taken: &'a BTreeMap<String, String>,
    /// Who plans, as the management cluster knows them: they have no vote.
    pub author: Option<&'a str>,
    /// By when every member has to have succeeded.
    pub by: Option<Timestamp>,
    /// Which part of a chain it is.
    pub part: Option<Part<'a>>,
    /// The moment at which the plan is made.
    pub now: Timestamp,
}

/// A part of a chain of rollouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// The minor that the hops before bring every member to.
    pub from: KubernetesVersion,
    /// Where the chain ends: members between the hop and it have nothing to do in the hop.
    pub to: KubernetesVersion,
    /// When the hop before is expected to end: minimum gaps are counted from there.
    pub last: Option<Timestamp>,
    /// When the nodes of each tenant have followed that the hops before hold back: it begins no earlier.
    pub nodes: &'a BTreeMap<String, Timestamp>,
}

/// Why there is no plan. There is at least one of the two.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Refusal {
    /// What is wrong with the rollout or with its members. Paths lead into the rollout's file.
    pub problems: Vec<Problem>,
    /// Sets of rules that cannot hold together, of the first member that cannot be moved in time.
    pub conflicts: Vec<ConflictSet>,
}

/// Plans a rollout. The same input gives the same bytes.
///
/// # Errors
/// Everything that is wrong with it, at once; or, when nothing is, the rules that cannot hold together.
pub fn plan(input: &Input<'_>) -> Result<RolloutPlan, Refusal> {
    make::plan(input)
}

/// The tenants that rollouts which are not over have, each with the rollout's name.
pub fn taken(rollouts: &[Rollout], members: &[RolloutMember]) -> BTreeMap<String, String> {
    let open = |rollout: &&Rollout| !rollout.status.as_ref().is_some_and(|status| status.phase.is_over());
    let open: Vec<&str> =
        rollouts.iter().filter(open).filter_map(|rollout| rollout.metadata.name.as_deref()).collect();
    members
        .iter()
        .filter(|member| open.contains(&member.spec.rollout.as_str()) && !member.spec.skip)
        .map(|member| (member.spec.tenant.clone(), member.spec.rollout.clone()))
        .collect()
}
