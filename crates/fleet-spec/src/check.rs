//! The whole spec judged: schema, rules, references; every finding at once.

use std::collections::{BTreeMap, BTreeSet};

use fleet_api::{text::Day, v1alpha1::FleetSpec};

use crate::{
    field_path::FieldPath,
    finding::{Code, Finding, Severity, any_error},
    input::about_file,
    limits,
    load::{Document, Loaded},
    node::Mark,
    object::{self, Kind, Object, Typed},
    place,
    rules::{self, Problem, References},
    schema::Fault,
    text::{escaped, shown},
    validated::ValidatedFleet,
};

/// What a spec is judged by, beside itself.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The day on which it is judged.
    pub today: Day,
    /// The ids of the controls of the catalogue; without it, no id is judged.
    pub controls: Option<&'a BTreeSet<String>>,
    /// What exists beside the spec, such as what the management cluster has. References may lead there.
    pub beside: Option<&'a ValidatedFleet>,
}

impl Context<'_> {
    /// The spec judged on a day, by itself alone.
    pub const fn on(today: Day) -> Self {
        Self { today, controls: None, beside: None }
    }
}

/// A spec without errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The objects.
    pub fleet: ValidatedFleet,
    /// Warnings and notes.
    pub findings: Vec<Finding>,
}

/// Judges a spec. Errors come with the warnings and notes beside them, in the order of the files.
pub fn check(loaded: &Loaded, context: &Context<'_>) -> Result<Checked, Vec<Finding>> {
    let objects: Vec<Object> = loaded
        .documents
        .iter()
        .map(|document| match loaded.sources.get(document.source) {
            Some(source) => object::read(&document.root, source),
            None => Object { kind: None, name: None, typed: None, faults: Vec::new() },
        })
        .collect();
    let duplicates = duplicates(loaded, &objects);
    let problems = judge(loaded, &objects, context);

    let mut located: Vec<(usize, Mark, Finding)> = Vec::new();
    for ((document, object), duplicate) in loaded.documents.iter().zip(&objects).zip(duplicates) {
        let mut add = |problem: Problem, at: Option<Mark>| {
            located.extend(locate(loaded, document, object, problem, at));
        };
        for fault in &object.faults {
            let (problem, at) = problem_of(fault);
            add(problem, at);
        }
        if let Some(problem) = duplicate {
            add(problem, None);
        }
    }
    for (index, problem) in problems {
        if let (Some(document), Some(object)) = (loaded.documents.get(index), objects.get(index)) {
            located.extend(locate(loaded, document, object, problem, None));
        }
    }
    located.sort_by_key(|(source, at, finding)| (*source, at.line, at.column, finding.code));

    let mut findings = loaded.findings.clone();
    findings.extend(located.into_iter().map(|(_, _, finding)| finding));
    let fleet = collect(objects);
    findings.extend(about_the_whole(loaded, &fleet, &findings, context));
    findings.truncate(limits::FINDINGS);
    if any_error(&findings) { Err(findings) } else { Ok(Checked { fleet, findings }) }
}

/// A fault of an object's shape as a problem, with its place where it has one.
pub(crate) fn problem_of(fault: &Fault) -> (Problem, Option<Mark>) {
    let problem = Problem {
        severity: fault.severity,
        code: fault.code,
        path: fault.path.clone(),
        message: escaped(fault.message.clone()),
        hint: fault.hint.clone().map(escaped),
    };
    (problem, Some(fault.at).filter(|at| at.line > 0))
}

/// Where an object says its name, as `FILE:LINE`.
pub(crate) fn place_of(loaded: &Loaded, document: &Document) -> String {
    let file = loaded.sources.get(document.source).map(|source| source.name.clone()).unwrap_or_default();
    format!("{file}:{}", document.root.locate(&FieldPath::name()).line)
}

pub(crate) fn locate(
    loaded: &Loaded,
    document: &Document,
    object: &Object,
    problem: Problem,
    at: Option<Mark>,
) -> Option<(usize, Mark, Finding)> {
    let source = loaded.sources.get(document.source)?;
    let Problem { severity, code, path, message, hint } = problem;
    let at = at.unwrap_or_else(|| document.root.locate(&path));
    let mut finding = place::finding(source, at, severity, code, path, message);
    finding.hint = hint;
    finding.object = object.title();
    Some((document.source, at, finding))
}

