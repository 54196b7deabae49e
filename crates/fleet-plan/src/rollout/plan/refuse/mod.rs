//! What is wrong with a rollout before any slot is looked for, all of it at once.

mod amounts;
mod conditions;
mod members;
mod target;
mod times;
mod votes;

use fleet_api::text::Day;
use fleet_spec::{
    Code, FieldPath, Severity,
    rules::{self, Problem, References},
};
use jiff::tz::TimeZone;

pub(super) use times::support_ends;

use super::{
    Input,
    candidates::{Candidate, Errand, Found},
};

/// How many members a problem names.
const NAMED: usize = 8;

/// Everything that is wrong with a rollout, in the world as it is.
pub(super) fn problems(input: &Input<'_>, found: &Found<'_>) -> Vec<Problem> {
    let mut problems = rules::rollout(input.name, input.strategy, &references(input));
    problems.extend(votes::votes(input));
    problems.extend(target::target(input, &found.candidates));
    problems.extend(members::membership(input, found));
    problems.extend(members::taken(input, &found.candidates));
    problems.extend(members::pinned(&found.candidates));
    // An amount that is none by itself is told so once.
    let told: Vec<FieldPath> = problems.iter().map(|problem| problem.path.clone()).collect();
    let amounts = amounts::amounts(input, &found.candidates);
    problems.extend(amounts.into_iter().filter(|problem| !told.contains(&problem.path)));
    problems.extend(times::times(input, &found.candidates));
    problems.extend(conditions::conditions(input, &found.candidates));
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

/// The members of a wave that move.
fn moving<'c, 'a>(
    candidates: &'c [Candidate<'a>],
    wave: usize,
) -> impl Iterator<Item = &'c Candidate<'a>> + use<'c, 'a> {
    candidates
        .iter()
        .filter(move |one| one.waves.first() == Some(&wave) && matches!(one.errand, Errand::Move { .. }))
}
