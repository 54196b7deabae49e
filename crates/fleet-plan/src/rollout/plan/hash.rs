//! What the votes of people are bound to: the strategy, and every member with its cluster, its wave and its slot.
//!
//! The hash can be made from a plan and from the objects that are stored, so that whoever acts on votes can see whether
//! what is stored is what was voted on.

use fleet_api::{
    KubernetesVersion,
    names::full_hash,
    v1alpha1::{RolloutMemberSpec, RolloutSpec, RolloutStrategy},
};
use serde::Serialize;

use super::{PlannedMember, RolloutPlan};

#[derive(Serialize)]
struct Bound<'a> {
    name: &'a str,
    strategy: &'a RolloutStrategy,
    members: Vec<BoundMember<'a>>,
}

/// A member as far as a plan fixes it. The order of the fields is the order of members.
#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct BoundMember<'a> {
    tenant: &'a str,
    cluster: &'a str,
    cluster_uid: &'a str,
    wave: &'a str,
    from: KubernetesVersion,
    /// In seconds since the Unix epoch: objects carry no more.
    slot: i64,
}

impl<'a> BoundMember<'a> {
    fn planned(member: &'a PlannedMember) -> Self {
        let PlannedMember { tenant, cluster, cluster_uid, wave, from, slot, .. } = member;
        Self { tenant, cluster, cluster_uid, wave, from: *from, slot: slot.as_second() }
    }

    fn stored(member: &'a RolloutMemberSpec) -> Self {
        let RolloutMemberSpec { tenant, cluster, cluster_uid, wave, from, slot, .. } = member;
        Self { tenant, cluster, cluster_uid, wave, from: *from, slot: slot.0.as_second() }
    }
}

fn hash(name: &str, strategy: &RolloutStrategy, mut members: Vec<BoundMember<'_>>) -> String {
    members.sort_unstable();
    // Strategies and members have JSON, so that there always is a hash.
    full_hash(&Bound { name, strategy, members }).unwrap_or_default()
}

/// The hash of a plan, in 64 hexadecimal digits.
pub(super) fn of_plan(plan: &RolloutPlan) -> String {
    hash(&plan.name, &plan.strategy, plan.members.iter().map(BoundMember::planned).collect())
}

/// The hash of a rollout and its members as they are stored. It equals `spec.planHash` as long as they are what the plan
/// said: no member was added, taken away or exchanged, and nothing of the strategy was edited.
pub fn stored_hash<'a>(
    name: &str,
    rollout: &RolloutSpec,
    members: impl IntoIterator<Item = &'a RolloutMemberSpec>,
) -> String {
    let members = members.into_iter().map(BoundMember::stored).collect();
    hash(name, &RolloutStrategy::of(rollout), members)
}
