//! What should happen next to one TenantCluster, and why nothing does.
//!
//! [`plan`] reads the object (spec, status, deletion timestamp) and what was seen of its EKS cluster, and gives the
//! steps to carry out now. Nothing is remembered between two plans but what the status holds: [`ClusterPlan::record`],
//! [`begin`], [`note_outcome`] and [`note_refusal`] are the only writers of that memory.

mod access;
mod addons;
mod causes;
mod config;
mod create;
mod delete;
mod disturbs;
mod draft;
mod flight;
mod insight;
mod intent;
mod memory;
mod nodes;
pub mod preflight;
mod rollback;
mod version;

use std::borrow::Cow;

use fleet_api::{
    conditions::Verdict,
    eks::{EksClusterStatus, EksObservation, Focus},
    labels,
    step::{Action, Seen, Step},
    v1alpha1::{
        DeletionStatus, EksClass, ReportEntry, StepFailure, StepStatus, TenantCluster, VersionStatus,
    },
};
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

pub use self::{
    causes::{Cause, cause},
    memory::{begin, note_outcome, note_refusal},
};
use self::{
    draft::{Draft, Topic},
    rollback::Heading,
};
use crate::{
    moves,
    report::{Code, Who, entry, entry_with_hint},
};

/// What should happen next to a cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[must_use]
pub struct ClusterPlan {
    /// What to carry out now, in order. When one fails or finds the world moved, the rest waits for a new plan. At
    /// most one of them begins an update of the cloud, and it is the last.
    pub steps: Vec<Step>,
    /// Why nothing moves, or what is waited for. Never empty, at most 16 entries.
    pub report: Vec<ReportEntry>,
    /// `Provisioned` and `UpToDate`.
    pub verdicts: Vec<Verdict>,
    /// The observed versions, with what the status remembers of them.
    pub versions: VersionStatus,
    /// The cluster's ARN.
    pub arn: Option<String>,
    /// The URL of the API server.
    pub endpoint: Option<String>,
    /// The API server's certificate authorities, PEM in base64.
    pub certificate_authority: Option<String>,
    /// True when the controller's own access entry was seen in an active cluster: the baseline can be applied. It
    /// does not wait for `Provisioned`, which waits in turn for the baseline's proof.
    pub enterable: bool,
    /// What to look at next time. It can ask for more than [`attention`], because it knows what was missing.
    pub focus: Focus,
    /// How long to wait before the next look, when nothing else calls for one.
    #[serde(serialize_with = "as_seconds")]
    pub look_again_after: SignedDuration,
    /// True when the cluster was seen gone twice and the sweep was made: the finalizer may go, with the receipt.
    pub deleted: bool,
    /// The step that the cloud is still carrying out, for the status.
    pub in_flight: Option<StepStatus>,
    /// The last update that was seen to end, for the status.
    pub last_update: Option<String>,
    /// Steps that failed and have not succeeded since, for the status.
    pub failures: Vec<StepFailure>,
    /// How far the deletion is, for the status.
    pub deletion: Option<DeletionStatus>,
}

fn as_seconds<S: Serializer>(duration: &SignedDuration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(duration.as_secs())
}

/// What to look at in the cloud for a cluster of which no plan has been made yet.
pub fn attention(cluster: &TenantCluster) -> Focus {
    attention_to(&under_move(cluster))
}

/// The cluster with what a rollout wants of it in its spec.
fn under_move(cluster: &TenantCluster) -> Cow<'_, TenantCluster> {
    match cluster.spec.rollout {
        None => Cow::Borrowed(cluster),
        Some(_) => Cow::Owned(TenantCluster { spec: moves::effective(&cluster.spec), ..cluster.clone() }),
    }
}

/// The same, of a cluster whose spec already holds what a rollout wants of it.
fn attention_to(cluster: &TenantCluster) -> Focus {
    let status = cluster.status.as_ref();
    let step = status.and_then(|status| status.step.as_ref());
    let deleting = cluster.metadata.deletion_timestamp.is_some();
    let have = status.and_then(|status| status.versions.control_plane);
    let mut addons = cluster.spec.eks.as_ref().map(addons::wanted_names).unwrap_or_default();
    if let Some(status) = status {
        addons.extend(status.versions.addons.iter().map(|addon| addon.name.clone()));
    }
    Focus {
        update_id: step.and_then(|step| step.update_id.clone()),
        update_part: step.and_then(|step| flight::part_of(&step.id)).map(|part| part.to_string()),
        addons: addons.into_iter().collect(),
        leftovers: deleting
            && status
                .and_then(|status| status.deletion.as_ref())
                .is_some_and(|deletion| deletion.gone_at.is_some()),
        readiness: !deleting && have.is_some_and(|have| version::needs_readiness(cluster, have)),
        subnets: Vec::new(),
    }
}

