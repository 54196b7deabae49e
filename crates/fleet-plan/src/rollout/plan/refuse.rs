//! What is wrong with a rollout before any slot is looked for, all of it at once.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::{
    KubernetesVersion,
    eks::SupportStatus,
    text::Day,
    v1alpha1::{ApprovalGate, Gate, Maintenance, Wave},
};
use fleet_spec::{
    Code, FieldPath, Severity,
    rules::{self, Problem, References},
};
use jiff::{Timestamp, tz::TimeZone};

use super::{
    Input,
    candidates::{Candidate, Errand, Found},
    schedule::horizon,
    work::Work,
};
use crate::{
    rollout::{
        amounts::{self, as_members, of_members},
        twist::Twist,
    },
    windows::{self, Permission},
};

/// How many members a problem names.
const NAMED: usize = 8;
/// How many members get a problem of their own about their windows.
const OF_THEIR_OWN: usize = 20;

/// Everything that is wrong with a rollout, in the world as it is.
pub(super) fn problems(input: &Input<'_>, found: &Found<'_>) -> Vec<Problem> {
    let mut problems = rules::rollout(input.name, input.strategy, &references(input));
    problems.extend(votes(input));
    problems.extend(target(input, &found.candidates));
    problems.extend(membership(input, found));
    problems.extend(taken(input, &found.candidates));
    problems.extend(pinned(&found.candidates));
    problems.extend(amounts(input, &found.candidates));
    problems.extend(times(input, &found.candidates));
    problems
}

fn references<'a>(input: &Input<'a>) -> References<'a> {
    let today = Day(input.now.to_zoned(TimeZone::UTC).date());
    let mut references = References::new(today, &input.fleet.spec);
    let named =
        |tenant: &'a fleet_api::v1alpha1::Tenant| Some((tenant.metadata.name.as_deref()?, Some(tenant)));
    references.tenants = input.tenants.iter().filter_map(named).collect();
    references.classes = input.classes.iter().map(|(name, one)| (name.as_str(), Some(one))).collect();
    references.baselines = input.baselines.iter().map(|(name, one)| (name.as_str(), Some(one))).collect();
    references.channels = input.channels.iter().map(|(name, one)| (name.as_str(), Some(one))).collect();
    references
}

fn problem(code: Code, path: FieldPath, message: String, hint: impl Into<String>) -> Problem {
    Problem { severity: Severity::Error, code, path, message, hint: Some(hint.into()) }
}

fn wave_path(index: usize) -> FieldPath {
    FieldPath::spec().field("waves").index(index)
}

/// `a, b and 3 more`.
pub(super) fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match names.len() {
        0..=NAMED => names.join(", "),
        many => format!("{} and {} more", names.get(..NAMED).unwrap_or_default().join(", "), many - NAMED),
    }
}

/// `is` or `are`.
const fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// Gates with more votes than there are people beside the author.
fn votes(input: &Input<'_>) -> Vec<Problem> {
    let gates = |wave: usize, field: &'static str, gates: &'_ [Gate]| -> Vec<Problem> {
        let asked = gates.iter().enumerate().filter_map(|(index, gate)| {
            let votes = gate.approval.as_ref()?;
            let message = too_few(input, &gate.name, votes)?;
            let path = wave_path(wave).field(field).index(index).field("approval").field("required");
            Some(problem(
                Code::ApproversTooFew,
                path,
                message,
                "ask for fewer votes, or give more people the role in the Fleet's `approvers`",
            ))
        });
        asked.collect()
    };
    let waves = input.strategy.waves.iter().enumerate();
    waves
        .flat_map(|(index, wave)| {
            let mut found = gates(index, "before", &wave.before);
            found.extend(gates(index, "after", &wave.after));
            found
        })
        .collect()
}

/// Groups may have any number of people: only roles that name users alone can be counted.
fn too_few(input: &Input<'_>, gate: &str, votes: &ApprovalGate) -> Option<String> {
    let roles: Vec<_> =
        input.fleet.spec.approvers.iter().filter(|role| votes.roles.contains(&role.name)).collect();
    if roles.len() < votes.roles.len() || roles.iter().any(|role| !role.groups.is_empty()) {
        return None;
    }
    let mut people: BTreeSet<&str> =
        roles.iter().flat_map(|role| role.users.iter().map(String::as_str)).collect();
    let author = input.author.filter(|author| people.remove(author));
    let required = usize::try_from(votes.required).unwrap_or_default();
    if people.len() >= required {
        return None;
    }
    let without = author.map(|author| format!(" beside {author}, who plans it")).unwrap_or_default();
    Some(format!(
        "gate {gate} asks for {required} votes, and {} can vote in the roles {}{without}",
        match people.len() {
            0 => "nobody".to_owned(),
            1 => "one person".to_owned(),
            many => format!("{many} people"),
        },
        votes.roles.join(", "),
    ))
}

