//! A rollout file: what can be said of it without knowing where its members are.

use fleet_api::{
    text::Minutes,
    v1alpha1::{AddonChoice, MemberSelector, RolloutStrategy, Wave},
};
use k8s_openapi::apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString};

use super::{
    Problem, References,
    channel::object_name,
    class::addon_version,
    gates::{gate, gate_names},
    unique::unique,
};
use crate::{
    field_path::FieldPath,
    finding::Code,
    metadata::{label_value, qualified_name},
    text::shown,
};

/// For how long EKS can roll a control plane back, in minutes: nodes that are held back longer save nothing.
const ROLLBACK: i64 = 7 * 24 * 60;
/// After how long a member may count as offline at the earliest, in minutes: a few looks have to be missing.
const OFFLINE_LEAST: i64 = 5;
/// The operators of label selectors.
const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];

/// The problems of a rollout that nobody has started.
pub fn rollout(name: &str, strategy: &RolloutStrategy, references: &References<'_>) -> Vec<Problem> {
    let RolloutStrategy {
        target,
        members,
        waves,
        on_failure: _,
        slots: _,
        hold_nodes,
        step_deadline: _,
        offline_after,
    } = strategy;
    let path = FieldPath::spec();
    let mut problems = object_name(name);
    let here = path.field("target");
    let targets = [
        ("kubernetes", target.kubernetes.is_some()),
        ("baseline", target.baseline.is_some()),
        ("addons", target.addons.is_some()),
    ];
    problems.extend(one_of(&here, "a rollout has one target", &targets));
    if let Some(baseline) = &target.baseline {
        let field = here.field("baseline");
        problems.extend(references.dangling("Baseline", baseline, &references.baselines, field));
    }
    if let Some(addons) = &target.addons {
        problems.extend(target_addons(addons, &here.field("addons")));
    }
    if let Some(hold) = hold_nodes {
        let moves_something_else =
            target.kubernetes.is_none() && (target.baseline.is_some() || target.addons.is_some());
        problems.extend(held(*hold, moves_something_else, path.field("holdNodes")));
    }
    if offline_after.0 < OFFLINE_LEAST {
        let message =
            format!("clusters are looked at once a minute, and would count as offline after {offline_after}");
        problems.push(
            Problem::error(Code::OutOfRange, path.field("offlineAfter"), message)
                .hint(format!("let at least `{}` pass", Minutes(OFFLINE_LEAST))),
        );
    }
    if let Some(members) = members {
        problems.extend(selector(members, &path.field("members"), references));
    }
    let list = path.field("waves");
    problems.extend(unique(waves, &list, "wave", |wave| &wave.name));
    problems.extend(gate_names(waves, &list));
    for (index, one) in waves.iter().enumerate() {
        problems.extend(wave(one, &list.index(index), references));
    }
    problems
}

/// Whether any member has an add-on of the name is for whoever knows the members.
fn target_addons(addons: &[AddonChoice], path: &FieldPath) -> Vec<Problem> {
    let mut problems = unique(addons, path, "add-on", |addon| &addon.name);
    for (index, addon) in addons.iter().enumerate() {
        let version = addon.version.as_deref();
        problems.extend(version.and_then(|one| addon_version(one, path.index(index).field("version"))));
    }
    problems
}

/// A target that is missing, or could not be read, may well have been a minor.
fn held(hold: Minutes, moves_something_else: bool, path: FieldPath) -> Option<Problem> {
    if moves_something_else {
        let message = "nodes are held back only when the target is a Kubernetes minor";
        return Some(Problem::error(Code::InvalidValue, path, message).hint("take `holdNodes` away"));
    }
    (hold.0 > ROLLBACK).then(|| {
        let message = format!("nodes are held back for {hold}, and EKS can be rolled back for 168h");
        Problem::error(Code::OutOfRange, path, message).hint("hold them back for at most `168h`")
    })
}

/// The problem of several fields of which exactly one may be given.
pub(super) fn one_of(path: &FieldPath, rule: &str, fields: &[(&str, bool)]) -> Option<Problem> {
    let given: Vec<&str> = fields.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    let names = fields.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match given.as_slice() {
        [_] => None,
        [] => Some(
            Problem::error(Code::OneOf, path.clone(), format!("{rule}, and none is given"))
                .hint(format!("give one of {names}")),
        ),
        [_, second, ..] => Some(
            Problem::error(
                Code::OneOf,
                path.field(*second),
                format!("{rule}, and {} are given", given.len()),
            )
            .hint(format!("keep one of {names}")),
        ),
    }
}