/// Plans the next steps of a cluster.
///
/// It is total: whatever was seen, there is a plan, and a plan without steps has a report that says why. What a
/// rollout wants of the cluster goes before what was composed ([`moves::effective`]).
pub fn plan(cluster: &TenantCluster, seen: &EksObservation, now: Timestamp) -> ClusterPlan {
    let cluster = &*under_move(cluster);
    let mut draft = Draft::new(cluster, seen, now);
    let (Some(eks), Some(owner)) = (cluster.spec.eks.as_ref(), cluster.metadata.uid.as_deref()) else {
        draft.block(
            Topic::BOTH,
            entry_with_hint(
                Code::ProviderMissing,
                Who::Operator,
                "the cluster names no provider that this version of fleet has, or is not stored yet",
                "look at the tenant's class, or upgrade fleet",
            ),
        );
        return draft.finish();
    };
    draft.owner = owner.to_owned();
    if cluster.metadata.deletion_timestamp.is_some() {
        delete::plan(&mut draft, eks);
    } else {
        live(&mut draft, eks);
    }
    draft.finish()
}

/// Plans for a cluster that is wanted.
fn live(draft: &mut Draft<'_>, eks: &EksClass) {
    let seen = draft.seen;
    let present = match &seen.cluster {
        Seen::Absent => return create::absent(draft, eks),
        Seen::Unknown { why } => {
            draft.unknown(
                Topic::BOTH,
                entry(Code::ClusterUnknown, Who::Nobody, format!("the cluster could not be read: {why}")),
            );
            return;
        }
        Seen::Present(present) => present,
    };
    if !draft.is_ours(&present.tags) {
        return not_ours(draft, &present.arn);
    }
    draft.remember_cluster(present);
    match &present.status {
        EksClusterStatus::Pending | EksClusterStatus::Creating => create::waiting(draft, present),
        EksClusterStatus::Failed => create::failed(draft, present),
        EksClusterStatus::Deleting => {
            draft.wait(
                Topic::BOTH,
                entry(
                    Code::WaitingForDeletion,
                    Who::Cloud,
                    "the cloud is deleting the cluster; what follows is decided when it is gone",
                ),
            );
        }
        EksClusterStatus::Other(status) => {
            draft.unknown(
                Topic::BOTH,
                entry(
                    Code::ClusterUnknown,
                    Who::Nobody,
                    format!(
                        "the cluster has the status `{status}`, which this version of fleet does not know"
                    ),
                ),
            );
        }
        EksClusterStatus::Active | EksClusterStatus::Updating => {
            draft.versions_of(present);
            health(draft);
            access::plan(draft, eks, present);
            access::pod_identities(draft, eks);
            version::support(draft, present.version);
            config::immutable(draft, eks, present);
            version::ahead(draft, present.version);
            draft.heading = rollback::heading(draft, present);
            if flight::busy(draft, present) {
                return;
            }
            draft.planned_through = true;
            config::plan(draft, eks, present);
            addons::plan(draft, eks, present);
            nodes::plan(draft, eks, present);
            match draft.heading {
                Heading::Forward => version::plan(draft, eks, present),
                Heading::Back(target) => rollback::plan(draft, present, target),
                Heading::Stay => {}
            }
        }
    }
}

/// Reports what the cloud says is wrong with the cluster.
fn health(draft: &mut Draft<'_>) {
    let Some(present) = draft.seen.cluster.present() else { return };
    for issue in &present.health {
        draft.block(
            Topic::SHAPE,
            entry_with_hint(
                Code::ClusterUnhealthy,
                Who::Operator,
                format!("{}: {}{}", issue.code, issue.message, named(&issue.resource_ids)),
                "put right in the AWS account what the message names",
            ),
        );
    }
}

fn not_ours(draft: &mut Draft<'_>, arn: &str) {
    draft.block(
        Topic::BOTH,
        entry_with_hint(
            Code::NotOurs,
            Who::Operator,
            format!("{arn} exists and does not carry this tenant's ownership tag; fleet leaves it alone"),
            format!(
                "delete it, or set its tag `{}` to `{}` if it is this tenant's",
                labels::TAG_OWNER,
                draft.owner
            ),
        ),
    );
}

/// True for an action with which an update of the cloud begins that is followed by its id.
pub fn begins_update(action: &Action) -> bool {
    use fleet_api::eks::EksAction as A;
    matches!(
        action,
        Action::Eks(
            A::UpdateConfig(_)
                | A::UpdateVersion { .. }
                | A::UpdateNodegroupConfig(_)
                | A::UpdateNodegroupVersion { .. }
                | A::UpdateAddon(_)
        )
    )
}

/// True for an action that moves a version, and that belongs to a rollout's move while there is one.
fn moves_versions(action: &Action) -> bool {
    use fleet_api::eks::EksAction as A;
    matches!(
        action,
        Action::Eks(A::UpdateVersion { .. } | A::UpdateNodegroupVersion { .. } | A::UpdateAddon(_))
    )
}

/// The ids in brackets, for the end of a sentence.
fn named(ids: &[String]) -> String {
    if ids.is_empty() { String::new() } else { format!(" ({})", ids.join(", ")) }
}
