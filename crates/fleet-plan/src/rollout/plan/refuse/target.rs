//! The target against what the cloud offers and against where the members are.

use std::collections::BTreeMap;

use fleet_api::{KubernetesVersion, eks::SupportStatus};
use fleet_spec::{Code, FieldPath, rules::Problem};

use super::{
    super::{
        Input,
        candidates::{Candidate, Errand},
    },
    are, named, problem,
};

/// The target against EKS and against where the members are.
pub(super) fn target(input: &Input<'_>, candidates: &[Candidate<'_>]) -> Vec<Problem> {
    let path = FieldPath::spec().field("target").field("kubernetes");
    let mut problems = Vec::new();
    let Some(to) = input.strategy.target.kubernetes else {
        problems.extend(nothing_to_do(input, candidates));
        return problems;
    };
    let on_offer = |version: KubernetesVersion| {
        input
            .calendar
            .iter()
            .any(|offer| offer.version == version && offer.status != SupportStatus::Unsupported)
    };
    if !input.calendar.is_empty() && !on_offer(to) {
        let list: Vec<String> = input
            .calendar
            .iter()
            .filter(|offer| offer.status != SupportStatus::Unsupported)
            .map(|offer| offer.version.to_string())
            .collect();
        problems.push(problem(
            Code::VersionNotOffered,
            path.clone(),
            format!("EKS does not offer {to}"),
            format!("name a minor on offer: {}", list.join(", ")),
        ));
    }
    let mut far: BTreeMap<KubernetesVersion, Vec<&str>> = BTreeMap::new();
    let mut beyond: BTreeMap<KubernetesVersion, Vec<&str>> = BTreeMap::new();
    for candidate in candidates {
        match candidate.errand {
            Errand::TooFar(at) => far.entry(at).or_default().push(candidate.tenant),
            Errand::Beyond(at) => beyond.entry(at).or_default().push(candidate.tenant),
            Errand::Move { .. } | Errand::Nothing | Errand::Unknown(_) => {}
        }
    }
    for (at, tenants) in &far {
        problems.push(problem(
            Code::MinorSkipped,
            path.clone(),
            format!(
                "{} {} at {at}, {} minors behind {to}: a control plane moves one minor at a time",
                named(tenants.iter().copied()),
                are(tenants.len()),
                to.ahead_of(*at)
            ),
            format!(
                "plan a chain of rollouts with `fleet rollout plan -f FILE --to {to}`, or leave them out"
            ),
        ));
    }
    for (at, tenants) in &beyond {
        problems.push(problem(
            Code::VersionBelow,
            path.clone(),
            format!(
                "{} {} at {at} already: a rollout to {to} would move down",
                named(tenants.iter().copied()),
                are(tenants.len())
            ),
            "leave them out with `members`; the way down is `fleet rollout rollback`, for 7 days",
        ));
    }
    if far.is_empty() && beyond.is_empty() {
        problems.extend(nothing_to_do(input, candidates));
    }
    problems
}

fn nothing_to_do(input: &Input<'_>, candidates: &[Candidate<'_>]) -> Option<Problem> {
    let idle = candidates.iter().all(|candidate| candidate.errand == Errand::Nothing);
    let path = FieldPath::spec().field("target");
    (idle && !candidates.is_empty()).then(|| {
        let message = format!("every tenant that takes part is at the target of {} already", input.name);
        problem(Code::NothingToDo, path, message, "name another target, or other members")
    })
}
