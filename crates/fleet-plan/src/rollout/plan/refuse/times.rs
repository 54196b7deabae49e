//! Windows, zones, deadlines and the moments of gates.

use std::collections::BTreeSet;

use fleet_api::{
    text::Minutes,
    v1alpha1::{Maintenance, SupportType},
};
use fleet_spec::{Code, FieldPath, rules::Problem};
use jiff::{Timestamp, tz::TimeZone};

use super::{
    super::{
        Input,
        candidates::{Candidate, Errand},
        schedule::horizon,
        work::Work,
    },
    problem, wave_path,
};
use crate::windows::{self, Permission};

/// How many members get a problem of their own about their windows.
const OF_THEIR_OWN: usize = 20;

/// Windows, zones, gates' moments and deadlines.
pub(super) fn times(input: &Input<'_>, candidates: &[Candidate<'_>]) -> Vec<Problem> {
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
                "{tenant} is expected to need {} to move, and would count as failed after {}",
                Minutes(minutes),
                strategy.step_deadline
            ),
            format!(
                "set at least {}, twice of what is expected: upgrades take very differently long",
                Minutes(minutes * 2)
            ),
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
pub(in crate::rollout::plan) fn support_ends(
    input: &Input<'_>,
    candidate: &Candidate<'_>,
) -> Option<Timestamp> {
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
