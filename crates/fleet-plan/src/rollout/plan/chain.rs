//! Several hops to a target that is more than one minor away: a rollout for each.

use fleet_api::{
    KubernetesVersion,
    v1alpha1::{RolloutStrategy, RolloutTarget},
};

use super::{
    Input, Part, Refusal, RolloutPlan,
    candidates::{self, Errand},
    document::Hop,
    make,
};

/// Plans the rollouts that bring every member to a minor, one for each hop, each beginning when the one before it is
/// expected to have ended. With a single hop it is the plan itself, under the rollout's own name.
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
            part: Some(Part { from, to, last: plans.last().map(|before| before.ends_at) }),
            now,
            ..*input
        };
        let mut plan = make::plan(&hop_input)?;
        plan.hop = Some(Hop { number: index + 1, of: hops.len(), to });
        if index > 0 {
            plan.notes.push(format!(
                "it begins after the hop to {} has ended, and ends the time in which that one can be rolled back",
                from
            ));
        }
        plans.push(plan.sealed());
    }
    Ok(plans)
}
