//! What has moved since a plan was made, as far as it matters to the plan.

use std::collections::BTreeMap;

use fleet_spec::{Code, Severity, rules::Problem};
use serde::Serialize;

use super::{
    Input, PlannedMember, RolloutPlan,
    candidates::{self, Candidate, Errand},
    refuse,
};
use crate::windows::{self, Change, Permission};

/// Problems that follow from where members are, of which each one that moved is told by itself.
const TOLD_OF_MEMBERS: [Code; 8] = [
    Code::MinorSkipped,
    Code::VersionBelow,
    Code::NothingToDo,
    Code::MemberUnknown,
    Code::MemberTaken,
    Code::NoWave,
    Code::TwoWaves,
    Code::EmptyWave,
];

/// Something that is not as the plan found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// What: a tenant, or a field of the rollout.
    pub subject: String,
    /// How it moved, for people.
    pub what: String,
}

/// What has moved since a plan was made. Nothing of it may be, for the plan to be started. `input` is the world as it is,
/// with the plan's own name and strategy.
pub fn moved(plan: &RolloutPlan, input: &Input<'_>) -> Vec<Moved> {
    let input = &Input { strategy: &plan.strategy, name: &plan.name, ..*input };
    let found = candidates::find(input, &plan.strategy);
    let by_tenant: BTreeMap<&str, &Candidate<'_>> =
        found.candidates.iter().map(|candidate| (candidate.tenant, candidate)).collect();
    let mut moved = Vec::new();
    let mut say = |subject: &str, what: String| moved.push(Moved { subject: subject.to_owned(), what });
    for member in &plan.members {
        match by_tenant.get(member.tenant.as_str()) {
            Some(candidate) => {
                if let Some(what) = changed(plan, member, candidate, input) {
                    say(&member.tenant, what);
                }
            }
            None => say(&member.tenant, why_gone(input, &member.tenant)),
        }
    }
    let planned: BTreeMap<&str, ()> =
        plan.members.iter().map(|member| (member.tenant.as_str(), ())).collect();
    for candidate in &found.candidates {
        if candidate.errand != Errand::Nothing && !planned.contains_key(candidate.tenant) {
            say(candidate.tenant, "takes part now, and the plan has no slot for it".to_owned());
        }
    }
    // What members are judged by may have moved as well, such as pins, roles or offers. What is wrong with a member or a wave
    // because members moved is said above, of each of them.
    let told = |problem: &Problem| !moved.is_empty() && TOLD_OF_MEMBERS.contains(&problem.code);
    let problems = refuse::problems(input, &found).into_iter();
    let problems = problems.filter(|problem| problem.severity == Severity::Error && !told(problem));
    let more: Vec<Moved> =
        problems.map(|problem| Moved { subject: problem.path.to_string(), what: problem.message }).collect();
    moved.extend(more);
    moved
}

fn why_gone(input: &Input<'_>, name: &str) -> String {
    let tenant = input.tenants.iter().find(|tenant| tenant.metadata.name.as_deref() == Some(name));
    match tenant {
        None => "is gone".to_owned(),
        Some(tenant) if tenant.metadata.deletion_timestamp.is_some() => "is being deleted".to_owned(),
        Some(_) => "takes no part any more: the selector does not match it".to_owned(),
    }
}

fn changed(
    plan: &RolloutPlan,
    member: &PlannedMember,
    candidate: &Candidate<'_>,
    input: &Input<'_>,
) -> Option<String> {
    if candidate.cluster_uid != member.cluster_uid {
        return Some("has another cluster than the one that was planned for".to_owned());
    }
    match &candidate.errand {
        Errand::Move { from, .. } if *from == member.from => {}
        Errand::Move { from: at, .. } | Errand::TooFar(at) | Errand::Beyond(at) => {
            return Some(format!("is at {at}, and was planned from {}", member.from));
        }
        Errand::Nothing => return Some("is at the target already".to_owned()),
        Errand::Unknown(why) => return Some(format!("cannot be judged: {why}")),
    }
    let names: Vec<&str> = candidate
        .waves
        .iter()
        .filter_map(|index| plan.strategy.waves.get(*index))
        .map(|wave| wave.name.as_str())
        .collect();
    if names != [member.wave.as_str()] {
        let now = if names.is_empty() {
            "no wave".to_owned()
        } else {
            format!("wave {}", names.join(" and wave "))
        };
        return Some(format!("belongs to {now}, and was planned in wave {}", member.wave));
    }
    if let Some(rollout) = input.taken.get(&member.tenant).filter(|rollout| **rollout != plan.name) {
        return Some(format!("was taken by rollout {rollout}"));
    }
    slot(member, candidate, input)
}

/// Whether the slot is still one.
fn slot(member: &PlannedMember, candidate: &Candidate<'_>, input: &Input<'_>) -> Option<String> {
    if member.window_until.unwrap_or(member.moved_at) <= input.now {
        return Some(format!("had its slot at {}, which has passed", member.slot));
    }
    let change = Change::Begins { last: candidate.last_change };
    let answer = windows::permission_for(candidate.maintenance, change, member.slot, member.minutes);
    match answer {
        Ok(Permission::Now { .. }) => None,
        Ok(Permission::Later { at, .. }) => {
            let next = at.map_or_else(|| "never".to_owned(), |at| format!("at {at}"));
            Some(format!(
                "may not begin at {} any more, by its windows and freezes; the next slot is {next}",
                member.slot
            ))
        }
        Err(error) => Some(error.to_string()),
    }
}
