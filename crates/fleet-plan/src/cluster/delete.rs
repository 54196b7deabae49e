//! Deleting a cluster: people out, workloads drained, parts, cluster, templates, and a look for what is left.

use fleet_api::{
    conditions,
    eks::{ConfigChange, EksAction, EksCluster, EksClusterStatus, EksObservation, Leftover, Part},
    labels,
    receipt::ReceiptItem,
    step::{Action, Expectation, Seen},
    v1alpha1::{DeletionStatus, DrainStatus, EksClass},
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    access, addons, config, create,
    draft::{Draft, Proposal, Standing, Topic, eks},
    flight, nodes,
};
use crate::report::{Code, Who, entry, entry_with_hint};

/// The id of the step that deletes the control plane.
pub(super) const DELETE: &str = "delete-cluster";
/// The id of the step that drains what workloads hold in the cloud.
pub(super) const DRAIN: &str = "drain";
/// How long network interfaces and the like are waited for, which AWS takes away by itself (up to an hour for those
/// of load balancers). What is still there then goes into the receipt.
const LEFTOVER_PATIENCE: SignedDuration = SignedDuration::from_mins(60);
/// How long an API server may be out of reach before somebody is asked.
const UNREACHABLE_PATIENCE: SignedDuration = SignedDuration::from_mins(15);
/// How often a drain is looked at.
const DRAIN_PACE: SignedDuration = SignedDuration::from_secs(10);
/// The most items that a status remembers for the receipt.
const MOST_ITEMS: usize = 256;

/// Plans the deletion.
pub(super) fn plan(draft: &mut Draft<'_>, class: &EksClass) {
    let seen = draft.seen;
    let present = match &seen.cluster {
        Seen::Unknown { why } => {
            draft.unknown(
                Topic::BOTH,
                entry(Code::ClusterUnknown, Who::Nobody, format!("the cluster could not be read: {why}")),
            );
            return;
        }
        Seen::Present(present) if draft.is_ours(&present.tags) => Some(present),
        // A cluster of this name that belongs to somebody else is not this tenant's to delete.
        Seen::Present(_) | Seen::Absent => None,
    };
    let began_at = Time(draft.now);
    let deletion = draft.deletion.get_or_insert_with(|| DeletionStatus {
        began_at,
        there: Vec::new(),
        drain: DrainStatus::default(),
        gone_at: None,
    });
    remember(&mut deletion.there, seen, present);
    let Some(present) = present else { return gone(draft) };
    if let Some(deletion) = draft.deletion.as_mut() {
        deletion.gone_at = None;
    }
    match &present.status {
        EksClusterStatus::Pending | EksClusterStatus::Creating => deleting(
            draft,
            Code::WaitingForCluster,
            Who::Cloud,
            "the cloud is still creating the cluster; it is deleted as soon as that has ended",
        ),
        EksClusterStatus::Deleting => {
            deleting(draft, Code::WaitingForDeletion, Who::Cloud, "the cloud is deleting the cluster");
        }
        EksClusterStatus::Failed => delete_cluster(draft, present),
        EksClusterStatus::Other(status) => draft.unknown(
            Topic::BOTH,
            entry(
                Code::ClusterUnknown,
                Who::Nobody,
                format!("the cluster has the unknown status `{status}`"),
            ),
        ),
        EksClusterStatus::Active | EksClusterStatus::Updating => {
            draft.remember_cluster(present);
            draft.versions_of(present);
            take_down(draft, class, present);
        }
    }
}

