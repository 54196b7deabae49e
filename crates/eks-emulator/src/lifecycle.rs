//! What time does to a cluster and its parts. Pure: a record and a moment in, a changed record out.

use jiff::Timestamp;

use crate::{
    clock::Epoch,
    eks::catalogue,
    model::{
        Change, ClusterRecord, ClusterStatus, Health, Issue, Minor, NodegroupResources, Part, PartStatus,
        Update, UpdateStatus, Upgraded,
    },
};

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advanced {
    /// Nothing.
    Same,
    /// It changed.
    Changed,
    /// The cluster is gone.
    Gone,
}

/// Moves a cluster on to a moment.
///
/// What needs the API server waits for it: a cluster is active only when its server answers, an upgrade is over only
/// when the server of the new minor answers, and a cluster is gone only when its server and data are.
pub(crate) fn advance(record: &mut ClusterRecord, now: Timestamp) -> Advanced {
    let before = Snapshot::of(record);
    if record.cluster.status == ClusterStatus::Deleting {
        return delete(record, now);
    }
    create(record, now);
    show_server(record);
    for index in 0..record.updates.len() {
        end_update(record, index, now);
    }
    show_update(record, now);
    advance_nodegroups(record, now);
    advance_addons(record, now);
    match Snapshot::of(record) == before {
        true => Advanced::Same,
        false => Advanced::Changed,
    }
}

/// What can change by time alone, and small enough to compare on every call.
#[derive(PartialEq)]
struct Snapshot {
    cluster: ClusterStatus,
    version: Minor,
    endpoint: Option<String>,
    wanted: Option<Minor>,
    running: usize,
    nodegroups: Vec<PartStatus>,
    addons: Vec<(PartStatus, usize)>,
}

impl Snapshot {
    fn of(record: &ClusterRecord) -> Self {
        Self {
            cluster: record.cluster.status,
            version: record.cluster.version,
            endpoint: record.cluster.endpoint.clone(),
            wanted: record.server.wanted,
            running: record.updates.iter().filter(|update| update.in_progress()).count(),
            nodegroups: record.nodegroups.values().map(|group| group.nodegroup.status).collect(),
            addons: record.addons.values().map(|a| (a.addon.status, a.addon.health.issues.len())).collect(),
        }
    }
}

fn delete(record: &mut ClusterRecord, now: Timestamp) -> Advanced {
    let over = record.due.is_none_or(|due| now >= due);
    if !over {
        return Advanced::Same;
    }
    if record.server.wanted.is_some() {
        record.server.wanted = None;
        return Advanced::Changed;
    }
    match record.server.removed {
        true => Advanced::Gone,
        false => Advanced::Same,
    }
}

fn create(record: &mut ClusterRecord, now: Timestamp) {
    if record.cluster.status != ClusterStatus::Creating || record.due.is_some_and(|due| now < due) {
        return;
    }
    if let Some(issue) = record.fails_with.clone() {
        record.cluster.status = ClusterStatus::Failed;
        record.cluster.health.issues.push(issue);
    } else if record.server.seen.is_some() && record.server.seen == record.server.wanted {
        record.cluster.status = ClusterStatus::Active;
    } else {
        return;
    }
    record.due = None;
}

/// Endpoint and authority are shown from the moment the cluster is active (source: docs), and followed after that.
fn show_server(record: &mut ClusterRecord) {
    if matches!(record.cluster.status, ClusterStatus::Creating | ClusterStatus::Failed) {
        return;
    }
    if let Some(access) = &record.server.access {
        record.cluster.endpoint = Some(access.endpoint.clone());
        record.cluster.certificate_authority.data = Some(access.certificate_authority.clone());
        record.cluster.identity = Some(access.identity.clone());
    }
}

fn end_update(record: &mut ClusterRecord, index: usize, now: Timestamp) {
    let Some(running) = record.updates.get(index) else { return };
    if !running.in_progress() || now < running.due {
        return;
    }
    let (part, change) = (running.part.clone(), running.change.clone());
    if let Some(error) = running.fails_with.clone() {
        undo(record, &part);
        if let Some(running) = record.updates.get_mut(index) {
            running.update.errors.push(error);
            running.update.status = UpdateStatus::Failed;
        }
        return;
    }
    if !apply(record, change, now) {
        return;
    }
    if let Some(running) = record.updates.get_mut(index) {
        running.update.status = UpdateStatus::Successful;
    }
}

/// A failed update leaves everything as it was (source: docs, "EKS reverts"); only the statuses have to go back.
fn undo(record: &mut ClusterRecord, part: &Part) {
    match part {
        Part::Cluster => {}
        Part::Nodegroup(name) => {
            if let Some(group) = record.nodegroups.get_mut(name) {
                group.nodegroup.status = PartStatus::Active;
            }
        }
        Part::Addon(name) => {
            if let Some(addon) = record.addons.get_mut(name) {
                addon.addon.status = PartStatus::Active;
            }
        }
    }
}

