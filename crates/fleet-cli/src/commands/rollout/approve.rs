//! `fleet rollout approve`: one person's vote on one gate of the plan as it runs.

use fleet_api::{
    labels,
    names::content_hash,
    v1alpha1::{Approval, ApprovalGate, ApprovalSpec, Gate, GateStatus, Rollout},
};
use fleet_spec::nearest;
use jiff::Timestamp;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};

use super::{pick, steer, world};
use crate::{
    cli::Format,
    error::{CliError, Exit, Result},
    hub::{Hub, failed},
    output::{Document, rollout::moment},
    session::Session,
};

/// What is voted on, and how.
pub(crate) struct Vote<'a> {
    pub(crate) gate: &'a str,
    pub(crate) role: Option<&'a str>,
    pub(crate) comment: Option<&'a str>,
}

pub(crate) async fn run(
    session: &Session,
    name: Option<&str>,
    vote: &Vote<'_>,
    format: Format,
) -> Result<Exit> {
    let hub = session.hub().await?;
    let rollout = pick::rollout(&hub, name).await?;
    if pick::is_over(&rollout) {
        return Err(steer::over(&rollout));
    }
    let (gate, votes) = approval_of(&rollout, vote.gate)?;
    let user = world::user(&hub).await?;
    if user == rollout.spec.author {
        return Err(CliError::no(format!(
            "you started rollout `{}`, so you have no vote on it",
            pick::name_of(&rollout)
        ))
        .hint("ask somebody else who has the role"));
    }
    let role = role_of(votes, gate, vote.role)?;
    let since = can_open(&rollout, gate)?;
    let approval = approval(&rollout, gate, role, &user, vote.comment)?;
    let stored = store(&hub, &approval, votes, since, session.now()).await?;
    let ends = stored.metadata.creation_timestamp.as_ref();
    let ends = ends.and_then(|at| at.0.checked_add(votes.valid_for.to_duration()).ok());
    session.printer.value(
        format,
        &Document::new("Vote", &stored.spec),
        |_| format!("approval/{} given", stored.metadata.name.as_deref().unwrap_or_default()),
        || vec![format!("approval/{}", stored.metadata.name.as_deref().unwrap_or_default())],
    )?;
    if let Some(ends) = ends {
        session.printer.note(&format!("it counts until {}, for this plan alone", moment(ends)));
    }
    Ok(Exit::Done)
}

/// Every gate of a rollout.
fn gates(rollout: &Rollout) -> impl Iterator<Item = &Gate> {
    rollout.spec.waves.iter().flat_map(|wave| wave.before.iter().chain(&wave.after))
}

fn approval_of<'a>(rollout: &'a Rollout, name: &str) -> Result<(&'a Gate, &'a ApprovalGate)> {
    let Some(gate) = gates(rollout).find(|gate| gate.name == name) else {
        let error = CliError::no(format!("rollout `{}` has no gate `{name}`", pick::name_of(rollout)));
        let voted: Vec<&str> =
            gates(rollout).filter(|gate| gate.approval.is_some()).map(|gate| gate.name.as_str()).collect();
        return Err(match nearest(name, voted.iter().copied()) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None if voted.is_empty() => error.hint("none of its gates is opened by votes"),
            None => error.hint(format!("votes open {}", voted.join(", "))),
        });
    };
    match &gate.approval {
        Some(votes) => Ok((gate, votes)),
        None => Err(CliError::no(format!("gate `{name}` is not opened by votes"))
            .hint(format!("`fleet rollout status {}` shows what it waits for", pick::name_of(rollout)))),
    }
}

fn role_of<'a>(votes: &'a ApprovalGate, gate: &Gate, role: Option<&str>) -> Result<&'a str> {
    let roles = votes.roles.join(", ");
    match (role, votes.roles.as_slice()) {
        (None, [only]) => Ok(only),
        (None, _) => {
            Err(CliError::usage(format!("gate `{}` asks for votes in several roles: {roles}", gate.name))
                .hint("say in which you vote, with `--role NAME`"))
        }
        (Some(role), all) => all.iter().find(|one| *one == role).map(String::as_str).ok_or_else(|| {
            CliError::no(format!("gate `{}` does not ask for the role `{role}`", gate.name))
                .hint(format!("it asks for {roles}"))
        }),
    }
}

/// Since when a gate can open. A vote counts only from then on: before that it would be about another state of the fleet.
fn can_open(rollout: &Rollout, gate: &Gate) -> Result<Timestamp> {
    let waves = rollout.status.as_ref().map(|status| status.waves.as_slice()).unwrap_or_default();
    let status: Option<&GateStatus> =
        waves.iter().flat_map(|wave| &wave.gates).find(|status| status.name == gate.name);
    if let Some(opened) = status.and_then(|status| status.opened_at.as_ref()) {
        return Err(CliError::no(format!("gate `{}` is open since {}", gate.name, moment(opened.0)))
            .hint("no vote is needed any more"));
    }
    if let Some(since) = status.and_then(|status| status.openable_since.as_ref()) {
        return Ok(since.0);
    }
    let what = waits_for(rollout, gate);
    Err(CliError::no(format!("gate `{}` cannot open yet: {what}", gate.name))
        .hint("vote once it can: votes that are given before do not count"))
}

