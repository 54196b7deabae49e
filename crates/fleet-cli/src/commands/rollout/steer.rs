//! `fleet rollout pause`, `resume` and `abort`: what a rollout should be doing.

use fleet_api::v1alpha1::{MemberState, Rollout, RolloutMember, RolloutPhase, Run};
use serde::Serialize;
use serde_json::json;

use super::{confirmed, patch, pick};
use crate::{
    cli::Format,
    error::{CliError, Exit, Result},
    hub::Hub,
    output::{Document, rollout::count},
    printer::{plain, table},
    session::Session,
};

/// What a rollout was told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Steered<'a> {
    rollout: &'a str,
    run: Run,
}

pub(crate) async fn pause(session: &Session, name: Option<&str>, format: Format) -> Result<Exit> {
    let hub = session.hub().await?;
    let rollout = pick::rollout(&hub, name).await?;
    steerable(&rollout)?;
    match rollout.spec.run {
        Run::Paused => session.printer.note("it is paused already"),
        Run::RollingBack => {
            return Err(CliError::no(format!("rollout `{}` is being rolled back", pick::name_of(&rollout)))
                .hint("what goes back has to arrive there; `fleet rollout status` shows how far it is"));
        }
        Run::Planned | Run::Running | Run::Aborted => {}
    }
    let rollout = patch::set_run(&hub, pick::name_of(&rollout), Run::Paused, version(&rollout)).await?;
    session.printer.note("nothing new begins; what runs is left to finish");
    print(session, &rollout, "paused", format)
}

pub(crate) async fn resume(
    session: &Session,
    name: Option<&str>,
    acknowledge: bool,
    format: Format,
) -> Result<Exit> {
    let hub = session.hub().await?;
    let rollout = pick::rollout(&hub, name).await?;
    steerable(&rollout)?;
    if rollout.spec.run == Run::RollingBack {
        return Err(CliError::no(format!("rollout `{}` is being rolled back", pick::name_of(&rollout)))
            .hint("plan another one once it is over"));
    }
    let failed = open_failures(&hub, pick::name_of(&rollout)).await?;
    if !failed.is_empty() {
        session.printer.note(&format!("{}\n", list(&failed)));
        if !acknowledge {
            return Err(CliError::no(format!(
                "rollout `{}` has {} that nobody has said to have looked at",
                pick::name_of(&rollout),
                count(failed.len(), "failure")
            ))
            .hint("try them again with `fleet rollout retry TENANT`, or leave them out with `fleet rollout skip TENANT`")
            .hint("or go on all the same with `fleet rollout resume --acknowledge-failures`"));
        }
        // What is noted is the failure that was shown: a member that has changed since is refused, and shown anew.
        for member in &failed {
            let attempt = member.status.as_ref().map(|status| status.attempt);
            patch::member(&hub, member, json!({ "acknowledged": attempt })).await?;
        }
    }
    let rollout = patch::set_run(&hub, pick::name_of(&rollout), Run::Running, version(&rollout)).await?;
    print(session, &rollout, "resumed", format)
}

pub(crate) async fn abort(session: &Session, name: Option<&str>, yes: bool, format: Format) -> Result<Exit> {
    let hub = session.hub().await?;
    let rollout = pick::rollout(&hub, name).await?;
    if pick::is_over(&rollout) {
        return Err(over(&rollout));
    }
    let shown = pick::name_of(&rollout);
    let counts = rollout.status.as_ref().map(|status| status.counts).unwrap_or_default();
    let moving = usize::try_from(counts.moving + counts.soaking).unwrap_or_default();
    session.printer.note(&format!(
        "rollout {shown}: nothing begins any more, ever; {} under way {} left to finish, and what has moved stays, \
         unless `fleet rollout rollback --rollout {shown}` takes it back",
        count(moving, "member"),
        if moving == 1 { "is" } else { "are" }
    ));
    if !yes {
        confirmed("abort this rollout?", "the end of a rollout has to be confirmed")?;
    }
    let rollout = patch::set_run(&hub, shown, Run::Aborted, version(&rollout)).await?;
    print(session, &rollout, "aborted", format)
}

/// The version that was looked at: somebody else's word in between is not overridden.
pub(super) fn version(rollout: &Rollout) -> Option<&str> {
    rollout.metadata.resource_version.as_deref()
}

pub(super) fn over(rollout: &Rollout) -> CliError {
    let phase = rollout.status.as_ref().map(|status| status.phase).unwrap_or_default();
    let name = pick::name_of(rollout);
    let message = if phase.is_over() {
        format!("rollout `{name}` is over: it is {phase:?}")
    } else {
        format!("rollout `{name}` was aborted, and is over once what runs has ended")
    };
    let over = CliError::no(message).hint("plan another one with `fleet rollout plan -f FILE`");
    if phase == RolloutPhase::RolledBack {
        return over;
    }
    over.hint(format!("or take back what it has moved: `fleet rollout rollback --rollout {name}`"))
}

/// A rollout that can still be paused and resumed.
fn steerable(rollout: &Rollout) -> Result<()> {
    if pick::is_over(rollout) || rollout.spec.run == Run::Aborted {
        return Err(over(rollout));
    }
    Ok(())
}

/// Members that count as failures, in the sense of the engine: failed, or on their way back, and nobody has said to have
/// looked at it.
async fn open_failures(hub: &Hub, rollout: &str) -> Result<Vec<RolloutMember>> {
    let mut members = pick::members(hub, rollout).await?;
    members.retain(|member| {
        let status = member.status.clone().unwrap_or_default();
        let fails =
            matches!(status.state, MemberState::Failed | MemberState::RollingBack | MemberState::RolledBack);
        fails && member.spec.acknowledged != Some(status.attempt)
    });
    Ok(members)
}

fn list(failed: &[RolloutMember]) -> String {
    let rows = failed.iter().map(|member| {
        let status = member.status.clone().unwrap_or_default();
        vec![
            plain(&member.spec.tenant),
            plain(&member.spec.wave),
            format!("{:?}", status.state),
            plain(&status.message),
        ]
    });
    table(&["tenant", "wave", "state", "what"], rows.collect())
}

pub(super) fn print(session: &Session, rollout: &Rollout, what: &str, format: Format) -> Result<Exit> {
    let name = pick::name_of(rollout);
    let steered = Steered { rollout: name, run: rollout.spec.run };
    session.printer.value(
        format,
        &Document::new("RolloutSteered", &steered),
        |_| format!("rollout/{name} {what}"),
        || vec![format!("rollout/{name}")],
    )?;
    if rollout.status.as_ref().is_some_and(|status| status.phase == RolloutPhase::Stopped)
        && what == "resumed"
    {
        session.printer.note("it stood still because of failures; the controller judges them anew");
    }
    Ok(Exit::Done)
}
