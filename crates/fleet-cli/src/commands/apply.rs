//! `fleet apply`: check, plan, confirm, write, and wait if asked to.

use std::{fs, path::Path};

use fleet_api::labels;
use fleet_exec::hub::{self as exec, ApplyOptions, Change as Effect, apply_all};
use fleet_plan::diff::{Brake, ChangeAction, Diff, DiffOptions, diff};
use fleet_spec::{Context, Input, check, load};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    confirm::confirmed,
    plan,
    wait::{Goal, wait},
};
use crate::{
    cli::{ApplyArguments, Format},
    error::{CliError, Exit, Result},
    hub::{self, Hub, hub_failed},
    output::{
        Document, cut,
        plan::{Plan, brake_text, summary},
    },
    printer::{Tone, table, toned},
    session::Session,
};

/// What was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Applied {
    objects: Vec<Done>,
    unchanged: usize,
}

/// What was done to one object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    kind: String,
    name: String,
    /// `created`, `changed`, `unchanged`, `deleted`, `blocked`, `skipped` or `failed`.
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

pub(crate) async fn run(session: &Session, arguments: &ApplyArguments) -> Result<Exit> {
    let ApplyArguments { files, plan: stored, yes, prune, force_conflicts, wait: waiting, output } =
        arguments;
    let hub = session.hub().await?;
    let plan = match stored {
        Some(path) => still_true(session, &hub, read_plan(path)?).await?,
        None => plan::make(session, &hub, files, session.day(None), *prune).await?,
    };
    let tenants = plan.tenants();
    let mut exit = Exit::Done;
    if plan.diff.changes.is_empty() {
        session.printer.note(&format!("nothing to change: {}", summary(&plan.diff)));
        print(session, &Applied { objects: Vec::new(), unchanged: plan.diff.unchanged }, output.output)?;
    } else {
        session.printer.note(&format!("{}\n", plan.to_text()));
        if let Some(brake) = &plan.diff.brake {
            return Err(braked(brake));
        }
        if !plan.diff.is_empty() && !yes {
            confirmed("apply these changes?", "the changes have to be confirmed")?;
        }
        let (applied, failure) = carry_out(&hub, &plan, *force_conflicts).await;
        print(session, &applied, output.output)?;
        if let Some(failure) = failure {
            return Err(failure);
        }
        if applied.objects.iter().any(|done| done.result == "blocked") {
            exit = Exit::No;
        }
    }
    if waiting.wait {
        wait(session, &hub, &tenants, Goal::Ready, waiting.timeout).await?;
        let gone = plan.deleted_tenants();
        if !gone.is_empty() {
            wait(session, &hub, &gone, Goal::Gone, waiting.timeout).await?;
        }
    } else if !plan.diff.is_empty() {
        session.printer.note("the controller takes it from here: `fleet status --watch` shows how far it is");
    }
    Ok(exit)
}

fn braked(brake: &Brake) -> CliError {
    CliError::no(format!("{}; nothing was changed", brake_text(brake)))
        .hint("wait until earlier deletions are an hour old, delete in smaller groups, or one by one with `fleet delete TENANT`, which asks for each name")
        .hint("or raise `spec.brakes.maxDeletionsPerHour` of the Fleet, and apply that first without `--prune`")
}

/// Writes what differs, then deletes. Every failure is told; the first one decides how the command ends.
async fn carry_out(hub: &Hub, plan: &Plan, force: bool) -> (Applied, Option<CliError>) {
    let mut applied = Applied { objects: Vec::new(), unchanged: plan.diff.unchanged };
    let mut failure = None;
    let options = ApplyOptions { force, ..ApplyOptions::new(labels::CLI_MANAGER) };
    let wanted: Vec<Value> = plan.objects.iter().filter(|object| plan.writes(object)).cloned().collect();
    let results = apply_all(&hub.client, &wanted, &options).await;
    for (object, result) in wanted.iter().zip(results) {
        let (kind, name) = title_of(object);
        let (result, message) = match result {
            Ok(done) => (effect(done.change), None),
            Err(error) => {
                let mut error = hub_failed(error);
                if !force && error.is_conflict() {
                    error = error.hint("take the fields over with `--force-conflicts`");
                }
                let message = error.to_text_of_causes();
                failure.get_or_insert(error);
                ("failed", Some(message))
            }
        };
        applied.objects.push(Done { kind, name, result, message });
    }
    for change in &plan.diff.changes {
        let (result, message) = match &change.action {
            ChangeAction::Blocked { why, .. } => ("blocked", Some(why.clone())),
            ChangeAction::Delete if failure.is_some() => {
                ("skipped", Some("something before it failed".to_owned()))
            }
            ChangeAction::Delete => {
                match exec::delete(&hub.client, &change.kind, &change.name, change.uid.as_deref()).await {
                    Ok(()) => ("deleted", None),
                    Err(error) => {
                        let error = hub_failed(error);
                        let message = error.to_text_of_causes();
                        failure.get_or_insert(error);
                        ("failed", Some(message))
                    }
                }
            }
            ChangeAction::Create | ChangeAction::Change => continue,
        };
        applied.objects.push(Done { kind: change.kind.clone(), name: change.name.clone(), result, message });
    }
    (applied, failure)
}

