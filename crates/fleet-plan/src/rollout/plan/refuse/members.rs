//! Who belongs to which wave, and who is not free to move.

use std::collections::BTreeMap;

use fleet_api::KubernetesVersion;
use fleet_spec::{Code, FieldPath, rules::Problem};

use super::{
    super::{
        Input,
        candidates::{Candidate, Errand, Found},
    },
    are, named, problem, wave_path,
};

/// Members without a wave, with two, and waves without members.
pub(super) fn membership(input: &Input<'_>, found: &Found<'_>) -> Vec<Problem> {
    let waves = &input.strategy.waves;
    let mut problems = Vec::new();
    let mut lost = Vec::new();
    let mut unknown: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut twice: BTreeMap<(usize, usize), Vec<&str>> = BTreeMap::new();
    let mut filled = vec![false; waves.len()];
    for candidate in &found.candidates {
        match &candidate.errand {
            Errand::Unknown(why) => unknown.entry(why).or_default().push(candidate.tenant),
            Errand::Nothing => {}
            Errand::Move { .. } | Errand::Beyond(_) | Errand::TooFar(_) => {
                if candidate.waves.is_empty() {
                    lost.push(candidate.tenant);
                }
                for index in &candidate.waves {
                    if let Some(filled) = filled.get_mut(*index) {
                        *filled = true;
                    }
                }
            }
        }
        if let [first, second, ..] = candidate.waves.as_slice() {
            twice.entry((*first, *second)).or_default().push(candidate.tenant);
        }
    }
    if found.candidates.is_empty() {
        problems.push(problem(
            Code::EmptyWave,
            FieldPath::spec().field("members"),
            "no tenant takes part: the selector matches nobody".to_owned(),
            "`fleet get tenants -o yaml` shows the labels that tenants have",
        ));
    }
    if !lost.is_empty() {
        let (verb, them) = if lost.len() == 1 { ("belongs", "it") } else { ("belong", "them") };
        problems.push(problem(
            Code::NoWave,
            FieldPath::spec().field("waves"),
            format!("{} {verb} to no wave", named(lost)),
            format!("add {them} to a wave, or leave {them} out with `members`"),
        ));
    }
    let name = |index: usize| waves.get(index).map(|wave| wave.name.as_str()).unwrap_or_default();
    for ((first, second), tenants) in twice {
        let verb = if tenants.len() == 1 { "belongs" } else { "belong" };
        problems.push(problem(
            Code::TwoWaves,
            wave_path(second).field("selector"),
            format!("{} {verb} to wave {} and to wave {}", named(tenants), name(first), name(second)),
            "make the selectors exclude each other, such as with `NotIn`",
        ));
    }
    for (why, tenants) in unknown {
        problems.push(problem(
            Code::MemberUnknown,
            FieldPath::spec().field("members"),
            format!("{} cannot be planned: {why}", named(tenants)),
            "wait until `fleet status` shows a version, or leave them out with `members`",
        ));
    }
    // Where nobody takes part, or nobody has anything to do, that is told of the whole rollout.
    let idle = found.candidates.iter().all(|candidate| candidate.errand == Errand::Nothing);
    let empty = filled.iter().zip(&found.meant).enumerate().filter(|(_, (filled, _))| !**filled);
    let told = |meant: bool| found.candidates.is_empty() || (idle && meant);
    for (index, (_, meant)) in empty.filter(|(_, (_, meant))| !told(**meant)) {
        let (message, hint) = if *meant {
            (
                format!("no tenant of wave {} has anything to do", name(index)),
                "take the wave away: its tenants are at the target, or do not take part",
            )
        } else {
            (
                format!("the selector of wave {} matches nobody", name(index)),
                "`fleet get tenants -o yaml` shows the labels that tenants have",
            )
        };
        problems.push(problem(Code::EmptyWave, wave_path(index).field("selector"), message, hint));
    }
    problems
}

/// Members of other rollouts that are not over.
pub(super) fn taken(input: &Input<'_>, candidates: &[Candidate<'_>]) -> Vec<Problem> {
    let mut by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for candidate in candidates.iter().filter(|candidate| candidate.errand != Errand::Nothing) {
        if let Some(rollout) = input.taken.get(candidate.tenant).filter(|rollout| *rollout != input.name) {
            by.entry(rollout).or_default().push(candidate.tenant);
        }
    }
    by.into_iter()
        .map(|(rollout, tenants)| {
            problem(
                Code::MemberTaken,
                FieldPath::spec().field("members"),
                format!(
                    "{} {} in rollout {rollout}, which is not over",
                    named(tenants.iter().copied()),
                    are(tenants.len())
                ),
                // Also who has succeeded stays part of it, since all of it may yet be rolled back.
                format!(
                    "wait until it is over, or end it with `fleet rollout abort {rollout}`; who has not begun to move in it can be skipped there"
                ),
            )
        })
        .collect()
}

/// Members that somebody wants to stay where they are.
pub(super) fn pinned(candidates: &[Candidate<'_>]) -> Vec<Problem> {
    let mut by: BTreeMap<KubernetesVersion, Vec<&str>> = BTreeMap::new();
    for candidate in candidates.iter().filter(|one| matches!(one.errand, Errand::Move { .. })) {
        if let Some(pin) = candidate.pinned {
            by.entry(pin).or_default().push(candidate.tenant);
        }
    }
    by.into_iter()
        .map(|(pin, tenants)| {
            let first = tenants.first().copied().unwrap_or_default();
            problem(
                Code::MemberPinned,
                FieldPath::spec().field("members"),
                format!(
                    "{} {} pinned to {pin}, by `spec.kubernetes.version` of the Tenant",
                    named(tenants.iter().copied()),
                    are(tenants.len())
                ),
                format!(
                    "take the pin from Tenant {first}{}, or leave {} out with `members`",
                    if tenants.len() > 1 { " and the others" } else { "" },
                    if tenants.len() > 1 { "them" } else { "it" }
                ),
            )
        })
        .collect()
}
