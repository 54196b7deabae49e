//! `fleet plan`: what applying a spec would change, and what would follow.

use std::fs;

use fleet_plan::diff::{DiffOptions, diff, marked};
use fleet_spec::ValidatedFleet;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::receipt;
use crate::{
    cli::PlanArguments,
    error::{CliError, Exit, Result},
    foresight::foresee,
    hub::{self, Hub},
    output::{Document, plan::Plan},
    printer,
    session::Session,
    spec,
};

pub(crate) async fn run(session: &Session, arguments: &PlanArguments) -> Result<Exit> {
    let PlanArguments { spec, prune, exit_code, out, output } = arguments;
    let hub = session.hub().await?;
    let plan = make(session, &hub, &spec.files, session.day(spec.on), *prune).await?;
    let document = Document::new("Plan", &plan);
    if let Some(path) = out {
        let text = printer::json(&document)?;
        fs::write(path, text).map_err(|error| {
            CliError::usage(format!("the plan cannot be written to `{}`", path.display())).because(error)
        })?;
        session
            .printer
            .note(&format!("apply exactly this plan with `fleet apply --plan {}`", path.display()));
    }
    session.printer.value(output.output, &document, |_| plan.to_text(), || plan.names())?;
    let differs = !plan.diff.changes.is_empty();
    Ok(if *exit_code && differs { Exit::No } else { Exit::Done })
}

/// Reads the spec and the management cluster, and compares them.
pub(crate) async fn make(
    session: &Session,
    hub: &Hub,
    files: &[std::path::PathBuf],
    today: fleet_api::text::Day,
    prune: bool,
) -> Result<Plan> {
    let inventory = hub.inventory(&session.printer).await?;
    let have = hub::as_spec(&inventory);
    // What a pruning apply takes away is nothing to refer to.
    let beside = (!prune).then_some(&have);
    let wanted = marked(spec::read(&session.printer, files, today, beside)?);
    let now = session.now();
    let options = DiffOptions { prune, recent_deletions: recent_deletions(hub, now).await?, now };
    let diff = diff(&wanted, &have, &options);
    let foreseen = foresee(&wanted, &inventory, now).await;
    let plan = Plan { made_at: now, prune, diff, foreseen, objects: objects(&wanted)? };
    Ok(plan)
}

/// Deletions within the last hour of which only the receipt is left.
pub(crate) async fn recent_deletions(hub: &Hub, now: Timestamp) -> Result<usize> {
    let receipts = receipt::read(hub, None).await?;
    let recent = receipts.iter().filter(|receipt| {
        receipt.finished_at.is_some() && now.duration_since(receipt.began_at) < SignedDuration::from_hours(1)
    });
    Ok(recent.count())
}

/// Every object of a spec as JSON, in the order in which it is applied.
fn objects(wanted: &ValidatedFleet) -> Result<Vec<Value>> {
    fn add<K: Serialize>(objects: &mut Vec<Value>, object: &K) -> Result<()> {
        let json = serde_json::to_value(object);
        objects.push(json.map_err(|error| CliError::remote("an object has no JSON form").because(error))?);
        Ok(())
    }
    let mut objects = Vec::new();
    if wanted.fleet_given {
        add(&mut objects, &wanted.fleet)?;
    }
    wanted.channels.values().try_for_each(|object| add(&mut objects, object))?;
    wanted.baselines.values().try_for_each(|object| add(&mut objects, object))?;
    wanted.classes.values().try_for_each(|object| add(&mut objects, object))?;
    wanted.exceptions.values().try_for_each(|object| add(&mut objects, object))?;
    wanted.tenants.values().try_for_each(|object| add(&mut objects, object))?;
    Ok(objects)
}