fn selector(selector: &MemberSelector, path: &FieldPath, references: &References<'_>) -> Vec<Problem> {
    let MemberSelector { labels, classes, tenants } = selector;
    let mut problems = Vec::new();
    for (index, class) in classes.iter().flatten().enumerate() {
        let here = path.field("classes").index(index);
        problems.extend(references.dangling("TenantClass", class, &references.classes, here));
    }
    for (index, tenant) in tenants.iter().flatten().enumerate() {
        let here = path.field("tenants").index(index);
        problems.extend(references.dangling("Tenant", tenant, &references.tenants, here));
    }
    let LabelSelector { match_labels, match_expressions } = match labels {
        Some(labels) => labels,
        None => return problems,
    };
    for (key, value) in match_labels.iter().flatten() {
        let here = path.field("labels").field("matchLabels").field(key);
        problems.extend(label(key, [value.as_str()], &here));
    }
    for (index, one) in match_expressions.iter().flatten().enumerate() {
        let here = path.field("labels").field("matchExpressions").index(index);
        problems.extend(label(&one.key, one.values.iter().flatten().map(String::as_str), &here.field("key")));
        let values = one.values.as_ref().is_some_and(|values| !values.is_empty());
        let takes_values = matches!(one.operator.as_str(), "In" | "NotIn");
        if !OPERATORS.contains(&one.operator.as_str()) {
            problems.push(
                Problem::error(
                    Code::InvalidValue,
                    here.field("operator"),
                    format!("there is no operator `{}`", shown(&one.operator)),
                )
                .hint(format!("it is one of {}", OPERATORS.join(", "))),
            );
        } else if takes_values != values {
            let (message, hint) = if takes_values {
                (format!("`{}` needs `values`", one.operator), "list the values")
            } else {
                (format!("`{}` takes no `values`", one.operator), "take `values` away")
            };
            problems.push(Problem::error(Code::InvalidValue, here.field("values"), message).hint(hint));
        }
    }
    problems
}

/// The problem of a label that no tenant can have.
fn label<'a>(key: &str, values: impl IntoIterator<Item = &'a str>, path: &FieldPath) -> Option<Problem> {
    let refuse = |what: &str, text: &str, why: &str| {
        let message = format!("no tenant can have the {what} `{}`: {why}", shown(text));
        Problem::error(Code::InvalidName, path.clone(), message)
            .hint("`fleet get tenants -o yaml` shows the labels that tenants have")
    };
    if let Err(why) = qualified_name(key) {
        return Some(refuse("label", key, why));
    }
    values.into_iter().find_map(|value| {
        label_value(value).err().map(|why| refuse(&format!("value of the label {key}"), value, why))
    })
}

fn wave(wave: &Wave, path: &FieldPath, references: &References<'_>) -> Vec<Problem> {
    let Wave {
        name: _,
        selector: which,
        max_concurrent,
        max_failures,
        min_successes,
        soak: _,
        before,
        after,
    } = wave;
    let mut problems = selector(which, &path.field("selector"), references);
    problems.extend(amount("maxConcurrent", max_concurrent, 1, path));
    problems.extend(amount("maxFailures", max_failures, 0, path));
    problems.extend(min_successes.as_ref().and_then(|least| amount("minSuccesses", least, 1, path)));
    for (field, gates) in [("before", before), ("after", after)] {
        for (index, one) in gates.iter().enumerate() {
            problems.extend(gate(one, &path.field(field).index(index), references));
        }
    }
    problems
}

/// The problem of an amount that is no number of at least `least`, and no percentage from `least` to 100.
fn amount(field: &str, amount: &IntOrString, least: i32, wave: &FieldPath) -> Option<Problem> {
    let path = wave.field(field);
    let hint = format!("write a number of at least {least}, or a percentage such as `25%`");
    match amount {
        IntOrString::Int(number) if *number >= least => None,
        IntOrString::Int(number) => {
            Some(Problem::error(Code::OutOfRange, path, format!("`{field}` cannot be {number}")).hint(hint))
        }
        IntOrString::String(text) => {
            let percent = text.strip_suffix('%').and_then(|digits| digits.parse::<i32>().ok());
            match percent {
                Some(percent) if (least..=100).contains(&percent) => None,
                _ => {
                    let message =
                        format!("`{}` is no number and no percentage from {least}% to 100%", shown(text));
                    let quoted = text.parse::<i32>().is_ok_and(|number| number >= least);
                    let hint = if quoted { format!("take the quotes away: `{field}: {text}`") } else { hint };
                    Some(Problem::error(Code::InvalidValue, path, message).hint(hint))
                }
            }
        }
    }
}
