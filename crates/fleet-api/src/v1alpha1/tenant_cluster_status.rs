//! What is known of one cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Evidence;
use crate::{KubernetesVersion, receipt::ReceiptItem};

/// What is known of one cluster. No list in it grows with the fleet or with time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantClusterStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Provisioned, Hardened, Proven, UpToDate, Reachable, and why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The cluster's ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// The URL of the API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The API server's certificate authorities, PEM in base64, as EKS gives them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<String>,
    /// The observed versions.
    #[serde(default)]
    pub versions: VersionStatus,
    /// The step that is being carried out, with the state it expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepStatus>,
    /// The last update of the cloud that was seen to end. Tokens of later updates derive from it, so that a change
    /// made twice is sent twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update: Option<String>,
    /// Steps that failed and have not succeeded since. At most 16 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub failures: Vec<StepFailure>,
    /// How far the deletion is, once it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<DeletionStatus>,
    /// Why nothing moves, or what is waited for: what `fleet why` prints. At most 16 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub report: Vec<ReportEntry>,
    /// The hardening bundle.
    #[serde(default)]
    pub baseline: BaselineStatus,
    /// What was seen of the cluster under the move that a rollout wants of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// The observed versions of a cluster's parts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionStatus {
    /// The control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_plane: Option<KubernetesVersion>,
    /// The version that the cluster was made with. No rollback goes below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<KubernetesVersion>,
    /// When the last upgrade of the control plane was seen finished. A rollback is possible for 7 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade_completed_at: Option<Time>,
    /// The last change that disturbed workloads. A minimum gap is counted from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_disruption: Option<Disruption>,
    /// The node groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 30))]
    pub nodes: Vec<ComponentVersion>,
    /// The add-ons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40))]
    pub addons: Vec<ComponentVersion>,
}

/// A change that disturbed workloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Disruption {
    /// What the change is, such as `1.36` for an upgrade. A step of the same change goes on with it.
    pub change: String,
    /// When its last disruptive step was begun.
    pub at: Time,
}

impl VersionStatus {
    /// When workloads were last disturbed by a change, as far as it is known.
    pub fn last_disrupted_at(&self) -> Option<jiff::Timestamp> {
        let begun = self.last_disruption.as_ref().map(|disruption| disruption.at.0);
        begun.max(self.upgrade_completed_at.as_ref().map(|at| at.0))
    }
}

/// The observed version of one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentVersion {
    /// The part's name.
    pub name: String,
    /// Its version, as the cloud writes it.
    pub version: String,
}

/// The step that is being carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// The step's id, such as `create-cluster` or `update-version`.
    pub id: String,
    /// For people: what it does.
    pub summary: String,
    /// The id of the cloud's update, once the cloud gave one. Progress is judged by it and by nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_id: Option<String>,
    /// When it was begun.
    pub started_at: Time,
    /// How often it was tried.
    #[schemars(range(min = 0))]
    pub attempts: i32,
}

/// A step that failed. It is tried again after a pause that grows, a few times, and then waits for somebody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepFailure {
    /// The step's id.
    pub step: String,
    /// How often it failed.
    #[schemars(range(min = 0))]
    pub attempts: i32,
    /// The cloud's code, such as `PodEvictionFailure`.
    pub code: String,
    /// The cloud's message.
    pub message: String,
    /// When it was last seen to fail.
    pub last_at: Time,
    /// What shows the failure: an update's id, or the part itself. A failure that is seen twice counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_as: Option<String>,
    /// The value of the retry annotation when it failed. Another value forgets the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
    /// The hash of what was asked for. Another wish forgets the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<String>,
    /// The attempt of a rollout under which it failed: the move's id and stage. Another attempt forgets the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<String>,
}

/// How far a deletion is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletionStatus {
    /// When it began.
    pub began_at: Time,
    /// What was there when it began, for the receipt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub there: Vec<ReceiptItem>,
    /// How far the workloads' load balancers and volumes are drained.
    #[serde(default)]
    pub drain: DrainStatus,
    /// When the cluster was first seen gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Time>,
}

/// How far the Services, Ingresses and claims of a cluster are drained, which hold load balancers and volumes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrainStatus {
    /// When none was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// What was still there when it was last looked. At most 10 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub remaining: Vec<String>,
    /// Why it was given up, when it was: then the receipt names what that left behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// One reason why nothing moves, or what is waited for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportEntry {
    /// The reason's code, such as `WaitingForCluster` or `NodeGroupDegraded`.
    pub code: String,
    /// For people: what stands where.
    pub message: String,
    /// Who can act: `nobody` (it passes by itself), `tenant`, `operator` or `cloud`.
    pub who: String,
    /// What to do, as one imperative, when somebody has to act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The hardening bundle in one cluster: counts, never the objects.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaselineStatus {
    /// The revision that is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The revision of which every object was last seen applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_revision: Option<String>,
    /// How many objects the revision has.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub objects: i32,
    /// How many of them were last seen as wanted.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub applied: i32,
    /// How many objects were put back since the controller began to watch the cluster.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub repairs: i64,
    /// The last error of applying, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The revision that the probes last judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven_revision: Option<String>,
    /// When the probes last ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven_at: Option<Time>,
    /// The verdicts of the probes.
    #[serde(default)]
    pub probes: ProbeCounts,
    /// Objects that somebody else keeps changing back, and that fleet has left alone. At most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub fights: Vec<FightStatus>,
}

/// How many controls got which verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProbeCounts {
    /// Seen to bite.
    #[serde(default)]
    pub pass: i32,
    /// Seen not to bite.
    #[serde(default)]
    pub fail: i32,
    /// Waived by a ControlException that has not expired.
    #[serde(default)]
    pub accepted: i32,
    /// Nothing here can show it: never counted as a pass.
    #[serde(default)]
    pub not_proven: i32,
    /// The control has no meaning for this cluster, for a reason that the report gives.
    #[serde(default)]
    pub not_applicable: i32,
}

/// An object that somebody else keeps changing back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FightStatus {
    /// Kind, namespace and name.
    pub object: String,
    /// The field manager that changed it last.
    pub other: String,
}