/// What has to come before a gate can open.
fn waits_for(rollout: &Rollout, gate: &Gate) -> String {
    let waves = &rollout.spec.waves;
    let passed = |name: &str| {
        let status = rollout.status.as_ref();
        status.is_some_and(|status| {
            status.waves.iter().any(|wave| wave.name == name && wave.passed_at.is_some())
        })
    };
    let own = waves
        .iter()
        .position(|wave| wave.before.iter().chain(&wave.after).any(|one| one.name == gate.name))
        .unwrap_or_default();
    if let Some(earlier) = waves.iter().take(own).find(|wave| !passed(&wave.name)) {
        return format!("wave {} has not passed", earlier.name);
    }
    match waves.get(own).filter(|wave| wave.after.iter().any(|one| one.name == gate.name)) {
        Some(wave) => format!("members of wave {} are not done", wave.name),
        None => "the controller has not looked at the rollout yet".to_owned(),
    }
}

fn approval(
    rollout: &Rollout,
    gate: &Gate,
    role: &str,
    user: &str,
    comment: Option<&str>,
) -> Result<Approval> {
    let spec = ApprovalSpec {
        rollout: pick::name_of(rollout).to_owned(),
        gate: gate.name.clone(),
        plan_hash: rollout.spec.plan_hash.clone(),
        role: role.to_owned(),
        approver: user.to_owned(),
        comment: comment.map(str::to_owned),
    };
    // One vote for each person, role and plan: the name is that of an earlier one.
    let who = content_hash(&(&spec.plan_hash, role, user))
        .map_err(|error| CliError::remote("the vote has no name").because(error))?;
    Ok(Approval::new(&format!("{}.{}.{who}", spec.rollout, spec.gate), spec))
}

/// Whether an earlier vote stands for the one that is given now. The engine judges by the same moments, in whole seconds,
/// as the management cluster stores them. A rollout of the same name from before is over before this gate can open.
fn still_counts(
    earlier: &Approval,
    vote: &ApprovalSpec,
    votes: &ApprovalGate,
    since: Timestamp,
    now: Timestamp,
) -> bool {
    let ApprovalSpec { rollout, gate, plan_hash, role, approver, comment: _ } = &earlier.spec;
    let same = [rollout, gate, plan_hash, role, approver]
        == [&vote.rollout, &vote.gate, &vote.plan_hash, &vote.role, &vote.approver];
    let given = earlier.metadata.creation_timestamp.as_ref().map(|at| at.0);
    let in_time = given.is_some_and(|at| at.as_second() >= since.as_second());
    let ends = given.and_then(|at| at.checked_add(votes.valid_for.to_duration()).ok());
    same && in_time && ends.is_some_and(|ends| ends > now)
}

async fn store(
    hub: &Hub,
    approval: &Approval,
    votes: &ApprovalGate,
    since: Timestamp,
    now: Timestamp,
) -> Result<Approval> {
    let api: Api<Approval> = Api::all(hub.client.clone());
    let name = approval.metadata.name.as_deref().unwrap_or_default();
    let params = PostParams { field_manager: Some(labels::CLI_MANAGER.to_owned()), ..PostParams::default() };
    let message = "the vote cannot be given";
    match api.create(&params, approval).await {
        Ok(stored) => return Ok(stored),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(error) => return Err(failed(message, &error)),
    }
    let earlier = api.get(name).await.map_err(|error| failed(message, &error))?;
    if still_counts(&earlier, &approval.spec, votes, since, now) {
        return Err(CliError::no("you have voted on this gate already, and your vote still counts")
            .hint(format!("take it back with `kubectl delete approval {name}` before you vote otherwise")));
    }
    // One that has expired, or was given before the gate could open, makes room for the new one.
    let precondition = DeleteParams::default()
        .preconditions(Preconditions { uid: earlier.metadata.uid.clone(), resource_version: None });
    api.delete(name, &precondition).await.map_err(|error| failed(message, &error))?;
    api.create(&params, approval).await.map_err(|error| failed(message, &error))
}

#[cfg(test)]
mod tests {
    use fleet_api::text::Minutes;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[test]
    fn an_earlier_vote_counts_from_when_the_gate_could_open_until_it_expires_and_for_its_plan_alone() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let spec = |plan: &str| ApprovalSpec {
            rollout: "up".to_owned(),
            gate: "sign-off".to_owned(),
            plan_hash: plan.to_owned(),
            role: "security".to_owned(),
            approver: "jane".to_owned(),
            comment: None,
        };
        let votes = ApprovalGate { required: 1, roles: vec!["security".to_owned()], valid_for: Minutes(60) };
        let mut earlier = Approval::new("v", spec("a"));
        earlier.metadata.creation_timestamp = Some(Time(at("2026-11-24T12:00:00Z")));
        let counts = |plan: &str, since: &str, now: &str| {
            still_counts(&earlier, &spec(plan), &votes, at(since), at(now))
        };
        let (since, now) = ("2026-11-24T11:00:00Z", "2026-11-24T12:30:00Z");
        assert!(counts("a", since, now));
        assert!(counts("a", "2026-11-24T12:00:00.9Z", now), "in the same second");
        assert!(!counts("a", "2026-11-24T12:00:01Z", now), "the gate could open anew");
        assert!(!counts("a", since, "2026-11-24T13:00:00Z"), "it has expired");
        assert!(!counts("b", since, now), "another plan");
    }
}
