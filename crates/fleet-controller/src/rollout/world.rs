//! What a tick reads: from the stores, with what this process wrote itself in place of what lags behind.

use std::{collections::BTreeMap, sync::Arc};

use fleet_api::v1alpha1::{
    ApproverRole, Rollout, RolloutMember, RolloutMemberStatus, RolloutStatus, TenantCluster,
    TenantClusterSpec, VersionStatus,
};
use fleet_plan::{
    moves,
    rollout::{CheckResult, ClusterView, MemberView, RolloutView, VoteView, World, plan::stored_hash},
};
use jiff::Timestamp;
use kube::{ResourceExt as _, runtime::reflector::ObjectRef};

use crate::context::Context;

/// A rollout with everything that belongs to it.
pub(super) struct Seen {
    pub(super) rollout: Arc<Rollout>,
    pub(super) members: BTreeMap<String, SeenMember>,
    votes: Vec<VoteView>,
    approvers: Vec<ApproverRole>,
    /// The status of a rollout that has none yet.
    blank: RolloutStatus,
    blank_member: RolloutMemberStatus,
}

/// A member, and its cluster when there is one of its name and UID.
pub(super) struct SeenMember {
    pub(super) member: Arc<RolloutMember>,
    pub(super) cluster: Option<SeenCluster>,
    version: String,
}

/// A cluster, and the spec that it is acted upon by.
pub(super) struct SeenCluster {
    pub(super) cluster: Arc<TenantCluster>,
    uid: String,
    effective: TenantClusterSpec,
    taken_by: Option<String>,
    versions: VersionStatus,
}

/// Gathers what belongs to a rollout.
pub(super) fn gather(context: &Context, rollout: Arc<Rollout>) -> Seen {
    let name = rollout.name_any();
    let uid = rollout.uid().unwrap_or_default();
    let stores = &context.stores;
    let members = stores
        .members
        .state_filter(|member| member.spec.rollout == name && !is_of_another(member, &uid))
        .into_iter()
        .map(|member| context.members_written.freshest(member))
        .map(|member| {
            let cluster = cluster_of(context, &member, &uid);
            let version = member.resource_version().unwrap_or_default();
            (member.name_any(), SeenMember { member, cluster, version })
        })
        .collect();
    let votes = stores
        .approvals
        .state_filter(|vote| vote.spec.rollout == name && vote.metadata.deletion_timestamp.is_none())
        .iter()
        .filter_map(|vote| {
            Some(VoteView {
                gate: vote.spec.gate.clone(),
                plan_hash: vote.spec.plan_hash.clone(),
                role: vote.spec.role.clone(),
                approver: vote.spec.approver.clone(),
                at: vote.metadata.creation_timestamp.as_ref()?.0,
            })
        })
        .collect();
    Seen {
        rollout,
        members,
        votes,
        approvers: stores.fleet().spec.approvers,
        blank: RolloutStatus::default(),
        blank_member: RolloutMemberStatus::default(),
    }
}

/// Whether a record was left by another rollout of the same name, which is gone.
fn is_of_another(member: &RolloutMember, rollout_uid: &str) -> bool {
    let owners = member.metadata.owner_references.iter().flatten();
    owners.into_iter().any(|owner| owner.kind == "Rollout" && owner.uid != rollout_uid)
}

/// The member's cluster: another one of the same name is another cluster.
fn cluster_of(context: &Context, member: &RolloutMember, rollout_uid: &str) -> Option<SeenCluster> {
    let found = context.stores.clusters.get(&ObjectRef::new(&member.spec.cluster))?;
    let cluster = context.clusters_written.freshest(found);
    let uid = cluster.uid().filter(|uid| *uid == member.spec.cluster_uid)?;
    let taken_by = cluster.spec.rollout.as_ref().filter(|current| current.rollout_uid != rollout_uid);
    let taken_by = taken_by.and_then(|current| {
        let other = context.stores.rollouts.get(&ObjectRef::<Rollout>::new(&current.rollout))?;
        let over = other.status.as_ref().is_some_and(|status| status.phase.is_over());
        (!over && other.uid().as_ref() == Some(&current.rollout_uid)).then(|| current.rollout.clone())
    });
    let effective = moves::effective(&cluster.spec);
    let versions = cluster.status.as_ref().map(|status| status.versions.clone()).unwrap_or_default();
    Some(SeenCluster { cluster, uid, effective, taken_by, versions })
}

impl Seen {
    /// The world of a tick.
    pub(super) fn world(&self, checks: BTreeMap<String, CheckResult>, now: Timestamp) -> World<'_> {
        World {
            rollout: self.view(),
            members: self.members.iter().map(|(name, seen)| (name.clone(), self.member(seen))).collect(),
            votes: self.votes.clone(),
            checks,
            stored_plan: self.stored_plan(),
            approvers: &self.approvers,
            now,
        }
    }

    /// The hash of what is stored, to be held against the plan's.
    fn stored_plan(&self) -> String {
        let members = self.members.values().map(|seen| &seen.member.spec);
        stored_hash(self.rollout.metadata.name.as_deref().unwrap_or_default(), &self.rollout.spec, members)
    }

    fn view(&self) -> RolloutView<'_> {
        let metadata = &self.rollout.metadata;
        RolloutView {
            name: metadata.name.as_deref().unwrap_or_default(),
            uid: metadata.uid.as_deref().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            version: metadata.resource_version.as_deref().unwrap_or_default(),
            deleting: metadata.deletion_timestamp.is_some(),
            spec: &self.rollout.spec,
            status: self.rollout.status.as_ref().unwrap_or(&self.blank),
        }
    }

    fn member<'a>(&'a self, seen: &'a SeenMember) -> MemberView<'a> {
        MemberView {
            version: &seen.version,
            spec: &seen.member.spec,
            status: seen.member.status.as_ref().unwrap_or(&self.blank_member),
            cluster: seen.cluster.as_ref().map(SeenCluster::view),
        }
    }
}

impl SeenCluster {
    fn view(&self) -> ClusterView<'_> {
        let Self { cluster, uid, effective, taken_by, versions } = self;
        ClusterView {
            uid,
            deleting: cluster.metadata.deletion_timestamp.is_some(),
            paused: cluster.spec.paused,
            maintenance: cluster.spec.maintenance.as_ref(),
            current: cluster.spec.rollout.as_ref(),
            taken_by: taken_by.as_deref(),
            baseline: &effective.hardening.baseline,
            versions,
            evidence: cluster.status.as_ref().and_then(|status| status.evidence.as_ref()),
        }
    }
}
