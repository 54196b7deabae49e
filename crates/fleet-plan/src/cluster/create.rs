//! Making the control plane, and what to do when the cloud could not.

use fleet_api::{
    eks::{CreateClusterRequest, EksAction, EksCluster},
    labels,
    step::Expectation,
    v1alpha1::EksClass,
};

use super::{
    draft::{Draft, Proposal, Proposed, Topic, eks},
    flight, version,
};
use crate::report::{Code, Who, entry, entry_with_hint};

/// The id of the step that makes the control plane.
pub(super) const CREATE: &str = "create-cluster";

/// The id of the step that takes down a control plane which never came up.
pub(super) const DELETE_FAILED: &str = "delete-failed-cluster";

/// The cluster is not there.
pub(super) fn absent(draft: &mut Draft<'_>, class: &EksClass) {
    // The version that a cluster was made with is noted when it is first seen up. From then on its absence is no
    // beginning, it is a loss, and an empty cluster in its place would hide it.
    let lost = draft.versions.created_at.is_some();
    if lost && draft.annotation(labels::RECREATE) != Some("true") {
        draft.block(
            Topic::BOTH,
            entry_with_hint(
                Code::ClusterVanished,
                Who::Operator,
                "the cluster was up and is gone, though nobody asked fleet to delete it",
                format!(
                    "find out who deleted it; to have an empty one made in its place, \
                     `kubectl annotate tenantcluster {} {}=true`",
                    draft.cluster.metadata.name.as_deref().unwrap_or_default(),
                    labels::RECREATE
                ),
            ),
        );
        return;
    }
    draft.no_longer_seen(CREATE);
    let version = draft.cluster.spec.version;
    if !version::offered(draft, version) {
        return;
    }
    let request = CreateClusterRequest {
        version,
        role_arn: class.cluster_role_arn.clone(),
        subnet_ids: class.network.subnet_ids.iter().cloned().collect(),
        security_group_ids: class.network.security_group_ids.iter().cloned().collect(),
        public_cidrs: class.network.endpoint.public_cidrs.iter().cloned().collect(),
        service_cidr: class.network.service_cidr.clone(),
        kms_key_arn: class.kms_key_arn.clone(),
        logging: class.logging.iter().copied().collect(),
        support_type: class.support_type,
        deletion_protection: class.deletion_protection,
        auto_mode: class.auto_mode.clone(),
        tags: draft.tags(class),
    };
    let name = draft.cluster.spec.cluster_name.clone();
    let planned = draft.propose(Proposal {
        id: CREATE.to_owned(),
        summary: format!("Create cluster {name} at {version}"),
        action: eks(EksAction::CreateCluster(Box::new(request))),
        expects: Expectation::ClusterAbsent,
        disruptive: false,
        minutes: 15,
        topics: Topic::BOTH,
    });
    if planned == Proposed::Planned && lost {
        draft.versions.created_at = None;
        draft.versions.control_plane = None;
        draft.versions.upgrade_completed_at = None;
    }
}

/// The cloud is making it.
pub(super) fn waiting(draft: &mut Draft<'_>, present: &EksCluster) {
    let since = present.created_at.or_else(|| draft.stored_step().map(|step| step.started_at.0));
    draft.progress(
        Topic::BOTH,
        entry(Code::WaitingForCluster, Who::Cloud, "the cloud is creating the control plane"),
    );
    if let Some(since) = since {
        flight::overdue(draft, "creating the control plane", since);
    }
}

/// The cloud could not make it. Such a cluster can only be deleted.
pub(super) fn failed(draft: &mut Draft<'_>, present: &EksCluster) {
    let (code, message) = present.health.first().map_or_else(
        || ("Unknown".to_owned(), "the cloud gives no reason".to_owned()),
        |issue| (issue.code.clone(), format!("{}{}", issue.message, super::named(&issue.resource_ids))),
    );
    if draft.versions.created_at.is_some() {
        // It was up once and may hold the tenant's data: no rule of fleet's deletes that.
        draft.block(
            Topic::BOTH,
            entry_with_hint(
                Code::CreateFailed,
                Who::Operator,
                format!(
                    "the cluster has failed after it was up ({code}: {message}); fleet does not delete it"
                ),
                "open a case with AWS, or delete the tenant",
            ),
        );
        return;
    }
    let seen_as = present.created_at.map_or_else(|| present.arn.clone(), |at| at.to_string());
    draft.failed(CREATE, &seen_as, &code, &message);
    draft.wait(
        Topic::BOTH,
        entry(
            Code::CreateFailed,
            Who::Cloud,
            format!("the cloud could not create the control plane ({code}: {message}); it is deleted and tried again"),
        ),
    );
    draft.propose(Proposal {
        id: DELETE_FAILED.to_owned(),
        summary: format!("Delete cluster {}, whose creation failed", present.name),
        action: eks(EksAction::DeleteCluster),
        expects: Expectation::Cluster { status: present.status.clone(), version: present.version },
        disruptive: false,
        minutes: 10,
        topics: Topic::BOTH,
    });
}