/// Takes an active cluster down, one phase after the other.
fn take_down(draft: &mut Draft<'_>, class: &EksClass, present: &EksCluster) {
    // What runs is followed even while nobody has confirmed: its end must not be missed.
    let busy = flight::busy(draft, present);
    let confirmed = draft.cluster.spec.deletion_confirmed;
    if (present.deletion_protection || class.deletion_protection) && !confirmed {
        let tenant = &draft.cluster.spec.tenant;
        let found = entry_with_hint(
            Code::DeletionUnconfirmed,
            Who::Operator,
            "the cluster is protected: deleting it and its data needs the tenant's name once more",
            format!("`fleet delete {tenant} --confirm {tenant}`"),
        );
        draft.block(Topic::BOTH, found);
        return;
    }
    if busy {
        return;
    }
    draft.planned_through = true;
    for (known, what) in [
        (is_known(&draft.seen.access_entries), "the access entries"),
        (is_known(&draft.seen.pod_identities), "the pod identity associations"),
        (is_known(&draft.seen.addons), "the add-ons"),
        (is_known(&draft.seen.nodegroups), "the node groups"),
    ] {
        if !known {
            draft.part_unknown(Topic::BOTH, what, "the deletion waits for it");
            return;
        }
    }
    if present.deletion_protection {
        config::propose(draft, ConfigChange::DeletionProtection(false));
        deleting(draft, Code::Working, Who::Nobody, "switching deletion protection off, as confirmed");
        return;
    }
    if !access::revoke_tenants(draft, class) {
        deleting(draft, Code::Working, Who::Nobody, "shutting the tenant's people out");
        return;
    }
    if !drained(draft) {
        return;
    }
    let seen = draft.seen;
    let mut left = 0;
    for one in seen.pod_identities.present().into_iter().flatten() {
        left += 1;
        access::delete_identity(draft, &one.association_id, &one.namespace, &one.service_account);
    }
    for addon in seen.addons.present().into_iter().flatten() {
        left += 1;
        addons::delete(draft, addon);
    }
    // Every node group goes, whoever made it: EKS refuses to delete a cluster that has one.
    for group in seen.nodegroups.present().into_iter().flatten() {
        left += 1;
        nodes::delete(draft, group, false);
    }
    if left > 0 {
        let message = format!("{left} parts of the cluster are still there");
        deleting(draft, Code::WaitingForDeletion, Who::Cloud, message);
        return;
    }
    delete_cluster(draft, present);
}

fn is_known<T>(seen: &Seen<T>) -> bool {
    !matches!(seen, Seen::Unknown { .. })
}

fn delete_cluster(draft: &mut Draft<'_>, present: &EksCluster) {
    let expects = Expectation::Cluster { status: present.status.clone(), version: present.version };
    draft.propose(Proposal {
        id: DELETE.to_owned(),
        summary: format!("Delete cluster {}", present.name),
        action: eks(EksAction::DeleteCluster),
        expects,
        disruptive: false,
        minutes: 10,
        topics: Topic::BOTH,
    });
    deleting(draft, Code::WaitingForDeletion, Who::Nobody, "the control plane goes last");
}

/// Drains load balancers and volumes while the controllers that clean up behind them still run. True when done.
fn drained(draft: &mut Draft<'_>) -> bool {
    let drain = draft.deletion.as_ref().map(|deletion| deletion.drain.clone()).unwrap_or_default();
    if drain.finished_at.is_some() {
        return true;
    }
    let status = draft.cluster.status.as_ref();
    let entered = status.is_some_and(|status| status.baseline.proven_at.is_some());
    let skipped = if draft.annotation(labels::SKIP_DRAIN) == Some("true") {
        Some(format!("an operator set `{}`", labels::SKIP_DRAIN))
    } else if entered {
        drain.skipped
    } else {
        Some("the cluster was never handed over, so no workload ran in it".to_owned())
    };
    if let Some(why) = skipped {
        draft.note(entry(Code::DrainSkipped, Who::Nobody, format!("nothing was drained: {why}")));
        if let Some(deletion) = draft.deletion.as_mut() {
            deletion.drain.skipped = Some(why);
        }
        return true;
    }
    let reachable = status.and_then(|status| conditions::get(&status.conditions, conditions::REACHABLE));
    if let Some(condition) = reachable.filter(|condition| condition.status != "True")
        && condition.last_transition_time.0.duration_until(draft.now) > UNREACHABLE_PATIENCE
    {
        let name = draft.cluster.metadata.name.as_deref().unwrap_or_default();
        let found = entry_with_hint(
            Code::DrainBlocked,
            Who::Operator,
            format!("the API server cannot be asked, so nothing can be drained: {}", condition.message),
            format!(
                "mend the connection, or accept leftovers: `kubectl annotate tenantcluster {name} {}=true`",
                labels::SKIP_DRAIN
            ),
        );
        draft.block(Topic::BOTH, found);
    }
    draft.propose(Proposal {
        id: DRAIN.to_owned(),
        summary: "Drain load balancers, ingresses and volume claims".to_owned(),
        action: Action::DrainWorkloads,
        expects: Expectation::Nothing,
        disruptive: false,
        minutes: 5,
        topics: Topic::BOTH,
    });
    let message = if drain.remaining.is_empty() {
        "load balancers, ingresses and volume claims are being drained".to_owned()
    } else {
        format!("still to be drained: {}", drain.remaining.join(", "))
    };
    deleting(draft, Code::Draining, Who::Nobody, message);
    draft.look_within(DRAIN_PACE);
    false
}

