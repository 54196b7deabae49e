//! `fleet rollout skip`, `retry` and `rollback`: what becomes of members.

use fleet_api::v1alpha1::{MemberState, Rollout, RolloutMember, RolloutMemberStatus, Run};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::{confirmed, patch, pick, steer};
use crate::{
    cli::{Format, rollout::Members},
    error::{CliError, Exit, Result},
    hub::Hub,
    output::{
        Document, Items,
        rollout::{count, moment},
    },
    printer::{plain, table},
    session::Session,
};

/// What was asked for a member.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    tenant: String,
    asked: &'static str,
    /// The state in which it was.
    state: MemberState,
}

fn status_of(member: &RolloutMember) -> RolloutMemberStatus {
    member.status.clone().unwrap_or_default()
}

pub(crate) async fn skip(session: &Session, arguments: &Members) -> Result<Exit> {
    let (hub, rollout, members) = read(session, arguments.rollout.as_deref(), &[Run::Running]).await?;
    let chosen = pick::of_tenants(&members, &arguments.tenants, pick::name_of(&rollout))?;
    for member in &chosen {
        let state = status_of(member).state;
        if state.is_moving() || state == MemberState::Succeeded {
            return Err(CliError::no(format!(
                "{} is {state:?}, and is no longer left out",
                member.spec.tenant
            ))
            .hint("a member can be skipped before it moves, or once it has failed"));
        }
    }
    for member in &chosen {
        patch::member(&hub, member, json!({"skip": true})).await?;
    }
    print(session, &chosen, "skipped", arguments.output.output)
}

pub(crate) async fn retry(session: &Session, arguments: &Members) -> Result<Exit> {
    // What could not go back is tried again also when everything else has ended.
    let tried = [Run::Running, Run::Paused, Run::RollingBack, Run::Aborted];
    let (hub, rollout, members) = read(session, arguments.rollout.as_deref(), &tried).await?;
    let chosen = pick::of_tenants(&members, &arguments.tenants, pick::name_of(&rollout))?;
    let aborted = rollout.spec.run == Run::Aborted;
    if aborted && !chosen.iter().all(|member| failed_back(member)) {
        return Err(steer::over(&rollout));
    }
    for member in &chosen {
        let state = status_of(member).state;
        if state != MemberState::Failed {
            return Err(CliError::no(format!(
                "{} is {state:?}: only a member that failed is tried again",
                member.spec.tenant
            ))
            .hint(format!("`fleet why {}` says what it waits for", member.spec.tenant)));
        }
    }
    let now = session.now().to_string();
    for member in &chosen {
        // After an abort only what somebody asked for goes back, and that is what is asked for here.
        let asked = if aborted { json!({"retry": now, "rollback": true}) } else { json!({"retry": now}) };
        patch::member(&hub, member, asked).await?;
    }
    print(session, &chosen, "tried again", arguments.output.output)
}

/// Which members are to go back.
pub(crate) struct Back<'a> {
    pub(crate) rollout: Option<&'a str>,
    pub(crate) wave: Option<&'a str>,
    pub(crate) tenants: &'a [String],
}