/// The target against EKS and against where the members are.
fn target(input: &Input<'_>, candidates: &[Candidate<'_>]) -> Vec<Problem> {
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

/// Members without a wave, with two, and waves without members.
fn membership(input: &Input<'_>, found: &Found<'_>) -> Vec<Problem> {
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
        let verb = if lost.len() == 1 { "belongs" } else { "belong" };
        problems.push(problem(
            Code::NoWave,
            FieldPath::spec().field("waves"),
            format!("{} {verb} to no wave", named(lost)),
            "add them to a wave, or leave them out with `members`",
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
    let empty = filled.iter().zip(&found.meant).enumerate().filter(|(_, (filled, _))| !**filled);
    for (index, (_, meant)) in empty {
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

fn taken(input: &Input<'_>, candidates: &[Candidate<'_>]) -> Vec<Problem> {
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
                format!("wait for it, abort it with `fleet rollout abort {rollout}`, or skip them in it"),
            )
        })
        .collect()
}

/// Members that somebody wants to stay where they are.
fn pinned(candidates: &[Candidate<'_>]) -> Vec<Problem> {
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

/// The members of a wave that move.
fn moving<'c, 'a>(
    candidates: &'c [Candidate<'a>],
    wave: usize,
) -> impl Iterator<Item = &'c Candidate<'a>> + use<'c, 'a> {
    candidates
        .iter()
        .filter(move |one| one.waves.first() == Some(&wave) && matches!(one.errand, Errand::Move { .. }))
}

/// Caps and minimums against the number of members.
fn amounts(input: &Input<'_>, candidates: &[Candidate<'_>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, wave) in input.strategy.waves.iter().enumerate() {
        let members = moving(candidates, index).count();
        if members == 0 {
            continue;
        }
        let budget = amounts::failures(wave, of_members(members), Twist::default());
        let successes = as_members(amounts::asked_successes(wave, of_members(members), budget));
        let failures = as_members(budget);
        if successes > members {
            problems.push(problem(
                Code::OutOfRange,
                wave_path(index).field("minSuccesses"),
                format!(
                    "wave {} has {} and never passes: it asks for {successes} successes",
                    wave.name,
                    count(members)
                ),
                format!("ask for at most {members}, or for a percentage"),
            ));
        }
        if successes == 0 {
            let field = if wave.min_successes.is_some() { "minSuccesses" } else { "maxFailures" };
            problems.push(problem(
                Code::OutOfRange,
                wave_path(index).field(field),
                format!("wave {} has {} and would pass without a single success", wave.name, count(members)),
                "ask for at least one success",
            ));
        }
        problems.extend(failing(wave, index, failures, candidates));
    }
    problems
}

/// A budget that is spent before anything begins.
fn failing(wave: &Wave, index: usize, failures: usize, candidates: &[Candidate<'_>]) -> Option<Problem> {
    let failing: Vec<&Candidate<'_>> =
        moving(candidates, index).filter(|candidate| candidate.failing.is_some()).collect();
    if failing.len() <= failures {
        return None;
    }
    let first = failing.first()?;
    Some(problem(
        Code::BudgetSpent,
        wave_path(index).field("maxFailures"),
        format!(
            "wave {} may have {failures} failures, and {} {} failing before it begins: of {}, {}",
            wave.name,
            named(failing.iter().map(|one| one.tenant)),
            are(failing.len()),
            first.tenant,
            first.failing.as_deref().unwrap_or_default()
        ),
        format!("mend it first (`fleet why {}`), leave it out, or allow more failures", first.tenant),
    ))
}

fn count(members: usize) -> String {
    if members == 1 { "one member".to_owned() } else { format!("{members} members") }
}

/// Windows, zones, gates' moments and deadlines.
fn times(input: &Input<'_>, candidates: &[Candidate<'_>]) -> Vec<Problem> {
    let strategy = input.strategy;
    let hold = strategy.hold_nodes.map(|hold| hold.0);
    let mut problems = Vec::new();
    let mut longest: Option<(i64, &str)> = None;
    let movers = candidates.iter().filter(|one| matches!(one.errand, Errand::Move { .. }));
    let mut odd = 0;
    // Tenants share their maintenance times, and the same times are good for the same move.
    let mut good: BTreeSet<(String, i64)> = BTreeSet::new();
    for candidate in movers {
        let work = Work::of(&strategy.target, candidate.eks, candidate.addons, hold);
        if longest.is_none_or(|(minutes, _)| work.total() > minutes) {
            longest = Some((work.total(), candidate.tenant));
        }
        let Some(maintenance) = candidate.maintenance.filter(|_| odd < OF_THEIR_OWN) else { continue };
        let times = (serde_json::to_string(maintenance).unwrap_or_default(), work.longest());
        if good.contains(&times) {
            continue;
        }
        match window_problem(input, candidate, maintenance, &work) {
            Some(found) => {
                odd += 1;
                problems.push(found);
            }
            None => {
                good.insert(times);
            }
        }
    }
    if let Some((minutes, tenant)) = longest.filter(|(minutes, _)| *minutes > strategy.step_deadline.0) {
        problems.push(problem(
            Code::DeadlineTooShort,
            FieldPath::spec().field("stepDeadline"),
            format!(
                "{tenant} needs {minutes}m to move and would count as failed after {}",
                strategy.step_deadline
            ),
            format!("set at least {}m", minutes * 2),
        ));
    }
    problems.extend(late_gates(input, candidates));
    problems
}

fn window_problem(
    input: &Input<'_>,
    candidate: &Candidate<'_>,
    maintenance: &Maintenance,
    work: &Work,
) -> Option<Problem> {
    let path = candidate
        .waves
        .first()
        .map_or_else(|| FieldPath::spec().field("waves"), |wave| wave_path(*wave).field("selector"));
    let tenant = candidate.tenant;
    let never = |minutes: i64| {
        let answer = windows::permission(Some(maintenance), input.now, minutes);
        answer.map(|answer| match answer {
            Permission::Now { .. } => false,
            Permission::Later { at, .. } => at.is_none_or(|at| at > horizon(input.now)),
        })
    };
    match never(work.longest()) {
        Err(error) => Some(problem(
            Code::UnknownTimeZone,
            path,
            format!("{tenant} has maintenance times in an unknown zone: {error}"),
            format!("mend `spec.maintenance.timeZone` of Tenant {tenant}"),
        )),
        Ok(false) => None,
        Ok(true) if never(0) == Ok(false) => Some(problem(
            Code::WindowTooShort,
            path,
            format!("no window of {tenant} is long enough: one step of its move takes {}m", work.longest()),
            format!("lengthen a window in `spec.maintenance.windows` of Tenant {tenant}"),
        )),
        Ok(true) => Some(problem(
            Code::WindowNeverOpens,
            path,
            format!("no window of {tenant} opens within a year: freezes cover every one"),
            format!("shorten the freezes, or add a window in `spec.maintenance` of Tenant {tenant}"),
        )),
    }
}

/// The first moment at which support of a member's minor has ended, by the policy of its class; `None` when nobody knows
/// it, when it has passed, or when the rollout does not move the minor.
pub(super) fn support_ends(input: &Input<'_>, candidate: &Candidate<'_>) -> Option<Timestamp> {
    use fleet_api::v1alpha1::SupportType;
    let Errand::Move { from, to } = candidate.errand else { return None };
    let offer = input.calendar.iter().find(|offer| offer.version == from && to != from)?;
    let policy = candidate.eks.map(|eks| eks.support_type).unwrap_or_default();
    let last = match policy {
        SupportType::Standard => offer.end_of_standard,
        SupportType::Extended => offer.end_of_extended,
    }?;
    let after = last.0.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    (after > input.now).then_some(after)
}

/// Gates that open only once support of a member behind them has ended.
fn late_gates(input: &Input<'_>, candidates: &[Candidate<'_>]) -> Vec<Problem> {
    let waves = &input.strategy.waves;
    // Each member waits for the gates of its wave and of those before it.
    let mut first_end: Vec<Option<(Timestamp, &str)>> = vec![None; waves.len()];
    for candidate in candidates {
        let (Some(end), Some(wave)) = (support_ends(input, candidate), candidate.waves.first()) else {
            continue;
        };
        for entry in first_end.iter_mut().take(wave + 1) {
            if entry.is_none_or(|(before, _)| end < before) {
                *entry = Some((end, candidate.tenant));
            }
        }
    }
    let mut problems = Vec::new();
    for (index, wave) in waves.iter().enumerate() {
        let own = first_end.get(index).copied().flatten();
        let next = first_end.get(index + 1).copied().flatten();
        for (field, gates, end) in [("before", &wave.before, own), ("after", &wave.after, next)] {
            for (position, gate) in gates.iter().enumerate() {
                let (Some(moment), Some((end, tenant))) = (gate.not_before.as_ref().map(|time| time.0), end)
                else {
                    continue;
                };
                if moment >= end {
                    problems.push(problem(
                        Code::GateTooLate,
                        wave_path(index).field(field).index(position).field("notBefore"),
                        format!(
                            "gate {} opens at {moment}, and support of {tenant}'s minor ends at {end}: EKS would upgrade it before",
                            gate.name
                        ),
                        "open the gate earlier, or move the tenant in an earlier wave",
                    ));
                }
            }
        }
    }
    problems
}
