//! Caps and minimums that cannot be kept.

use fleet_api::v1alpha1::Wave;
use fleet_spec::{Code, rules::Problem};

use super::{
    super::{Input, candidates::Candidate},
    are, moving, named, problem, wave_path,
};
use crate::rollout::{
    amounts::{self, as_members, of_members},
    twist::Twist,
};

/// Caps and minimums against the number of members.
pub(super) fn amounts(input: &Input<'_>, candidates: &[Candidate<'_>]) -> Vec<Problem> {
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
