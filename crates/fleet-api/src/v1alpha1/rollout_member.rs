//! One tenant's cluster in one rollout.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AddonChoice, ComponentVersion, ReportEntry};
use crate::KubernetesVersion;

/// One tenant's cluster in one rollout: its dated slot, and how far it is. Made with the rollout's plan, one object for
/// each member, so that a rollout of 10,000 clusters fits. People edit `notBefore`, `skip`, `retry`, `acknowledged` and
/// `rollback`, and nothing else.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "tenantfleet.dev",
    version = "v1alpha1",
    kind = "RolloutMember",
    shortname = "rom",
    category = "fleet",
    status = "RolloutMemberStatus",
    derive = "PartialEq",
    doc = "One tenant's cluster in one rollout: its dated slot, and how far it is.",
    selectable = ".spec.rollout",
    selectable = ".spec.tenant",
    printcolumn(name = "Rollout", type_ = "string", json_path = ".spec.rollout"),
    printcolumn(name = "Tenant", type_ = "string", json_path = ".spec.tenant"),
    printcolumn(name = "Wave", type_ = "string", json_path = ".spec.wave"),
    printcolumn(name = "Slot", type_ = "string", json_path = ".spec.slot"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message")
)]
#[x_kube(
    validation = Rule::new("self.rollout == oldSelf.rollout && self.tenant == oldSelf.tenant && self.cluster == oldSelf.cluster && self.clusterUid == oldSelf.clusterUid && self.wave == oldSelf.wave && self.from == oldSelf.from && self.slot == oldSelf.slot")
        .message("a member is what its plan says: `notBefore` puts it off, `skip` takes it out")
)]
pub struct RolloutMemberSpec {
    /// The Rollout.
    pub rollout: String,
    /// The tenant.
    pub tenant: String,
    /// The TenantCluster.
    pub cluster: String,
    /// The TenantCluster's UID: another cluster of the same name is another cluster.
    pub cluster_uid: String,
    /// The wave, by name.
    pub wave: String,
    /// The minor that the member was at when the rollout was planned.
    pub from: KubernetesVersion,
    /// When it may begin at the earliest by the plan, where slots are `Binding`. It never changes: people approved the
    /// plan with its dates.
    pub slot: Time,
    /// Puts the member off until then, whatever its slot says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// True takes the member out of the rollout, unless it is moving. It then counts neither as success nor as failure.
    #[serde(default)]
    pub skip: bool,
    /// Any new value lets a member that failed be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub retry: Option<String>,
    /// The attempt whose failure a person has looked at who wants the rollout to go on all the same: it spends the wave's
    /// failure budget no longer. Another attempt that fails does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub acknowledged: Option<i32>,
    /// True rolls the member back, as far as EKS allows it.
    #[serde(default)]
    pub rollback: bool,
}

/// How far a member is. Its only writer is the rollout's loop, which writes it against the version that it read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutMemberStatus {
    /// The state.
    #[serde(default)]
    pub state: MemberState,
    /// Grows with every change of the state: a move that carries a smaller one is out of date.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub seq: i64,
    /// The last entry of the rollout's ledger that named the member and was answered by it: it began, or what was
    /// announced of it came about, or neither could be any more.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub granted_by: i64,
    /// How many entries of the rollout's ledger have named the member and were answered by it.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub entries: i64,
    /// Which attempt it is, from 1; 0 before the first.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub attempt: i32,
    /// Since when it is in its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// When the present attempt was allowed to move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it was first seen to have arrived in the present attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived_at: Option<Time>,
    /// When the present attempt was allowed to move back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_started_at: Option<Time>,
    /// Since when it is known to be offline: without a fresh observation for longer than `offlineAfter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline_since: Option<Time>,
    /// Before when it will not begin, as far as is known: its slot, or the opening of its next window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// The Baseline that the cluster was hardened by before it first moved: what a rollback goes back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_baseline: Option<String>,
    /// The add-ons of the target as they were before the member first moved. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub from_addons: Vec<ComponentVersion>,
    /// The value of `spec.retry` that the present attempt answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
    /// The last moment at which a rollback can still begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_until: Option<Time>,
    /// What stands in the way. At most 16 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub blockers: Vec<ReportEntry>,
    /// For people: why it is where it is.
    #[serde(default)]
    pub message: String,
}

