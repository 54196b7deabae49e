//! From candidates to a plan.

use std::{collections::BTreeMap, rc::Rc};

use fleet_api::{
    KubernetesVersion,
    text::Day,
    v1alpha1::{Gate, Maintenance, SupportType},
};
use fleet_spec::{Severity, rules::Problem};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::{
    Input, Refusal,
    candidates::{self, Candidate, Errand},
    conflict::conflicts,
    document::{
        API_VERSION, CostOfDelay, KIND, PlannedGate, PlannedMember, PlannedRollback, PlannedWave, RolloutPlan,
    },
    overrun::overrun,
    refuse::{self, named, support_ends},
    schedule::{Deadline, DeadlineOf, Slot, Task, WaveRun, WaveTasks, run},
    work::{ROLLBACK_DAYS, Work, later},
};
use crate::rollout::{
    amounts::{self, as_members, of_members},
    twist::Twist,
};
use crate::windows::{Timeline, UnknownZone};

pub(super) fn plan(input: &Input<'_>) -> Result<RolloutPlan, Refusal> {
    let input = &Input { now: whole_minute(input.now), ..*input };
    let found = candidates::find(input, input.strategy);
    let problems = refuse::problems(input, &found);
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(Refusal { problems, conflicts: Vec::new() });
    }
    let candidates = &found.candidates;
    let waves = tasks(input, candidates);
    let runs = run(&waves, input.now);
    let conflicts = conflicts(input, candidates, &waves, &runs);
    if !conflicts.is_empty() {
        return Err(Refusal { problems: Vec::new(), conflicts });
    }
    if let Some(problem) = overrun(input, candidates, &waves, &runs) {
        return Err(Refusal { problems: vec![problem], conflicts: Vec::new() });
    }
    Ok(assemble(input, candidates, &waves, &runs, &problems))
}

/// People read plans: moments are whole minutes.
fn whole_minute(now: Timestamp) -> Timestamp {
    let seconds = now.as_second();
    Timestamp::from_second(seconds + (60 - seconds.rem_euclid(60)) % 60).unwrap_or(now)
}

/// The waves with their members in the order in which they are preferred: those whose support ends first, then by name.
fn tasks<'a>(input: &Input<'_>, candidates: &'a [Candidate<'a>]) -> Vec<WaveTasks<'a>> {
    let strategy = input.strategy;
    let hold = strategy.hold_nodes.map(|hold| hold.0);
    let mut members: Vec<Vec<(Timestamp, Task<'a>)>> = strategy.waves.iter().map(|_| Vec::new()).collect();
    let mut shared = Shared::default();
    for (index, candidate) in candidates.iter().enumerate() {
        let (Errand::Move { .. }, Some(wave)) = (&candidate.errand, candidate.waves.first()) else {
            continue;
        };
        let support = support_ends(input, candidate);
        let asked = input.by.map(|at| Deadline { at, of: DeadlineOf::Asked });
        let work = Work::of(&strategy.target, candidate.eks, candidate.addons, hold);
        // A zone that nobody knows has been refused.
        let Ok(times) = candidate.maintenance.map(|times| shared.times(times, input.now)).transpose() else {
            continue;
        };
        let task = Task {
            candidate: index,
            wanted: work.wanted(times.as_deref(), input.now),
            work,
            times,
            not_before: candidate.not_before,
            last_change: candidate.last_change,
            deadlines: support
                .map(|at| Deadline { at, of: DeadlineOf::Support })
                .into_iter()
                .chain(asked)
                .collect(),
        };
        if let Some(members) = members.get_mut(*wave) {
            members.push((support.unwrap_or(Timestamp::MAX), task));
        }
    }
    let moments = |gates: &[Gate]| -> Vec<(usize, Timestamp)> {
        let gates = gates.iter().enumerate();
        gates.filter_map(|(index, gate)| Some((index, gate.not_before.as_ref()?.0))).collect()
    };
    strategy
        .waves
        .iter()
        .zip(members)
        .map(|(wave, mut members)| {
            // Candidates come by name, and the sort is stable.
            members.sort_by_key(|(support, _)| *support);
            let tasks: Vec<Task<'a>> = members.into_iter().map(|(_, task)| task).collect();
            WaveTasks {
                lanes: as_members(amounts::concurrent(wave, of_members(tasks.len()), Twist::default())),
                tasks,
                soak: wave.soak.map_or(0, |soak| soak.0),
                before: moments(&wave.before),
                after: moments(&wave.after),
            }
        })
        .collect()
}

/// The maintenance times that were met, by what they say: hundreds of tenants have the same.
#[derive(Default)]
pub(super) struct Shared<'a>(BTreeMap<String, Rc<Timeline<'a>>>);

impl<'a> Shared<'a> {
    pub(super) fn times(
        &mut self,
        maintenance: &'a Maintenance,
        from: Timestamp,
    ) -> Result<Rc<Timeline<'a>>, UnknownZone> {
        let key = serde_json::to_string(maintenance).unwrap_or_default();
        if let Some(known) = self.0.get(&key).filter(|known| known.maintenance() == maintenance) {
            return Ok(Rc::clone(known));
        }
        let times = Rc::new(Timeline::of(maintenance, from)?);
        self.0.insert(key, Rc::clone(&times));
        Ok(times)
    }
}