/// Applies what an update changes; false while it has to wait for the API server.
fn apply(record: &mut ClusterRecord, change: Change, now: Timestamp) -> bool {
    let cluster = &mut record.cluster;
    match change {
        Change::Version { from, to, rollback, .. } => {
            record.server.wanted = Some(to);
            if record.server.seen != Some(to) {
                return false;
            }
            cluster.version = to;
            cluster.platform_version = catalogue::platform_version(to);
            record.upgraded = (!rollback).then_some(Upgraded { from, at: now });
        }
        Change::Vpc(config) => cluster.resources_vpc_config = config,
        Change::Logging(logging) => cluster.logging = logging,
        Change::Access(mode) => cluster.access_config.authentication_mode = mode,
        Change::Upgrade(policy) => cluster.upgrade_policy = policy,
        Change::ZonalShift(config) => cluster.zonal_shift_config = Some(config),
        Change::AutoMode { compute, storage, load_balancing } => {
            cluster.compute_config = Some(compute);
            cluster.storage_config = Some(storage);
            cluster.kubernetes_network_config.elastic_load_balancing = Some(load_balancing);
        }
        Change::RemoteNetwork(config) => cluster.remote_network_config = Some(config),
        Change::DeletionProtection(on) => cluster.deletion_protection = on,
        Change::Scaling(config) => cluster.control_plane_scaling_config = Some(config),
        Change::Nodegroup(wanted) => {
            if let Some(group) = record.nodegroups.get_mut(&wanted.nodegroup_name) {
                // Tags change by their own operations while an update runs.
                let tags = std::mem::take(&mut group.nodegroup.tags);
                group.nodegroup = *wanted;
                group.nodegroup.tags = tags;
                group.nodegroup.modified_at = Epoch(now);
                group.nodegroup.status = PartStatus::Active;
            }
        }
        Change::Addon { name, version, configuration, role_arn } => {
            if let Some(addon) = record.addons.get_mut(&name) {
                addon.addon.addon_version = version;
                addon.addon.configuration_values = configuration;
                addon.addon.service_account_role_arn = role_arn;
                addon.addon.modified_at = Epoch(now);
                addon.addon.status = PartStatus::Active;
            }
        }
    }
    true
}

/// The cluster reads `UPDATING` while an update of its own runs. The nodes of an Auto Mode cluster go back while it
/// still reads `ACTIVE` (source: docs, version rollback).
fn show_update(record: &mut ClusterRecord, now: Timestamp) {
    if !matches!(record.cluster.status, ClusterStatus::Active | ClusterStatus::Updating) {
        return;
    }
    let shown = record.running_update(&Part::Cluster).is_some_and(|running| match running.change {
        Change::Version { nodes_until: Some(until), .. } => now >= until,
        _ => true,
    });
    record.cluster.status = if shown { ClusterStatus::Updating } else { ClusterStatus::Active };
}

fn advance_nodegroups(record: &mut ClusterRecord, now: Timestamp) {
    record.nodegroups.retain(|_, group| {
        if group.due.is_none_or(|due| now < due) {
            return true;
        }
        match group.nodegroup.status {
            PartStatus::Deleting => return false,
            PartStatus::Creating => {
                let shown = &mut group.nodegroup;
                shown.modified_at = Epoch(now);
                if let Some(issue) = group.fails_with.clone() {
                    shown.status = PartStatus::CreateFailed;
                    shown.health.issues.push(issue);
                } else {
                    shown.status = PartStatus::Active;
                    shown.resources =
                        Some(NodegroupResources::named(&shown.nodegroup_name, &shown.nodegroup_arn));
                }
            }
            _ => {}
        }
        group.due = None;
        true
    });
}

fn advance_addons(record: &mut ClusterRecord, now: Timestamp) {
    let has_nodes = record.has_nodes();
    let mut gone = Vec::new();
    record.addons.retain(|_, state| {
        let over = state.due.is_some_and(|due| now >= due);
        match (state.addon.status, over) {
            (PartStatus::Deleting, true) => {
                gone.push(state.addon.addon_arn.clone());
                return false;
            }
            (PartStatus::Creating, true) => {
                state.due = None;
                state.addon.modified_at = Epoch(now);
                state.addon.status = PartStatus::Active;
            }
            _ => {}
        }
        if matches!(state.addon.status, PartStatus::Active | PartStatus::Degraded) {
            let issue = state.ailing.clone().or_else(|| {
                (catalogue::needs_nodes(&state.addon.addon_name) && !has_nodes).then(no_replicas)
            });
            state.addon.status = if issue.is_some() { PartStatus::Degraded } else { PartStatus::Active };
            state.addon.health = Health { issues: issue.into_iter().collect() };
        }
        true
    });
    if !gone.is_empty() {
        record.pod_identities.retain(|_, identity| {
            identity.association.owner_arn.as_ref().is_none_or(|owner| !gone.contains(owner))
        });
    }
}

/// An add-on with a Deployment cannot run without nodes. Source: issue (coredns before nodes exist).
fn no_replicas() -> Issue {
    Issue {
        code: "InsufficientNumberOfReplicas".to_owned(),
        message: "The add-on is unhealthy because it doesn't have the desired number of replicas.".to_owned(),
        resource_ids: Vec::new(),
    }
}

/// Cancels an update that runs; its change never happens.
pub(crate) fn cancel(update: &mut Update, reason: &str) {
    update.status = UpdateStatus::Cancelled;
    update.cancellation =
        Some(crate::model::Cancellation { status: "Successful".to_owned(), reason: reason.to_owned() });
}

#[cfg(test)]
mod tests;