pub(crate) async fn rollback(session: &Session, back: &Back<'_>, yes: bool, format: Format) -> Result<Exit> {
    let hub = session.hub().await?;
    // What has moved stays when a rollout ends, in whatever way, and may go back for as long as EKS allows it.
    let rollout = pick::rollout_to_take_back(&hub, back.rollout).await?;
    let members = pick::members(&hub, pick::name_of(&rollout)).await?;
    let name = pick::name_of(&rollout).to_owned();
    let whole = back.wave.is_none() && back.tenants.is_empty();
    let chosen: Vec<&RolloutMember> = match back.wave {
        Some(wave) => {
            if !rollout.spec.waves.iter().any(|one| one.name == wave) {
                let waves: Vec<&str> = rollout.spec.waves.iter().map(|wave| wave.name.as_str()).collect();
                return Err(CliError::no(format!("rollout `{name}` has no wave `{wave}`"))
                    .hint(format!("its waves are {}", waves.join(", "))));
            }
            members.iter().filter(|member| member.spec.wave == wave).collect()
        }
        None if whole => members.iter().collect(),
        None => pick::of_tenants(&members, back.tenants, &name)?,
    };
    let now = session.now();
    let judged: Vec<(&RolloutMember, Option<String>)> = chosen
        .into_iter()
        .filter(|member| !back.tenants.is_empty() || has_moved(member))
        .map(|member| (member, hindrance(&rollout, member, now)))
        .collect();
    let (stuck, free): (Vec<_>, Vec<_>) = judged.into_iter().partition(|(_, why)| why.is_some());
    if !stuck.is_empty() {
        let rows = stuck
            .iter()
            .map(|(member, why)| vec![plain(&member.spec.tenant), plain(why.as_deref().unwrap_or_default())]);
        session.printer.note(&format!("{}\n", table(&["tenant", "stays, because"], rows.collect())));
    }
    let free: Vec<&RolloutMember> = free.into_iter().map(|(member, _)| member).collect();
    if free.is_empty() {
        return Err(CliError::no(format!("no member of rollout `{name}` can be rolled back"))
            .hint(format!("`fleet rollout status {name} -o wide` shows until when each of them can be")));
    }
    if !stuck.is_empty() && !back.tenants.is_empty() {
        return Err(CliError::no(
            "some of the tenants that you named cannot be rolled back; nothing was changed",
        )
        .hint("name the others alone"));
    }
    let rows = free.iter().map(|member| {
        let until = status_of(member).rollback_until.map_or_else(|| "-".to_owned(), |until| moment(until.0));
        vec![plain(&member.spec.tenant), plain(&member.spec.wave), member.spec.from.to_string(), until]
    });
    session
        .printer
        .note(&format!("{}\n", table(&["tenant", "wave", "back to", "possible until"], rows.collect())));
    if !yes {
        let question = format!("roll {} back?", count(free.len(), "member"));
        confirmed(&question, "a rollback has to be confirmed")?;
    }
    if whole {
        patch::set_run(&hub, &name, Run::RollingBack, steer::version(&rollout)).await?;
    } else {
        for member in &free {
            patch::member(&hub, member, json!({"rollback": true})).await?;
        }
    }
    print(session, &free, "rolled back", format)
}

/// A rollout with its members, unless it is over and was not told one of `also` when it ended.
async fn read(
    session: &Session,
    name: Option<&str>,
    also: &[Run],
) -> Result<(Hub, Rollout, Vec<RolloutMember>)> {
    let hub = session.hub().await?;
    let rollout = pick::rollout(&hub, name).await?;
    if pick::is_over(&rollout) && !also.contains(&rollout.spec.run) {
        return Err(steer::over(&rollout));
    }
    let members = pick::members(&hub, pick::name_of(&rollout)).await?;
    Ok((hub, rollout, members))
}

/// Whether a member has failed on its way back, from which it goes on only when it is tried again.
fn failed_back(member: &RolloutMember) -> bool {
    let status = status_of(member);
    status.state == MemberState::Failed && status.back_started_at.is_some()
}

/// Whether a member has left where it was.
fn has_moved(member: &RolloutMember) -> bool {
    let status = status_of(member);
    let gone_back = matches!(status.state, MemberState::RollingBack | MemberState::RolledBack);
    !gone_back && status.started_at.is_some()
}

/// Why a member cannot be rolled back, as far as it can be seen from here; the controller looks again before it acts.
fn hindrance(rollout: &Rollout, member: &RolloutMember, now: Timestamp) -> Option<String> {
    let status = status_of(member);
    if matches!(status.state, MemberState::RollingBack | MemberState::RolledBack) {
        return Some("it goes back already, or has gone".to_owned());
    }
    if status.started_at.is_none() {
        return Some("it has not moved".to_owned());
    }
    if failed_back(member) {
        let name = pick::name_of(rollout);
        return Some(format!(
            "its way back failed: let it be tried again with `fleet rollout retry {} --rollout {name}`",
            member.spec.tenant
        ));
    }
    let until = status.rollback_until.as_ref()?.0;
    let moves_minor = rollout.spec.target.kubernetes.is_some();
    (moves_minor && until <= now)
        .then(|| format!("EKS rolls back within 7 days, and they ended at {}", moment(until)))
}

fn print(session: &Session, members: &[&RolloutMember], asked: &'static str, format: Format) -> Result<Exit> {
    let items: Vec<Asked> = members
        .iter()
        .map(|member| Asked { tenant: member.spec.tenant.clone(), asked, state: status_of(member).state })
        .collect();
    let lines: Vec<String> =
        items.iter().map(|one| format!("{} is to be {asked}", plain(&one.tenant))).collect();
    let names: Vec<String> = items.iter().map(|one| format!("tenant/{}", one.tenant)).collect();
    session.printer.value(
        format,
        &Document::new("RolloutMembersAsked", Items { items }),
        |_| lines.join("\n"),
        || names,
    )?;
    Ok(Exit::Done)
}