/// The cluster is gone: templates, and what is left.
fn gone(draft: &mut Draft<'_>) {
    let now = draft.now;
    let intent = draft.stored_step().filter(|step| step.id == create::CREATE);
    if intent.is_some_and(|step| flight::is_young(step, now)) {
        // The call may have been made and not show yet: a cluster that appears after its object has gone is nobody's.
        let message = "its creation began a moment ago, and may have been accepted without being shown yet";
        deleting(draft, Code::WaitingForRead, Who::Cloud, message);
        return;
    }
    let gone_at = draft.deletion.as_mut().map_or(now, |deletion| deletion.gone_at.get_or_insert(Time(now)).0);
    draft.focus.leftovers = true;
    let seen = draft.seen;
    let leftovers = match &seen.leftovers {
        Seen::Present(leftovers) => leftovers.as_slice(),
        Seen::Absent => &[],
        Seen::Unknown { why } => {
            let message = format!("the cluster is gone; what is left is being looked for ({why})");
            deleting(draft, Code::Sweeping, Who::Nobody, message);
            draft.look_within(SignedDuration::from_secs(2));
            return;
        }
    };
    let templates = match &seen.launch_templates {
        Seen::Present(templates) => templates.as_slice(),
        Seen::Absent => &[],
        Seen::Unknown { why } => {
            draft.part_unknown(Topic::BOTH, "the launch templates", why);
            return;
        }
    };
    for template in templates {
        let part = Part::LaunchTemplate(template.name.clone());
        let Some(expects) = draft.as_seen(&part) else { continue };
        draft.propose(Proposal {
            id: format!("launch-template/{}/delete", template.name),
            summary: format!("Delete launch template {}", template.name),
            action: eks(EksAction::DeleteLaunchTemplate {
                id: template.id.clone(),
                name: template.name.clone(),
            }),
            expects,
            disruptive: false,
            minutes: 1,
            topics: Topic::BOTH,
        });
    }
    if !templates.is_empty() {
        deleting(draft, Code::Sweeping, Who::Nobody, "the launch templates go last");
        return;
    }
    let passing: Vec<&Leftover> = leftovers.iter().filter(|one| passes_by_itself(one)).collect();
    if !passing.is_empty() && gone_at.duration_until(now) < LEFTOVER_PATIENCE {
        let names = passing.iter().take(5).map(|one| one.id.as_str()).collect::<Vec<_>>().join(", ");
        let message = format!("{} leftovers that AWS takes away by itself: {names}", passing.len());
        deleting(draft, Code::WaitingForLeftovers, Who::Cloud, message);
        return;
    }
    draft.deleted = true;
    let remains = match leftovers.len() {
        0 => "nothing of it remains".to_owned(),
        1 => "one thing remains and is named in the receipt".to_owned(),
        more => format!("{more} things remain and are named in the receipt"),
    };
    draft.say(
        Topic::BOTH,
        Standing::Deleting,
        entry(Code::Deleted, Who::Nobody, format!("the cluster is gone; {remains}")),
    );
}

/// True for what AWS deletes some time after the thing that it belonged to.
fn passes_by_itself(leftover: &Leftover) -> bool {
    leftover.kind.contains("network interface")
}

/// Reports one stage of the deletion.
fn deleting(draft: &mut Draft<'_>, code: Code, who: Who, message: impl Into<String>) {
    draft.look_within(SignedDuration::from_secs(20));
    draft.say(Topic::BOTH, Standing::Deleting, entry(code, who, message));
}

/// Adds to what was there, for the receipt: whatever is seen before it is deleted.
fn remember(there: &mut Vec<ReceiptItem>, seen: &EksObservation, present: Option<&EksCluster>) {
    let mut add = |kind: &str, id: &str| {
        let known = there.iter().any(|item| item.kind == kind && item.id == id);
        if !known && there.len() < MOST_ITEMS {
            there.push(ReceiptItem { kind: kind.to_owned(), id: id.to_owned(), note: String::new() });
        }
    };
    if let Some(cluster) = present {
        add("cluster", &cluster.arn);
        for group in seen.nodegroups.present().into_iter().flatten() {
            add("node group", &group.name);
        }
        for addon in seen.addons.present().into_iter().flatten() {
            add("add-on", &addon.name);
        }
        for entry in seen.access_entries.present().into_iter().flatten() {
            add("access entry", &entry.principal_arn);
        }
        for identity in seen.pod_identities.present().into_iter().flatten() {
            add("pod identity", &format!("{}/{}", identity.namespace, identity.service_account));
        }
    }
    for template in seen.launch_templates.present().into_iter().flatten() {
        add("launch template", &template.name);
    }
}
