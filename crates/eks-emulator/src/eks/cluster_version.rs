//! UpdateClusterVersion: up by one minor, or back to the one before.

use jiff::SignedDuration;
use serde::Deserialize;

use super::{
    Answer, Call, Input, catalogue,
    updates::{self, Begin},
};
use crate::{
    durations::Work,
    error::ApiError,
    model::{Change, ClusterRecord, InsightCategory, InsightLevel, Minor, Part, SupportType},
};

/// Source: docs (version rollback: seven days after the upgrade ended).
const ROLLBACK_DAYS: i64 = 7;
/// Source: docs (kubelets may be three minors older).
const KUBELET_SKEW: u16 = 3;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateRequest {
    version: String,
    client_request_token: Option<String>,
    #[serde(default)]
    force: bool,
    rollback_config: Option<RollbackConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RollbackConfig {
    timeout_minutes: Option<i64>,
}

pub(super) fn update(call: &mut Call<'_>, input: &Input) -> Answer {
    let name = input.path(0).to_owned();
    let request: UpdateRequest = input.body()?;
    let idempotency = input.idempotency(request.client_request_token.as_ref());
    let record = call.cluster(&name)?;
    if let Some(answer) = updates::begun_before(record, idempotency.as_ref())? {
        return Ok(answer);
    }
    let from = record.cluster.version;
    let to = super::clusters::supported_version(call, &request.version)
        .map_err(|e| e.with("clusterName", name.as_str()))?;
    let rollback = to.is_just_before(from);
    let kind = if rollback { "VersionRollback" } else { "VersionUpdate" };
    updates::check_idle(record, &Part::Cluster, kind)?;
    check_active(record)?;
    if rollback {
        check_rollback(call, record, to, &request)?;
    } else {
        check_upgrade(record, from, to, &request)?;
    }
    let auto_mode = record.cluster.auto_mode();
    let nodes_first = rollback && auto_mode;
    begin(call, &name, from, to, nodes_first, idempotency, kind)
}

fn begin(
    call: &mut Call<'_>,
    name: &str,
    from: Minor,
    to: Minor,
    nodes_first: bool,
    idempotency: Option<crate::model::Idempotency>,
    kind: &'static str,
) -> Answer {
    let rollback = to < from;
    updates::begin(
        call,
        name,
        Begin {
            kind,
            part: Part::Cluster,
            change: Change::Version {
                from,
                to,
                rollback,
                nodes_until: nodes_first.then(|| call.due(Work::AutoModeNodes)),
            },
            params: vec![("Version", to.to_string()), ("PlatformVersion", catalogue::platform_version(to))],
            work: if rollback { Work::ClusterRollback } else { Work::ClusterUpgrade },
            before: nodes_first.then_some(Work::AutoModeNodes),
            idempotency,
        },
    )
}

/// Source: model (ResourceInUse, InvalidRequest); which of the two the live service answers: unverified.
pub(super) fn check_active(record: &ClusterRecord) -> Result<(), ApiError> {
    match record.is_active() || record.running_update(&Part::Cluster).is_some() {
        true => Ok(()),
        false => Err(ApiError::invalid_request(format!(
            "Cluster {} is not in ACTIVE status, it is {}.",
            record.cluster.name, record.cluster.status
        ))
        .with("clusterName", record.cluster.name.as_str())),
    }
}

fn check_upgrade(
    record: &ClusterRecord,
    from: Minor,
    to: Minor,
    request: &UpdateRequest,
) -> Result<(), ApiError> {
    let name = record.cluster.name.as_str();
    // Source: docs (one minor at a time); issue (text).
    if !from.is_just_before(to) {
        return Err(ApiError::invalid_parameter(format!(
            "Unsupported Kubernetes minor version update from {from} to {to}"
        ))
        .with("clusterName", name));
    }
    // Source: unverified.
    if request.rollback_config.is_some() {
        return Err(ApiError::invalid_parameter("rollbackConfig can only be given with a rollback.")
            .with("clusterName", name));
    }
    // Source: docs (kubelets at most three minors older than the new control plane); the text: unverified.
    let old = record.nodegroups.values().find(|g| g.nodegroup.version.0.saturating_add(KUBELET_SKEW) < to.0);
    if let Some(group) = old {
        return Err(ApiError::invalid_request(format!(
            "Nodegroup {} must be updated from {} before the cluster is updated to {to}",
            group.nodegroup.nodegroup_name, group.nodegroup.version
        ))
        .with("clusterName", name)
        .with("nodegroupName", group.nodegroup.nodegroup_name.as_str()));
    }
    // Readiness insights do not block an upgrade: the live service withdrew that (source: issue).
    Ok(())
}

/// Source of the rules: docs (version rollback); the texts: unverified.
fn check_rollback(
    call: &Call<'_>,
    record: &ClusterRecord,
    to: Minor,
    request: &UpdateRequest,
) -> Result<(), ApiError> {
    let name = record.cluster.name.as_str();
    let refuse = |message: String| Err(ApiError::invalid_request(message).with("clusterName", name));
    let Some(upgraded) = record.upgraded.filter(|upgraded| upgraded.from == to) else {
        return refuse(format!("The cluster was not upgraded in place from {to}."));
    };
    let until =
        upgraded.at.checked_add(SignedDuration::from_hours(24 * ROLLBACK_DAYS)).unwrap_or(upgraded.at);
    if call.now > until {
        return refuse(format!("The upgrade ended more than {ROLLBACK_DAYS} days ago, at {}.", upgraded.at));
    }
    let minutes = request.rollback_config.as_ref().and_then(|config| config.timeout_minutes);
    // Source: model (120 to 10080).
    if minutes.is_some_and(|minutes| !(120..=10_080).contains(&minutes)) {
        return Err(ApiError::invalid_parameter("timeoutMinutes must be between 120 and 10080.")
            .with("clusterName", name));
    }
    let extended = catalogue::version(to).map(|v| v.support(call.now)) == Some(catalogue::Support::Extended);
    if extended && record.cluster.upgrade_policy.support_type != SupportType::Extended {
        return refuse(format!(
            "Version {to} is in extended support: set the support type to EXTENDED first."
        ));
    }
    if let Some(group) = record.nodegroups.values().find(|group| group.nodegroup.version > to) {
        return refuse(format!(
            "Nodegroup {} is at {} and must be at {to} or older first.",
            group.nodegroup.nodegroup_name, group.nodegroup.version
        ));
    }
    let blocking = super::insights::current(record, call.now).into_iter().find(|insight| {
        insight.category == InsightCategory::RollbackReadiness
            && matches!(insight.insight_status.status, InsightLevel::Error | InsightLevel::Unknown)
    });
    match blocking {
        Some(insight) if !request.force => Err(ApiError::invalid_state(format!(
            "The rollback is blocked by the readiness insight `{}`: {}",
            insight.name, insight.insight_status.reason
        ))
        .with("clusterName", name)),
        _ => Ok(()),
    }
}