fn assemble(
    input: &Input<'_>,
    candidates: &[Candidate<'_>],
    waves: &[WaveTasks<'_>],
    runs: &[WaveRun],
    doubts: &[Problem],
) -> RolloutPlan {
    let strategy = input.strategy;
    let mut members = Vec::new();
    let mut planned = Vec::new();
    for ((wave, tasks), played) in strategy.waves.iter().zip(waves).zip(runs) {
        let mut own: Vec<PlannedMember> = tasks
            .tasks
            .iter()
            .zip(&played.slots)
            .filter_map(|(task, slot)| {
                member(input, candidates.get(task.candidate)?, &wave.name, task, slot.as_ref()?)
            })
            .collect();
        own.sort_by(|a, b| (a.slot, &a.tenant).cmp(&(b.slot, &b.tenant)));
        let count = own.len();
        let failures = amounts::failures(wave, of_members(count), Twist::default());
        planned.push(PlannedWave {
            name: wave.name.clone(),
            members: count,
            max_concurrent: tasks.lanes,
            max_failures: as_members(failures),
            min_successes: as_members(amounts::successes(wave, of_members(count), failures)),
            opens_at: played.opens,
            begins_at: played.begins,
            moved_at: played.moved,
            soaked_at: played.soaked,
            ends_at: played.ends,
            before: gates(&wave.before, played.opens),
            after: gates(&wave.after, played.soaked),
        });
        members.extend(own);
    }
    let begins_at = members.iter().map(|member| member.slot).min().unwrap_or(input.now);
    let plan = RolloutPlan {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        name: input.name.to_owned(),
        hash: String::new(),
        seal: String::new(),
        made_at: input.now,
        hop: None,
        begins_at,
        ends_at: runs.last().map_or(input.now, |played| played.ends),
        delay: delay(input, candidates, &members),
        notes: doubts.iter().map(doubt).chain(notes(input, candidates, &planned, &members)).collect(),
        strategy: strategy.clone(),
        waves: planned,
        at_target: candidates
            .iter()
            .filter(|candidate| candidate.errand == Errand::Nothing)
            .map(|candidate| candidate.tenant.to_owned())
            .collect(),
        members,
    };
    plan.sealed()
}

fn gates(gates: &[Gate], at: Timestamp) -> Vec<PlannedGate> {
    gates
        .iter()
        .map(|gate| PlannedGate {
            name: gate.name.clone(),
            waits_for: waits_for(gate),
            at: gate.not_before.as_ref().map_or(at, |moment| moment.0.max(at)),
        })
        .collect()
}

/// What a gate waits for, for people.
pub(super) fn waits_for(gate: &Gate) -> String {
    let Gate { name: _, approval, not_before, condition, prometheus, job } = gate;
    if let Some(votes) = approval {
        let noun = if votes.required == 1 { "vote" } else { "votes" };
        return format!(
            "{} {noun} of {}, good for {}",
            votes.required,
            votes.roles.join(" and "),
            votes.valid_for
        );
    }
    if let Some(moment) = not_before {
        return format!("not before {}", moment.0);
    }
    if let Some(condition) = condition {
        return format!("every member meets `{condition}`");
    }
    if let Some(query) = prometheus {
        return format!("Prometheus at {} answers `{}`", query.url, query.query);
    }
    job.as_ref().map_or_else(String::new, |job| {
        format!("a job of {}/{} ends well in every member", job.namespace, job.cron_job)
    })
}

fn member(
    input: &Input<'_>,
    candidate: &Candidate<'_>,
    wave: &str,
    task: &Task<'_>,
    slot: &Slot,
) -> Option<PlannedMember> {
    let Errand::Move { from, to } = candidate.errand else { return None };
    Some(PlannedMember {
        tenant: candidate.tenant.to_owned(),
        cluster: candidate.cluster.to_owned(),
        cluster_uid: candidate.cluster_uid.to_owned(),
        wave: wave.to_owned(),
        from,
        to,
        slot: slot.begin,
        window_until: slot.until,
        minutes: task.wanted,
        moved_at: slot.course.arrived,
        ends_at: slot.ends,
        nodes_from: (input.strategy.hold_nodes)
            .and_then(|hold| task.work.nodes(task.times.as_deref(), slot.course.arrived, hold.0))
            .map(|nodes| nodes.from),
        support_days: days_left(input, from),
        extra_per_day: extra_per_day(input, candidate),
        rollback: rollback(input, candidate, task, slot, from),
    })
}

fn rollback(
    input: &Input<'_>,
    candidate: &Candidate<'_>,
    task: &Task<'_>,
    slot: &Slot,
    from: KubernetesVersion,
) -> Option<PlannedRollback> {
    if !task.work.moves_control_plane() {
        return None;
    }
    let window = ROLLBACK_DAYS * 24 * 60;
    let until = later(slot.course.first, window - task.work.back())?;
    let mut hindrances = Vec::new();
    match candidate.created_at {
        Some(created) if created > from => {
            hindrances.push(format!("the cluster was made at {created}: EKS never goes below it"));
        }
        Some(_) => {}
        None => hindrances
            .push("nobody saw at which minor the cluster was made: EKS never goes below it".to_owned()),
    }
    if slot.ends > until {
        hindrances.push("its soak ends after the last moment at which it can be rolled back".to_owned());
    }
    if input.strategy.hold_nodes.is_none() && task.work.back() > 0 {
        hindrances.push(format!(
            "nodes and add-ons move at once and have to go back first, in about {}m",
            task.work.back()
        ));
    }
    Some(PlannedRollback { until, hindrances })
}

fn standard_end(input: &Input<'_>, at: KubernetesVersion) -> Option<Day> {
    input.calendar.iter().find(|offer| offer.version == at)?.end_of_standard
}

fn days_left(input: &Input<'_>, at: KubernetesVersion) -> Option<i64> {
    let today = input.now.to_zoned(TimeZone::UTC).date();
    let end = standard_end(input, at)?;
    today.until(end.0).ok().map(|span| i64::from(span.get_days()))
}

/// What a day in extended support costs more. Where the class has `STANDARD`, EKS moves the cluster instead.
fn extra_per_day(input: &Input<'_>, candidate: &Candidate<'_>) -> f64 {
    let costs = &input.fleet.spec.costs;
    match candidate.eks.map(|eks| eks.support_type).unwrap_or_default() {
        SupportType::Standard => 0.0,
        SupportType::Extended => cents((costs.extended_per_hour - costs.standard_per_hour) * 24.0),
    }
}

fn cents(amount: f64) -> f64 {
    (amount * 100.0).round() / 100.0
}

fn delay(input: &Input<'_>, candidates: &[Candidate<'_>], members: &[PlannedMember]) -> CostOfDelay {
    let by_tenant: BTreeMap<&str, &Candidate<'_>> =
        candidates.iter().map(|candidate| (candidate.tenant, candidate)).collect();
    let mut delay = CostOfDelay { standard_support_ends: None, per_day: 0.0, as_planned: 0.0 };
    for member in members.iter().filter(|member| member.to != member.from) {
        let Some(end) = standard_end(input, member.from) else { continue };
        if delay.standard_support_ends.is_none_or(|first| end < first) {
            delay.standard_support_ends = Some(end);
        }
        let Some(candidate) = by_tenant.get(member.tenant.as_str()) else { continue };
        let extra = extra_per_day(input, candidate);
        delay.per_day += extra;
        let dear = end.0.tomorrow().ok().and_then(|day| day.to_zoned(TimeZone::UTC).ok());
        if let Some(dear) = dear {
            let waits: SignedDuration = dear.timestamp().max(input.now).duration_until(member.moved_at);
            delay.as_planned += extra * waits.as_secs_f64().max(0.0) / 86_400.0;
        }
    }
    CostOfDelay { per_day: cents(delay.per_day), as_planned: cents(delay.as_planned), ..delay }
}

/// What keeps nobody from planning, and may be a mistake all the same.
fn doubt(problem: &Problem) -> String {
    let hint = problem.hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{}: {}{hint}", problem.path, problem.message)
}

/// What may be surprising, in few sentences however many members there are.
fn notes(
    input: &Input<'_>,
    candidates: &[Candidate<'_>],
    waves: &[PlannedWave],
    members: &[PlannedMember],
) -> Vec<String> {
    let mut notes = Vec::new();
    let movers = || candidates.iter().filter(|one| matches!(one.errand, Errand::Move { .. }));
    let mut about = |which: fn(&Candidate<'_>) -> bool, what: &str| {
        let names: Vec<&str> = movers().filter(|one| which(one)).map(|one| one.tenant).collect();
        if !names.is_empty() {
            notes.push(format!("{}: {what}", named(names)));
        }
    };
    about(
        |one| one.standing.not_ready,
        "not ready now, so the preflight holds them until they are; their wave does not pass before that",
    );
    about(|one| one.standing.paused, "paused, so they do not begin before somebody resumes them");
    about(
        |one| one.standing.automatic,
        "of a channel that moves its tenants by itself, maybe before their slot; set `upgrades: Rollout` in the channel",
    );
    if input.strategy.target.kubernetes.is_some() && input.calendar.is_empty() {
        notes.push(
            "nobody knows which minors EKS offers, and when their support ends: neither was looked at"
                .to_owned(),
        );
    }
    for (wave, planned) in input.strategy.waves.iter().zip(waves) {
        let asked = match &wave.max_failures {
            k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::String(text) if text != "0%" => text,
            _ => continue,
        };
        if planned.max_failures == 0 {
            notes.push(format!(
                "wave {}: {asked} of {} is less than one: it may have no failure",
                planned.name, planned.members
            ));
        }
    }
    let late = members
        .iter()
        .filter(|member| member.rollback.as_ref().is_some_and(|rollback| member.ends_at > rollback.until));
    let late = late.count();
    if late > 0 {
        notes.push(format!(
            "the soak of {late} of {} members ends after the last moment at which they can be rolled back",
            members.len()
        ));
    }
    notes
}