const fn effect(change: Effect) -> &'static str {
    match change {
        Effect::Created => "created",
        Effect::Changed => "changed",
        Effect::Unchanged => "unchanged",
    }
}

fn title_of(object: &Value) -> (String, String) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("/kind"), text("/metadata/name"))
}

fn print(session: &Session, applied: &Applied, format: Format) -> Result<()> {
    let rows = || {
        applied.objects.iter().map(|done| {
            let tone = match done.result {
                "created" | "changed" | "deleted" => Tone::Good,
                "blocked" | "skipped" | "failed" => Tone::Bad,
                _ => Tone::Plain,
            };
            vec![
                done.kind.clone(),
                done.name.clone(),
                toned(done.result, tone),
                cut(done.message.as_deref().unwrap_or_default(), 120),
            ]
        })
    };
    session.printer.value(
        format,
        &Document::new("Applied", applied),
        |_| {
            if applied.objects.is_empty() {
                String::new()
            } else {
                table(&["kind", "name", "result", ""], rows().collect())
            }
        },
        || applied.objects.iter().map(|done| format!("{}/{}", done.kind.to_lowercase(), done.name)).collect(),
    )
}

impl Plan {
    /// The tenants of the spec.
    fn tenants(&self) -> Vec<String> {
        let titles = self.objects.iter().map(title_of);
        titles.filter(|(kind, _)| kind == "Tenant").map(|(_, name)| name).collect()
    }

    fn deleted_tenants(&self) -> Vec<String> {
        let deleted = self.diff.changes.iter().filter(|change| change.action == ChangeAction::Delete);
        deleted.filter(|change| change.kind == "Tenant").map(|change| change.name.clone()).collect()
    }

    /// Whether the object is made or changed by the plan.
    fn writes(&self, object: &Value) -> bool {
        let (kind, name) = title_of(object);
        self.diff.changes.iter().any(|change| {
            change.kind == kind
                && change.name == name
                && matches!(change.action, ChangeAction::Create | ChangeAction::Change)
        })
    }
}

/// A plan as it was stored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    api_version: String,
    kind: String,
    #[serde(flatten)]
    plan: Plan,
}

fn read_plan(path: &Path) -> Result<Plan> {
    let unusable = || CliError::usage(format!("`{}` is no plan that can be applied", path.display()));
    let text = fs::read_to_string(path).map_err(|error| unusable().because(error))?;
    let stored: Stored = serde_json::from_str(&text)
        .map_err(|error| unusable().because(error).hint("make one with `fleet plan -f SPEC --out FILE`"))?;
    if stored.kind != "Plan" || stored.api_version != crate::output::API_VERSION {
        return Err(unusable()
            .because(format!("it is a {} of {}", stored.kind, stored.api_version))
            .hint("make a new one with this version of fleet: `fleet plan -f SPEC --out FILE`"));
    }
    Ok(stored.plan)
}

/// Compares the stored plan's objects with the management cluster once more: the same differences, or no apply.
async fn still_true(session: &Session, hub: &Hub, plan: Plan) -> Result<Plan> {
    let have = hub::as_spec(&hub.inventory(&session.printer).await?);
    let text = serde_json::to_string(
        &serde_json::json!({"apiVersion": "v1", "kind": "List", "items": plan.objects}),
    )
    .map_err(|error| CliError::usage("the stored plan cannot be read").because(error))?;
    // A stored plan is judged again: the file may have been edited, and days have passed.
    let context =
        Context { today: session.day(None), controls: None, beside: (!plan.prune).then_some(&have) };
    let wanted = check(&load(&[Input::text("the stored plan", text)]), &context).map_err(|findings| {
        crate::spec::refuse(&session.printer, &findings);
        CliError::usage("the stored plan does not hold together any more").hint("make a new plan")
    })?;
    let wanted = fleet_plan::diff::marked(wanted.fleet);
    let now = session.now();
    let recent = plan::recent_deletions(hub, now).await?;
    let again: Diff = diff(&wanted, &have, &DiffOptions { prune: plan.prune, recent_deletions: recent, now });
    if again.changes == plan.diff.changes {
        return Ok(Plan { diff: again, ..plan });
    }
    let moved: Vec<String> = again
        .changes
        .iter()
        .filter(|change| !plan.diff.changes.contains(change))
        .chain(plan.diff.changes.iter().filter(|change| !again.changes.contains(change)))
        .map(|change| format!("{} {}", change.kind, change.name))
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    Err(CliError::no("the management cluster has moved since the plan was made, so nothing was changed")
        .because(format!("other than planned: {}", moved.join(", ")))
        .hint("make a new plan with `fleet plan -f SPEC --out FILE`"))
}