/// For every object, the problem of having the kind and name of one before it.
fn duplicates(loaded: &Loaded, objects: &[Object]) -> Vec<Option<Problem>> {
    let mut first = BTreeMap::new();
    let mut seen = |object: &Object, document: &Document| {
        let (kind, name) = (object.kind?, object.name.as_deref()?);
        // There is one Fleet, whatever its name.
        let key = (kind, if kind == Kind::Fleet { String::new() } else { name.to_owned() });
        let Some(before) = first.get(&key) else {
            first.insert(key, place_of(loaded, document));
            return None;
        };
        let (code, message) = if kind == Kind::Fleet {
            (Code::OneFleet, "there is one Fleet, and this is another".to_owned())
        } else {
            (Code::DuplicateObject, format!("{} `{}` stands twice in the spec", kind.as_str(), shown(name)))
        };
        let problem = Problem::error(code, FieldPath::name(), message);
        Some(problem.hint(format!("keep one of the two: the first is at {before}")))
    };
    objects.iter().zip(&loaded.documents).map(|(object, document)| seen(object, document)).collect()
}

/// Runs the rules over every typed object; the result names the object by its index.
fn judge(loaded: &Loaded, objects: &[Object], context: &Context<'_>) -> Vec<(usize, Problem)> {
    let default_fleet = FleetSpec::default();
    let references = references(loaded, objects, context, &default_fleet);
    let mut problems = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        let found = match &object.typed {
            Some(Typed::Fleet(fleet)) => rules::fleet(fleet, &references),
            Some(Typed::Tenant(tenant)) => rules::tenant(tenant, &references),
            Some(Typed::TenantClass(class)) => rules::class(class, &references),
            Some(Typed::Baseline(baseline)) => rules::baseline(baseline),
            Some(Typed::VersionChannel(channel)) => rules::channel(channel, &references),
            Some(Typed::ControlException(exception)) => rules::exception(exception, &references),
            Some(Typed::Rollout(draft)) => {
                let name = object.name.as_deref().unwrap_or_default();
                let mut found = rules::rollout(name, &draft.spec, &references);
                found.push(left_alone());
                found
            }
            None => Vec::new(),
        };
        // What a rule says of a field that is faulty by itself, and was left out, is only an echo.
        let echo = |problem: &Problem| errors(object).any(|fault| fault.path.touches(&problem.path));
        problems.extend(found.into_iter().filter(|problem| !echo(problem)).map(|problem| (index, problem)));
    }
    problems
}

fn left_alone() -> Problem {
    Problem {
        severity: Severity::Info,
        code: Code::RolloutInSpec,
        path: FieldPath::root().field("kind"),
        message: "a Rollout is not applied with the spec".to_owned(),
        hint: Some("plan it with `fleet rollout plan -f FILE`".to_owned()),
    }
}

fn errors(object: &Object) -> impl Iterator<Item = &crate::schema::Fault> {
    object.faults.iter().filter(|fault| fault.severity == Severity::Error)
}

