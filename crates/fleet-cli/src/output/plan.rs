//! A plan: what applying a spec changes, and what follows from it.

use fleet_plan::diff::{Brake, Change, ChangeAction, Diff, FieldChange};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cut;
use crate::printer::{Tone, plain, toned};

/// A plan, complete enough to be applied later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plan {
    /// When it was made.
    pub(crate) made_at: Timestamp,
    /// Whether objects that the spec no longer has are deleted.
    pub(crate) prune: bool,
    /// What differs.
    pub(crate) diff: Diff,
    /// What the controller is going to do about it, by tenant.
    pub(crate) foreseen: Vec<Foreseen>,
    /// Every object of the spec, as it is applied.
    pub(crate) objects: Vec<Value>,
}

/// What the controller is going to do for one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Foreseen {
    pub(crate) tenant: String,
    /// The steps, in order.
    pub(crate) steps: Vec<ForeseenStep>,
    /// What is worth knowing, or in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

/// One step to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ForeseenStep {
    /// The step's id, as status and events write it; `baseline` for what the baseline engine does.
    pub(crate) id: String,
    pub(crate) summary: String,
    /// Whether workloads may notice: then it waits for a window.
    pub(crate) disruptive: bool,
    pub(crate) expected_minutes: i64,
    /// For a step that waits for a window that is shut now: when that opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_before: Option<Timestamp>,
}

impl Plan {
    /// The plan for people.
    pub(crate) fn to_text(&self) -> String {
        let mut lines = Vec::new();
        for change in &self.diff.changes {
            lines.extend(change_lines(change));
        }
        if !lines.is_empty() {
            lines.push(String::new());
        }
        for foreseen in
            self.foreseen.iter().filter(|foreseen| !foreseen.steps.is_empty() || !foreseen.notes.is_empty())
        {
            lines.extend(foreseen_lines(foreseen));
            lines.push(String::new());
        }
        lines.push(summary(&self.diff));
        if let Some(brake) = &self.diff.brake {
            lines.push(toned(brake_text(brake), Tone::Bad));
        }
        lines.join("\n")
    }

    /// The objects that differ, as `kind/name`.
    pub(crate) fn names(&self) -> Vec<String> {
        self.diff
            .changes
            .iter()
            .map(|change| format!("{}/{}", change.kind.to_lowercase(), change.name))
            .collect()
    }
}

/// `2 to create, 1 to change, 9 unchanged`.
pub(crate) fn summary(diff: &Diff) -> String {
    let mut parts = Vec::new();
    let mut part = |count: usize, word: &str| {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    };
    part(diff.count(|action| *action == ChangeAction::Create), "to create");
    part(diff.count(|action| *action == ChangeAction::Change), "to change");
    part(diff.count(|action| *action == ChangeAction::Delete), "to delete");
    part(diff.count(|action| matches!(action, ChangeAction::Blocked { .. })), "blocked");
    part(diff.unchanged, "unchanged");
    if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") }
}

/// Why the brake holds, in one sentence.
pub(crate) fn brake_text(brake: &Brake) -> String {
    let Brake { allowed, recent, tenants } = brake;
    let so_far = match recent {
        0 => String::new(),
        recent => format!(", after {recent} within the last hour"),
    };
    let counted = match tenants.len() {
        1 => "1 tenant".to_owned(),
        count => format!("{count} tenants"),
    };
    format!(
        "the brake holds: {} would be deleted{so_far}, and {allowed} an hour are allowed: {}",
        counted,
        tenants.join(", ")
    )
}

fn change_lines(change: &Change) -> Vec<String> {
    let title = format!("{} {}", change.kind, change.name);
    match &change.action {
        ChangeAction::Create => vec![toned(format!("+ {title}"), Tone::Good)],
        ChangeAction::Delete => vec![toned(format!("- {title}"), Tone::Bad)],
        ChangeAction::Change => {
            let mut lines = vec![toned(format!("~ {title}"), Tone::Busy)];
            lines.extend(change.fields.iter().map(field_line));
            lines
        }
        ChangeAction::Blocked { why, hint } => {
            let mut lines = vec![format!("{}: {why}", toned(format!("! {title}"), Tone::Bad))];
            lines.extend(change.fields.iter().map(field_line));
            lines.push(format!("    {} {hint}", toned("hint:", Tone::Busy)));
            lines
        }
    }
}

