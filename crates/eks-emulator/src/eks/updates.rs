//! DescribeUpdate, ListUpdates, CancelUpdate; and how an update is begun.

use serde_json::{Value, json};

use super::{
    Answer, Call, Input,
    input::{Repeated, repeated},
};
use crate::{
    clock::Epoch,
    durations::Work,
    error::ApiError,
    faults::Effect,
    lifecycle,
    model::{Change, ClusterRecord, Idempotency, Part, Update, UpdateParam, UpdateRecord, UpdateStatus},
};

/// An update that is accepted.
pub(super) struct Begin {
    pub(super) kind: &'static str,
    pub(super) part: Part,
    pub(super) change: Change,
    pub(super) params: Vec<(&'static str, String)>,
    pub(super) work: Work,
    /// Work that comes before it.
    pub(super) before: Option<Work>,
    pub(super) idempotency: Option<Idempotency>,
}

/// Answers a call that was accepted before with the update that it began.
pub(super) fn begun_before(
    record: &ClusterRecord,
    idempotency: Option<&Idempotency>,
) -> Result<Option<Value>, ApiError> {
    for update in &record.updates {
        if let Repeated::Same = repeated(update.idempotency.as_ref(), idempotency)? {
            return Ok(Some(json!({ "update": update.update })));
        }
    }
    Ok(None)
}

/// Refuses a second update of a part. Source: issue (text).
pub(super) fn check_idle(record: &ClusterRecord, part: &Part, kind: &str) -> Result<(), ApiError> {
    let name = &record.cluster.name;
    match record.running_update(part) {
        None => Ok(()),
        Some(running) => {
            let error = ApiError::resource_in_use(match part {
                Part::Cluster => format!(
                    "Cannot {kind} because cluster {name} currently has update {} in progress",
                    running.update.id
                ),
                Part::Nodegroup(part) | Part::Addon(part) => {
                    format!(
                        "Cannot {kind} because {part} currently has update {} in progress",
                        running.update.id
                    )
                }
            })
            .with("clusterName", name.as_str());
            Err(match part {
                Part::Cluster => error,
                Part::Nodegroup(part) => error.with("nodegroupName", part.as_str()),
                Part::Addon(part) => error.with("addonName", part.as_str()),
            })
        }
    }
}

/// Begins an update of a cluster or one of its parts.
pub(super) fn begin(call: &mut Call<'_>, cluster: &str, begin: Begin) -> Answer {
    let id = call.id().to_string();
    let mut due = call.due(begin.work);
    if let Some(before) = begin.before {
        due = due.checked_add(call.durations.of(before)).unwrap_or(due);
    }
    let stale_reads = call.struck.effects().find_map(|effect| match effect {
        Effect::StaleActive { reads } => Some(*reads),
        _ => None,
    });
    let update = Update {
        id,
        status: UpdateStatus::InProgress,
        kind: begin.kind.to_owned(),
        params: begin
            .params
            .into_iter()
            .map(|(kind, value)| UpdateParam { kind: kind.to_owned(), value })
            .collect(),
        created_at: Epoch(call.now),
        errors: Vec::new(),
        cancellation: None,
    };
    let fails_with = call.planned_update_error();
    let now = call.now;
    let record = call.cluster_mut(cluster)?;
    if let Some(reads) = stale_reads {
        record.stale_reads = reads;
    }
    record.updates.push(UpdateRecord {
        update: update.clone(),
        part: begin.part,
        change: begin.change,
        due,
        fails_with,
        idempotency: begin.idempotency,
    });
    // The cluster reads as updating from now on, before any time passes.
    lifecycle::advance(record, now);
    Ok(json!({ "update": update }))
}

/// The part that the query names. Source: model (node group, add-on or capability names the part).
fn part(input: &Input) -> Result<Part, ApiError> {
    match (input.query("nodegroupName"), input.query("addonName")) {
        (None, None) => Ok(Part::Cluster),
        (Some(name), None) => Ok(Part::Nodegroup(name.to_owned())),
        (None, Some(name)) => Ok(Part::Addon(name.to_owned())),
        (Some(_), Some(_)) => {
            Err(ApiError::invalid_parameter("Only one of nodegroupName and addonName can be given."))
        }
    }
}

pub(super) fn describe(call: &mut Call<'_>, input: &Input) -> Answer {
    let (name, id) = (input.path(0), input.path(1));
    let part = part(input)?;
    let record = call.cluster(name)?;
    let update = record.updates.iter().find(|update| update.update.id == id && update.part == part);
    match update {
        Some(update) => Ok(json!({ "update": update.update })),
        // Source: issue (text).
        None => {
            Err(ApiError::resource_not_found(format!("No update found for ID: {id}"))
                .with("clusterName", name))
        }
    }
}

pub(super) fn list(call: &mut Call<'_>, input: &Input) -> Answer {
    let part = part(input)?;
    let updates = call.cluster(input.path(0))?.updates.iter().filter(|update| update.part == part);
    let mut ids: Vec<(String, String)> =
        updates.map(|update| (update.update.id.clone(), update.update.id.clone())).collect();
    ids.sort();
    input.page("updateIds", ids)
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CancelRequest {
    #[serde(default, rename = "clientRequestToken")]
    _client_request_token: Option<String>,
}

/// Source: docs (only a rollback of an Auto Mode cluster, and only while its nodes go back).
pub(super) fn cancel(call: &mut Call<'_>, input: &Input) -> Answer {
    let CancelRequest { _client_request_token: _ } = input.body()?;
    let (name, id) = (input.path(0).to_owned(), input.path(1).to_owned());
    let now = call.now;
    let refuse = |message: &str| Err(ApiError::invalid_request(message).with("clusterName", name.as_str()));
    let record = call.cluster(&name)?;
    let Some(running) = record.updates.iter().find(|update| update.update.id == id) else {
        return Err(
            ApiError::resource_not_found(format!("No update found for ID: {id}")).with("clusterName", name)
        );
    };
    match (running.update.status, &running.change) {
        // The same call again.
        (UpdateStatus::Cancelled, _) => return Ok(json!({ "update": running.update })),
        (UpdateStatus::InProgress, Change::Version { nodes_until: Some(until), .. }) if now < *until => {}
        (UpdateStatus::InProgress, Change::Version { rollback: true, .. }) => {
            return refuse("The control plane rollback has already begun.");
        }
        (UpdateStatus::InProgress, _) => return refuse("This update cannot be cancelled."),
        _ => return refuse("The update is not in progress."),
    }
    let record = call.cluster_mut(&name)?;
    let mut answer = Value::Null;
    if let Some(running) = record.updates.iter_mut().find(|update| update.update.id == id) {
        lifecycle::cancel(&mut running.update, "Cancelled by the caller.");
        answer = json!({ "update": running.update });
    }
    lifecycle::advance(record, now);
    Ok(answer)
}
