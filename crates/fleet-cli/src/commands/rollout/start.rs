//! `fleet rollout start --plan FILE`: exactly the stored plan, or nothing.

use std::{fs, path::Path};

use fleet_api::{
    labels,
    v1alpha1::{Rollout, RolloutMember, Run},
};
use fleet_plan::rollout::plan::{
    API_VERSION, KIND, Moved, RolloutPlan, member_objects, moved, rollout_object,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{Api, PostParams};
use serde::Serialize;

use super::{confirmed, patch::set_run, world::World};
use crate::{
    cli::Format,
    error::{CliError, Exit, Result},
    hub::{Hub, failed},
    output::{
        Document,
        rollout::{count, plan::headline},
    },
    printer::plain,
    session::Session,
};

/// How many members are written at once.
const AT_ONCE: usize = 16;
/// How many things that have moved are named.
const NAMED: usize = 20;

/// What was started.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Started<'a> {
    rollout: &'a str,
    plan_hash: &'a str,
    /// How many members were written now; the rest was there already.
    created: usize,
    members: usize,
}

pub(crate) async fn run(session: &Session, path: &Path, yes: bool, format: Format) -> Result<Exit> {
    let plan = read(path)?;
    let hub = session.hub().await?;
    let world = World::read(session, &hub).await?;
    let rollouts: Api<Rollout> = Api::all(hub.client.clone());
    let existing = rollouts
        .get_opt(&plan.name)
        .await
        .map_err(|error| failed(&format!("rollout `{}` cannot be read", plan.name), &error))?;
    if let Some(existing) = &existing {
        same_plan(existing, &plan)?;
    }
    let begun = existing.as_ref().is_some_and(|rollout| rollout.spec.run != Run::Planned);
    if !begun {
        let input = world.input(&plan.name, &plan.strategy, None, session.now());
        let moved = moved(&plan, &input);
        if !moved.is_empty() {
            return Err(refused(&moved));
        }
        session.printer.note(&format!("{}\n", headline(&plan)));
        if !yes {
            confirmed("start this rollout?", "the start has to be confirmed")?;
        }
    }
    let author = world.user.unwrap_or_default();
    let rollout = match existing {
        Some(rollout) => rollout,
        // Nothing moves before every member is there: a wave that lacks some could pass without them.
        None => create(&rollouts, &rollout_object(&plan, &author, Run::Planned)).await?,
    };
    let created = create_members(&hub, &plan, rollout.metadata.uid.as_deref().unwrap_or_default()).await?;
    if begun && created == 0 {
        session.printer.note(&format!("rollout {} was started already", plan.name));
    } else if !begun {
        set_run(&hub, &plan.name, Run::Running, None).await?;
    }
    let started =
        Started { rollout: &plan.name, plan_hash: &plan.hash, created, members: plan.members.len() };
    session.printer.value(
        format,
        &Document::new("RolloutStarted", &started),
        |_| format!("rollout/{} started with {}", plan.name, count(plan.members.len(), "member")),
        || vec![format!("rollout/{}", plan.name)],
    )?;
    session.printer.note(&format!("`fleet rollout status {} --watch` shows how far it is", plan.name));
    Ok(Exit::Done)
}

/// Reads a plan, which nobody may have edited.
fn read(path: &Path) -> Result<RolloutPlan> {
    let shown = path.display();
    let unusable = || CliError::usage(format!("`{shown}` is no plan that can be started"));
    let hint = "make one with `fleet rollout plan -f FILE --out PLAN`";
    let text = fs::read_to_string(path).map_err(|error| unusable().because(error))?;
    let plan: RolloutPlan =
        serde_yaml::from_str(&text).map_err(|error| unusable().because(error).hint(hint))?;
    if plan.kind != KIND || plan.api_version != API_VERSION {
        return Err(unusable()
            .because_text(format!("it is a {} of {}", plan.kind, plan.api_version))
            .hint(hint));
    }
    if !plan.is_intact() {
        return Err(CliError::no(format!(
            "`{shown}` was edited since it was made: its hash is that of another plan"
        ))
        .hint(format!("edit the rollout's file instead, and {hint}")));
    }
    Ok(plan)
}

/// Only the same plan may be completed under a name.
fn same_plan(existing: &Rollout, plan: &RolloutPlan) -> Result<()> {
    let name = &plan.name;
    if existing.spec.plan_hash != plan.hash {
        return Err(CliError::no(format!("there is a rollout `{name}` of another plan"))
            .hint("give this one another name in its file, and plan again"));
    }
    if existing.status.as_ref().is_some_and(|status| status.phase.is_over()) {
        return Err(CliError::no(format!("rollout `{name}` is over"))
            .hint("give the next one another name in its file, and plan again"));
    }
    Ok(())
}

fn refused(moved: &[Moved]) -> CliError {
    let mut error = CliError::no("the fleet has moved since the plan was made, so nothing was started");
    for one in moved.iter().take(NAMED) {
        error = error.because_text(plain(&format!("{} {}", one.subject, one.what)));
    }
    if moved.len() > NAMED {
        error = error.because_text(format!("and {} more", moved.len() - NAMED));
    }
    error.hint("plan again with `fleet rollout plan -f FILE --out PLAN`")
}

fn created() -> PostParams {
    PostParams { field_manager: Some(labels::CLI_MANAGER.to_owned()), ..PostParams::default() }
}

async fn create(rollouts: &Api<Rollout>, rollout: &Rollout) -> Result<Rollout> {
    let name = rollout.metadata.name.as_deref().unwrap_or_default();
    rollouts
        .create(&created(), rollout)
        .await
        .map_err(|error| failed(&format!("rollout `{name}` cannot be created"), &error))
}

/// Writes the members that are not there yet, and says how many there were.
async fn create_members(hub: &Hub, plan: &RolloutPlan, rollout_uid: &str) -> Result<usize> {
    let members: Api<RolloutMember> = Api::all(hub.client.clone());
    let objects: Vec<RolloutMember> = member_objects(plan, rollout_uid).collect();
    let written = stream::iter(&objects).map(|object| create_member(&members, object, rollout_uid));
    let written: Vec<bool> = written.buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(written.into_iter().filter(|new| *new).count())
}

/// Writes a member, unless it is there: true when it was not.
async fn create_member(
    members: &Api<RolloutMember>,
    object: &RolloutMember,
    rollout_uid: &str,
) -> Result<bool> {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let message = format!("member `{name}` cannot be created");
    match members.create(&created(), object).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let there = members.get(name).await.map_err(|error| failed(&message, &error))?;
            let owners = there.metadata.owner_references.as_deref().unwrap_or_default();
            if owners.iter().any(|owner| owner.uid == rollout_uid) {
                return Ok(false);
            }
            Err(CliError::remote(message)
                .because_text("one of an earlier rollout of the same name is still being deleted".to_owned())
                .hint("try again in a moment"))
        }
        Err(error) => Err(failed(&message, &error)),
    }
}
