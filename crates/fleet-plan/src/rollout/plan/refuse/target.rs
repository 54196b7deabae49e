//! The target against what the cloud offers and against where the members are.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::{KubernetesVersion, eks::SupportStatus};
use fleet_spec::{Code, FieldPath, nearest, rules::Problem};

use super::{
    super::{
        Input,
        candidates::{Candidate, Errand, addons_of},
    },
    are, named, problem,
};

/// The target against EKS and against where the members are.
pub(super) fn target(input: &Input<'_>, candidates: &[Candidate<'_>]) -> Vec<Problem> {
    let path = FieldPath::spec().field("target").field("kubernetes");
    let mut problems = Vec::new();
    let Some(to) = input.strategy.target.kubernetes else {
        problems.extend(unknown_addons(input, candidates));
        if problems.is_empty() {
            problems.extend(nothing_to_do(input, candidates));
        }
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
            "leave them out with `members`; the way down is `fleet rollout rollback TENANT --rollout NAME` of the rollout that moved them up, also once it is over, for 7 days",
        ));
    }
    if far.is_empty() && beyond.is_empty() {
        problems.extend(nothing_to_do(input, candidates));
    }
    problems
}

/// Add-ons of the target that no member has: moving them would change nothing anywhere.
fn unknown_addons(input: &Input<'_>, candidates: &[Candidate<'_>]) -> Vec<Problem> {
    let Some(addons) = &input.strategy.target.addons else { return Vec::new() };
    let mut known: BTreeSet<&str> =
        candidates.iter().flat_map(|candidate| addons_of(candidate.eks)).collect();
    let members: BTreeSet<&str> = candidates.iter().map(|candidate| candidate.tenant).collect();
    let clusters = input.clusters.iter().filter(|cluster| members.contains(cluster.spec.tenant.as_str()));
    for status in clusters.filter_map(|cluster| cluster.status.as_ref()) {
        known.extend(status.versions.addons.iter().map(|addon| addon.name.as_str()));
    }
    // Of members without a cluster nobody knows the add-ons, and they are refused for it.
    if candidates.iter().any(|candidate| matches!(candidate.errand, Errand::Unknown(_))) && known.is_empty() {
        return Vec::new();
    }
    let names = || known.iter().copied().collect::<Vec<_>>().join(", ");
    let unknown = addons.iter().enumerate().filter(|(_, addon)| !known.contains(addon.name.as_str()));
    unknown
        .map(|(index, addon)| {
            let path = FieldPath::spec().field("target").field("addons").index(index).field("name");
            let hint = match nearest(&addon.name, known.iter().copied()) {
                _ if known.is_empty() => {
                    "the members have none that fleet keeps: name another target, or add it to their class first"
                        .to_owned()
                }
                Some(near) => format!("did you mean `{near}`? The members have {}", names()),
                None => format!("name one of {}, or add it to the class of a member first", names()),
            };
            problem(Code::Addon, path, format!("no member has the add-on `{}`", addon.name), hint)
        })
        .collect()
}

fn nothing_to_do(input: &Input<'_>, candidates: &[Candidate<'_>]) -> Option<Problem> {
    let idle = candidates.iter().all(|candidate| candidate.errand == Errand::Nothing);
    let path = FieldPath::spec().field("target");
    (idle && !candidates.is_empty()).then(|| {
        let message = format!("every tenant that takes part is at the target of {} already", input.name);
        problem(Code::NothingToDo, path, message, "name another target, or other members")
    })
}
