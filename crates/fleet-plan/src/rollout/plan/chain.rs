//! Several hops to a target that is more than one minor away: a rollout for each.

use std::collections::BTreeMap;

use fleet_api::{
    KubernetesVersion,
    v1alpha1::{RolloutStrategy, RolloutTarget},
};
use jiff::Timestamp;

use super::{
    Input, Part, Refusal, RolloutPlan,
    candidates::{self, Candidate, Errand, Found},
    document::Hop,
    make::{self, Shared},
    work::Work,
};

/// Plans the rollouts that bring every member to a minor, one for each hop, each beginning when the one before it is
/// expected to have ended, and each member when its nodes have followed that the hop before holds back. With a single hop it is the plan itself, under the rollout's own name.
///
/// # Errors
/// As [`super::plan`], for the first hop that has no plan.
pub fn chain(input: &Input<'_>, to: KubernetesVersion) -> Result<Vec<RolloutPlan>, Refusal> {
    let at_target = RolloutStrategy {
        target: RolloutTarget { kubernetes: Some(to), ..RolloutTarget::default() },
        ..input.strategy.clone()
    };
    let found = candidates::find(input, &at_target);
    let lowest = found.candidates.iter().filter_map(|candidate| match candidate.errand {
        Errand::Move { from, .. } => Some(from),
        Errand::TooFar(at) => Some(at),
        Errand::Nothing | Errand::Beyond(_) | Errand::Unknown(_) => None,
    });
    let lowest = lowest.min().or(to.previous()).unwrap_or(to);
    let hops: Vec<KubernetesVersion> =
        (lowest.minor() + 1..=to.minor()).map(KubernetesVersion::from_minor).collect();
    if hops.len() < 2 {
        return Ok(vec![make::plan(&Input { strategy: &at_target, ..*input })?]);
    }
    let mut plans: Vec<RolloutPlan> = Vec::with_capacity(hops.len());
    let mut nodes: BTreeMap<String, Timestamp> = BTreeMap::new();
    for (index, hop) in hops.iter().enumerate() {
        let strategy = RolloutStrategy {
            target: RolloutTarget { kubernetes: Some(*hop), ..RolloutTarget::default() },
            ..input.strategy.clone()
        };
        let name = format!("{}-1-{}", input.name, hop.minor());
        let now = plans.last().map_or(input.now, |before| before.ends_at);
        let from = hop.previous().unwrap_or(*hop);
        let hop_input = Input {
            name: &name,
            strategy: &strategy,
            part: Some(Part { from, to, last: plans.last().map(|before| before.ends_at), nodes: &nodes }),
            now,
            ..*input
        };
        let mut plan = make::plan(&hop_input)?;
        plan.hop = Some(Hop { number: index + 1, of: hops.len(), to });
        if index > 0 {
            let held =
                if nodes.is_empty() { "" } else { ", each member after its nodes have followed there," };
            plan.notes.push(format!(
                "it begins after the hop to {from} has ended{held} and ends the time in which that one can be rolled back"
            ));
        }
        nodes.extend(nodes_follow(&plan, &found, input));
        plans.push(plan.sealed());
    }
    Ok(plans)
}

/// When the nodes of each member have followed that a hop holds back.
fn nodes_follow(plan: &RolloutPlan, found: &Found<'_>, input: &Input<'_>) -> Vec<(String, Timestamp)> {
    let Some(hold) = input.strategy.hold_nodes else { return Vec::new() };
    let candidates: BTreeMap<&str, &Candidate<'_>> =
        found.candidates.iter().map(|candidate| (candidate.tenant, candidate)).collect();
    let mut shared = Shared::default();
    let follow = plan.members.iter().filter_map(|member| {
        let candidate = candidates.get(member.tenant.as_str())?;
        let times = candidate.maintenance.map(|times| shared.times(times, input.now)).transpose().ok()?;
        let target = RolloutTarget { kubernetes: Some(member.to), ..RolloutTarget::default() };
        let work = Work::of(&target, candidate.eks, candidate.addons, Some(hold.0));
        let nodes = work.nodes(times.as_deref(), member.moved_at, hold.0)?;
        Some((member.tenant.clone(), nodes.until))
    });
    follow.collect()
}
