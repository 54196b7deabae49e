//! The one rollout of a file, for whoever plans it.

use fleet_api::v1alpha1::RolloutStrategy;

use crate::{
    check::{locate, place_of, problem_of},
    field_path::{FieldPath, Segment},
    finding::{Code, Finding, Severity, any_error},
    input::about_file,
    load::Loaded,
    node::Mark,
    object::{self, Kind, Object, Typed},
    rules::Problem,
    text::escaped,
};

/// A rollout as its file says it.
#[derive(Debug)]
pub struct RolloutFile<'a> {
    /// Its name.
    pub name: String,
    /// What it does, without what is faulty and may be left out.
    pub strategy: RolloutStrategy,
    /// What is wrong with how it is written. With an error among them nothing of it may be started.
    pub findings: Vec<Finding>,
    loaded: &'a Loaded,
    document: usize,
    object: Object,
}

/// Reads the one rollout of an input. Objects of other kinds beside it are left alone; a document of no kind that is known
/// may have been meant as a rollout, and its faults are told. The rules are not asked here: whoever plans
/// it asks them, with the world at hand, also of a rollout that has findings, so that everything wrong comes at once.
///
/// # Errors
/// Everything that is wrong with an input that holds no one rollout that can be read.
pub fn rollout_file(loaded: &Loaded) -> Result<RolloutFile<'_>, Vec<Finding>> {
    let mut rollouts: Vec<(usize, Object)> = Vec::new();
    for (index, document) in loaded.documents.iter().enumerate() {
        let Some(source) = loaded.sources.get(document.source) else { continue };
        let object = object::read(&document.root, source);
        // Of a document that may have been meant as one, what is wrong with it is told.
        if object.kind == Some(Kind::Rollout) || (object.kind.is_none() && !is_somebody_elses(&object)) {
            rollouts.push((index, object));
        }
    }
    // One is planned at a time, and the others are told where the first is.
    let mut first = None;
    let mut findings = loaded.findings.clone();
    for (index, object) in &rollouts {
        let mut found = faults(loaded, *index, object);
        let document = loaded.documents.get(*index).filter(|_| object.kind == Some(Kind::Rollout));
        match (document, &first) {
            (Some(document), Some(first)) => {
                let message = "one Rollout is planned at a time, and this is another";
                let problem = Problem::error(Code::OneRollout, FieldPath::name(), message)
                    .hint(format!("keep it in a file of its own: the first is at {first}"));
                found.extend(locate(loaded, document, object, problem, None));
            }
            (Some(document), None) => first = Some(place_of(loaded, document)),
            (None, _) => {}
        }
        found.sort_by_key(|(_, at, finding)| (at.line, at.column, finding.code));
        findings.extend(found.into_iter().map(|(_, _, finding)| finding));
    }
    if let [(_, Object { typed: Some(Typed::Rollout(_)), .. })] = rollouts.as_slice()
        && let Some((document, mut object)) = rollouts.pop()
        && let Some(Typed::Rollout(draft)) = object.typed.take()
    {
        let name = object.name.clone().unwrap_or_default();
        return Ok(RolloutFile { name, strategy: draft.spec, findings, loaded, document, object });
    }
    if !any_error(&findings) {
        let hint = "name a file with an object of `kind: Rollout`";
        let message = "there is no Rollout to plan";
        findings.push(about_file(Code::NoObjects, message.to_owned(), Some(hint.to_owned())));
    }
    Err(findings)
}

fn faults(loaded: &Loaded, index: usize, object: &Object) -> Vec<(usize, Mark, Finding)> {
    let Some(document) = loaded.documents.get(index) else { return Vec::new() };
    let problems = object.faults.iter().map(problem_of);
    problems.filter_map(|(problem, at)| locate(loaded, document, object, problem, at)).collect()
}

/// Whether an object is of a kind that stands beside rollouts.
fn is_somebody_elses(object: &Object) -> bool {
    let others = [Code::ForeignObject, Code::MadeByController, Code::TenantsOwn];
    object.faults.iter().any(|fault| others.contains(&fault.code))
}

/// What is found of who belongs to which wave.
const ABOUT_MEMBERS: [Code; 4] = [Code::TwoWaves, Code::NoWave, Code::EmptyWave, Code::NothingToDo];

/// How far a field reaches into a selector of members: 0 for the whole of it, or for the waves as a whole; `None` for a field
/// that selects nobody.
fn depth_in_selector(path: &FieldPath) -> Option<usize> {
    let names = path.segments().iter().filter_map(|segment| match segment {
        Segment::Field(name) => Some(name.as_str()),
        Segment::Index(_) => None,
    });
    let names: Vec<&str> = names.collect();
    match names.as_slice() {
        ["spec", "members", below @ ..] | ["spec", "waves", "selector", below @ ..] => Some(below.len()),
        ["spec", "waves"] => Some(0),
        _ => None,
    }
}

impl RolloutFile<'_> {
    /// What was found when it was read, and problems of the rollout as findings with their places, in the order of the
    /// file. What a rule says of a field that was left out for a fault is only an echo.
    pub fn located(&self, problems: Vec<Problem>) -> Vec<Finding> {
        let Some(document) = self.loaded.documents.get(self.document) else { return Vec::new() };
        let errors = || self.object.faults.iter().filter(|fault| fault.severity == Severity::Error);
        let echo = |problem: &Problem| errors().any(|fault| fault.path.touches(&problem.path));
        // A selector that is not written as it was meant says nothing of who belongs where. One that names somebody who is
        // not there does; and what is said of members stands at the selector as a whole.
        let unread = errors().any(|fault| depth_in_selector(&fault.path).is_some());
        let unsound = |problem: &Problem| {
            problem.severity == Severity::Error
                && problem.code != Code::DanglingReference
                && depth_in_selector(&problem.path).is_some_and(|depth| depth > 0)
        };
        let blurred = unread || problems.iter().any(unsound);
        let echo = |problem: &Problem| echo(problem) || (blurred && ABOUT_MEMBERS.contains(&problem.code));
        let escape = |problem: Problem| Problem {
            message: escaped(problem.message),
            hint: problem.hint.map(escaped),
            ..problem
        };
        let mut located: Vec<_> = problems
            .into_iter()
            .filter(|problem| !echo(problem))
            .filter_map(|problem| locate(self.loaded, document, &self.object, escape(problem), None))
            .collect();
        located.extend(faults(self.loaded, self.document, &self.object));
        located.sort_by_key(|(source, at, finding)| (*source, at.line, at.column, finding.code));
        let located = located.into_iter().map(|(_, _, finding)| finding);
        self.loaded.findings.iter().cloned().chain(located).collect()
    }
}