/// The state of a member.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum MemberState {
    /// It has not begun.
    #[default]
    Pending,
    /// It is looked at for what would stand in the way. Nothing of it changes.
    Preflight,
    /// It is moving.
    Upgrading,
    /// It has arrived, and has not yet been seen healthy.
    Verifying,
    /// It is healthy on the target, and has to stay so for a while.
    Soaking,
    /// It is done.
    Succeeded,
    /// It failed.
    Failed,
    /// It left the rollout: somebody skipped it, it was deleted, or it is offline.
    Skipped,
    /// It is moving back.
    RollingBack,
    /// It is back where it was.
    RolledBack,
}

impl MemberState {
    /// Whether it counts against the wave's concurrency: it is being disturbed, or may be.
    pub const fn is_moving(self) -> bool {
        matches!(self, Self::Upgrading | Self::Verifying | Self::RollingBack)
    }

    /// Whether nothing more happens to it by itself.
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped | Self::RolledBack)
    }
}

/// What a rollout wants of a cluster: a part of the TenantCluster's spec that only the rollout's loop writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.rolloutUid != oldSelf.rolloutUid || self.seq >= oldSelf.seq")
        .message("a newer decision of the rollout stands")
)]
pub struct Move {
    /// The Rollout.
    pub rollout: String,
    /// Its UID.
    pub rollout_uid: String,
    /// The member's `status.seq` when this was decided.
    #[schemars(range(min = 0))]
    pub seq: i64,
    /// Identifies the attempt. Evidence that carries another one says nothing.
    pub id: String,
    /// Whether to look, to move, or to move back.
    pub stage: MoveStage,
    /// The minor to be at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<KubernetesVersion>,
    /// The Baseline to be hardened by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// Add-ons and their versions, in place of what the class says of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub addons: Vec<AddonChoice>,
    /// Until when nodes stay where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_nodes_until: Option<Time>,
    /// The member has failed: what runs is left to finish, and nothing further of this move begins.
    #[serde(default, skip_serializing_if = "is_false")]
    pub halted: bool,
    /// The member has left the rollout, or the rollout is over: what the move brought stays, and beyond that the tenant's
    /// own spec holds again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub over: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// What a move asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MoveStage {
    /// Look for what would stand in the way, and change nothing.
    Prepare,
    /// Move.
    Go,
    /// Move back to `version`, the minor before.
    Back,
}

/// What was seen of a cluster under a move. Written by the TenantCluster's loop, and by nobody else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// The move's id and stage, as they stood in the spec when the cluster was observed.
    pub move_id: String,
    /// The move's stage.
    pub stage: MoveStage,
    /// When the cluster was observed, by the clock of the observer.
    pub observed_at: Time,
    /// What would stand in the way of the move. Only for [`MoveStage::Prepare`]. At most 16 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub blockers: Vec<ReportEntry>,
    /// Whether everything of the preflight could be looked at. Without it no blockers say nothing.
    #[serde(default)]
    pub looked: bool,
    /// Whether every part runs what the move wants, nodes that are held back apart.
    #[serde(default)]
    pub arrived: bool,
    /// Whether the cluster is Ready, from what was observed live and after it arrived.
    #[serde(default)]
    pub healthy: bool,
    /// For how many seconds it has been seen healthy without a break since it arrived. Time in which nobody looked does
    /// not count.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub healthy_seconds: i64,
    /// The move cannot go on without somebody: what the report of the cluster says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<String>,
    /// For people: what is missing.
    #[serde(default)]
    pub message: String,
}