fn references<'a>(
    loaded: &'a Loaded,
    objects: &'a [Object],
    context: &Context<'a>,
    default_fleet: &'a FleetSpec,
) -> References<'a> {
    let sound = |object: &Object| errors(object).next().is_none();
    let given_fleet = objects.iter().find(|object| object.kind == Some(Kind::Fleet));
    let fleet = objects.iter().find_map(|object| match &object.typed {
        Some(Typed::Fleet(fleet)) => Some(&fleet.spec),
        _ => None,
    });
    let fleet = fleet.or_else(|| context.beside.map(|beside| &beside.fleet.spec)).unwrap_or(default_fleet);
    let mut references = References::new(context.today, fleet);
    references.controls = context.controls;
    if let Some(beside) = context.beside {
        references.tenants.extend(beside.tenants.iter().map(|(name, tenant)| (name.as_str(), Some(tenant))));
        references.classes.extend(beside.classes.iter().map(|(name, class)| (name.as_str(), Some(class))));
        references.baselines.extend(beside.baselines.iter().map(|(name, one)| (name.as_str(), Some(one))));
        references.channels.extend(beside.channels.iter().map(|(name, one)| (name.as_str(), Some(one))));
    }
    for object in objects {
        let (Some(kind), Some(name)) = (object.kind, object.name.as_deref()) else { continue };
        // An object with faults is there, and what it holds is not known for certain.
        let typed = object.typed.as_ref().filter(|_| sound(object));
        match (kind, typed) {
            (Kind::Tenant, Some(Typed::Tenant(tenant))) => {
                references.tenants.insert(name, Some(tenant));
            }
            (Kind::Tenant, _) => {
                references.tenants.insert(name, None);
            }
            (Kind::TenantClass, Some(Typed::TenantClass(class))) => {
                references.classes.insert(name, Some(class));
            }
            (Kind::TenantClass, _) => {
                references.classes.insert(name, None);
            }
            (Kind::Baseline, Some(Typed::Baseline(one))) => {
                references.baselines.insert(name, Some(one));
            }
            (Kind::Baseline, _) => {
                references.baselines.insert(name, None);
            }
            (Kind::VersionChannel, Some(Typed::VersionChannel(one))) => {
                references.channels.insert(name, Some(one));
            }
            (Kind::VersionChannel, _) => {
                references.channels.insert(name, None);
            }
            (Kind::Fleet | Kind::ControlException | Kind::Rollout, _) => {}
        }
    }
    let elsewhere = [Code::ForeignObject, Code::MadeByController, Code::TenantsOwn];
    let other = |object: &Object| errors(object).any(|fault| elsewhere.contains(&fault.code));
    let unknown = || objects.iter().filter(|object| object.kind.is_none() && !other(object));
    references.of_unknown_kind = unknown().filter_map(|object| object.name.as_deref()).collect();
    references.names_known =
        !any_error(&loaded.findings) && objects.iter().all(|object| object.name.is_some() || other(object));
    references.complete =
        references.names_known && unknown().next().is_none() && given_fleet.is_none_or(sound);
    references
}

/// Findings that belong to no file.
fn about_the_whole(
    loaded: &Loaded,
    fleet: &ValidatedFleet,
    findings: &[Finding],
    context: &Context<'_>,
) -> Vec<Finding> {
    let mut whole = Vec::new();
    if loaded.documents.is_empty() && !any_error(findings) {
        let hint = Some("name a file or folder with objects, or `-` for standard input".to_owned());
        whole.push(about_file(Code::NoObjects, "the spec holds no object".to_owned(), hint));
    } else if !fleet.fleet_given && context.beside.is_none() && !any_error(findings) {
        let message = "the spec has no Fleet: the defaults hold".to_owned();
        let hint = Some("add a Fleet named `fleet` for a default channel, freezes and brakes".to_owned());
        whole.push(Finding { severity: Severity::Info, ..about_file(Code::NoFleet, message, hint) });
    }
    whole
}

fn collect(objects: Vec<Object>) -> ValidatedFleet {
    let mut fleet = ValidatedFleet::default();
    for object in objects {
        let Some(name) = object.name else { continue };
        match object.typed {
            Some(Typed::Fleet(given)) => {
                fleet.fleet = given;
                fleet.fleet_given = true;
            }
            Some(Typed::Tenant(tenant)) => {
                fleet.tenants.insert(name, tenant);
            }
            Some(Typed::TenantClass(class)) => {
                fleet.classes.insert(name, class);
            }
            Some(Typed::Baseline(baseline)) => {
                fleet.baselines.insert(name, baseline);
            }
            Some(Typed::VersionChannel(channel)) => {
                fleet.channels.insert(name, channel);
            }
            Some(Typed::ControlException(exception)) => {
                fleet.exceptions.insert(name, exception);
            }
            // A rollout is planned and started; it is no part of what a fleet is.
            Some(Typed::Rollout(_)) | None => {}
        }
    }
    fleet
}
