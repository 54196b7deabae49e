//! The one rollout of a file, for whoever plans it.

use fleet_api::v1alpha1::RolloutStrategy;

use crate::{
    check::locate,
    field_path::FieldPath,
    finding::{Code, Finding, Severity, any_error},
    input::about_file,
    load::Loaded,
    object::{self, Kind, Object, Typed},
    rules::Problem,
    text::escaped,
};

/// A rollout as its file says it.
#[derive(Debug)]
pub struct RolloutFile<'a> {
    /// Its name.
    pub name: String,
    /// What it does.
    pub strategy: RolloutStrategy,
    loaded: &'a Loaded,
    document: usize,
    object: Object,
}

/// Reads the one rollout of an input. Other objects beside it are left alone. The rules are not asked here: whoever plans
/// it asks them, with the world at hand, and all at once.
///
/// # Errors
/// Everything that keeps it from being read.
pub fn rollout_file(loaded: &Loaded) -> Result<RolloutFile<'_>, Vec<Finding>> {
    let mut rollouts: Vec<(usize, Object)> = Vec::new();
    for (index, document) in loaded.documents.iter().enumerate() {
        let Some(source) = loaded.sources.get(document.source) else { continue };
        let object = object::read(&document.root, source);
        // A file of a single document that is no object of ours is told what is wrong with it.
        if object.kind == Some(Kind::Rollout) || (object.kind.is_none() && loaded.documents.len() == 1) {
            rollouts.push((index, object));
        }
    }
    let mut findings = loaded.findings.clone();
    for (index, object) in &rollouts {
        findings.extend(faults(loaded, *index, object));
    }
    let count = rollouts.len();
    if count != 1 && !any_error(&findings) {
        let (message, hint) = if count == 0 {
            ("there is no Rollout to plan", "name a file with an object of `kind: Rollout`")
        } else {
            ("there are several Rollouts, and one is planned at a time", "name the file of one of them")
        };
        findings.push(about_file(Code::NoObjects, message.to_owned(), Some(hint.to_owned())));
    }
    match rollouts.pop() {
        Some((document, mut object)) if !any_error(&findings) => {
            let name = object.name.clone().unwrap_or_default();
            match object.typed.take() {
                Some(Typed::Rollout(draft)) => {
                    Ok(RolloutFile { name, strategy: draft.spec, loaded, document, object })
                }
                _ => Err(findings),
            }
        }
        _ => Err(findings),
    }
}

fn faults(loaded: &Loaded, index: usize, object: &Object) -> Vec<Finding> {
    let Some(document) = loaded.documents.get(index) else { return Vec::new() };
    let found = object.faults.iter().filter_map(|fault| {
        let problem = Problem {
            severity: fault.severity,
            code: fault.code,
            path: fault.path.clone(),
            message: escaped(fault.message.clone()),
            hint: fault.hint.clone().map(escaped),
        };
        locate(loaded, document, object, problem, Some(fault.at).filter(|at| at.line > 0))
    });
    found.map(|(_, _, finding)| finding).collect()
}

impl RolloutFile<'_> {
    /// Problems of the rollout as findings with their places, in the order of the file.
    pub fn located(&self, problems: Vec<Problem>) -> Vec<Finding> {
        let Some(document) = self.loaded.documents.get(self.document) else { return Vec::new() };
        let escape = |problem: Problem| Problem {
            message: escaped(problem.message),
            hint: problem.hint.map(escaped),
            ..problem
        };
        let mut located: Vec<_> = problems
            .into_iter()
            .filter_map(|problem| locate(self.loaded, document, &self.object, escape(problem), None))
            .collect();
        located.sort_by_key(|(source, at, finding)| (*source, at.line, at.column, finding.code));
        located.into_iter().map(|(_, _, finding)| finding).collect()
    }

    /// The finding of a rollout that is about none of its fields.
    pub fn about_all(&self, code: Code, message: String, hint: Option<String>) -> Vec<Finding> {
        self.located(vec![Problem {
            severity: Severity::Error,
            code,
            path: FieldPath::name(),
            message,
            hint,
        }])
    }
}