fn field_line(field: &FieldChange) -> String {
    let FieldChange { path, old, new } = field;
    let text = |value: &Value| cut(&plain(&value.to_string()), 60);
    let path = plain(path);
    match (old, new) {
        (Some(old), Some(new)) => format!("    {path}: {} -> {}", text(old), text(new)),
        (None, Some(new)) => format!("    {path}: + {}", text(new)),
        (Some(old), None) => format!("    {path}: - {}", text(old)),
        (None, None) => format!("    {path}"),
    }
}

fn foreseen_lines(foreseen: &Foreseen) -> Vec<String> {
    let Foreseen { tenant, steps, notes } = foreseen;
    let minutes: i64 = steps.iter().map(|step| step.expected_minutes).sum();
    let what = match steps.len() {
        0 => "nothing follows yet".to_owned(),
        1 => format!("then 1 step, about {minutes} min"),
        count => format!("then {count} steps, about {minutes} min"),
    };
    let mut lines = vec![format!("{}: {what}", toned(tenant, Tone::Strong))];
    for step in steps {
        let mark = match step.not_before {
            Some(at) => format!(" (not before {at:.0})"),
            None if step.disruptive => " (in a window)".to_owned(),
            None => String::new(),
        };
        lines.push(format!("    {}{mark}", plain(&step.summary)));
    }
    lines.extend(notes.iter().map(|note| format!("    {} {}", toned("note:", Tone::Faint), plain(note))));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn make_change(name: &str, action: ChangeAction, fields: Vec<FieldChange>) -> Change {
        Change {
            kind: "Tenant".to_owned(),
            name: name.to_owned(),
            action,
            uid: None,
            generation: None,
            fields,
        }
    }

    #[test]
    fn a_plan_marks_what_is_made_changed_deleted_and_blocked() {
        let upgrade = FieldChange {
            path: "spec.kubernetes.version".to_owned(),
            old: Some(json!("1.35")),
            new: Some(json!("1.36")),
        };
        let plan = Plan {
            made_at: Timestamp::UNIX_EPOCH,
            prune: true,
            diff: Diff {
                changes: vec![
                    make_change("acme", ChangeAction::Create, Vec::new()),
                    make_change("initech", ChangeAction::Change, vec![upgrade]),
                    make_change("old", ChangeAction::Delete, Vec::new()),
                    make_change(
                        "mover",
                        ChangeAction::Blocked { why: "because".to_owned(), hint: "do this".to_owned() },
                        Vec::new(),
                    ),
                ],
                unchanged: 2,
                brake: Some(Brake { allowed: 0, recent: 1, tenants: vec!["old".to_owned()] }),
            },
            foreseen: vec![Foreseen {
                tenant: "initech".to_owned(),
                steps: vec![
                    ForeseenStep {
                        id: "update-version".to_owned(),
                        summary: "Upgrade the control plane to 1.36".to_owned(),
                        disruptive: true,
                        expected_minutes: 25,
                        not_before: None,
                    },
                    ForeseenStep {
                        id: "addon/coredns/update".to_owned(),
                        summary: "Update add-on coredns".to_owned(),
                        disruptive: true,
                        expected_minutes: 10,
                        not_before: "2026-11-24T21:00:00Z".parse().ok(),
                    },
                ],
                notes: Vec::new(),
            }],
            objects: Vec::new(),
        };
        let text = anstream::adapter::strip_str(&plan.to_text()).to_string();
        let expected = [
            "+ Tenant acme",
            "~ Tenant initech",
            "    spec.kubernetes.version: \"1.35\" -> \"1.36\"",
            "- Tenant old",
            "! Tenant mover: because",
            "    hint: do this",
            "",
            "initech: then 2 steps, about 35 min",
            "    Upgrade the control plane to 1.36 (in a window)",
            "    Update add-on coredns (not before 2026-11-24T21:00:00Z)",
            "",
            "1 to create, 1 to change, 1 to delete, 1 blocked, 2 unchanged",
            "the brake holds: 1 tenant would be deleted, after 1 within the last hour, and 0 an hour are allowed: old",
        ];
        assert_eq!(text, expected.join("\n"));
    }
}
