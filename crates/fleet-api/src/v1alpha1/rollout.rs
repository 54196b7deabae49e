//! One coordinated change through the fleet.

use k8s_openapi::apimachinery::pkg::{
    apis::meta::v1::{Condition, LabelSelector, Time},
    util::intstr::IntOrString,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AddonChoice, ReportEntry};
use crate::{KubernetesVersion, text::Minutes};

/// One coordinated change through the fleet, in ordered waves. What it does is fixed by the plan that it was started
/// with; how it is driven (`run`) can be edited.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "tenantfleet.dev",
    version = "v1alpha1",
    kind = "Rollout",
    shortname = "ro",
    category = "fleet",
    status = "RolloutStatus",
    derive = "PartialEq",
    doc = "One coordinated change through the fleet, in ordered waves.",
    printcolumn(name = "Run", type_ = "string", json_path = ".spec.run"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Wave", type_ = "string", json_path = ".status.wave"),
    printcolumn(name = "Done", type_ = "integer", json_path = ".status.counts.succeeded"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.counts.failed"),
    printcolumn(name = "Members", type_ = "integer", json_path = ".status.counts.members"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63")
        .message("a rollout's name has at most 63 characters: its members carry it as a label")
)]
#[x_kube(
    validation = Rule::new("self.target == oldSelf.target && self.waves == oldSelf.waves && self.author == oldSelf.author && self.planHash == oldSelf.planHash && self.onFailure == oldSelf.onFailure && self.slots == oldSelf.slots && self.plannedMembers == oldSelf.plannedMembers && self.stepDeadline == oldSelf.stepDeadline && self.offlineAfter == oldSelf.offlineAfter && has(self.holdNodes) == has(oldSelf.holdNodes) && (!has(self.holdNodes) || self.holdNodes == oldSelf.holdNodes) && has(self.members) == has(oldSelf.members)")
        .message("a rollout runs the plan that it was started with: abort it and start another one")
)]
pub struct RolloutSpec {
    /// What its members move to.
    pub target: RolloutTarget,
    /// Which tenants take part; every tenant when left out. Each one must belong to exactly one wave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("a rollout runs the plan that it was started with: abort it and start another one"))]
    pub members: Option<MemberSelector>,
    /// The waves, in the order in which they run.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub waves: Vec<Wave>,
    /// What happens when a wave has more failures than it may have. Default `pause`.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// What the slots of its members mean. Default `Binding`.
    #[serde(default)]
    pub slots: Slots,
    /// For how long nodes stay at the old minor after the control plane has moved, such as `48h`, so that a rollback
    /// stays cheap; at most 7 days, in which EKS can be rolled back. Nodes move at once when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_nodes: Option<Minutes>,
    /// After how long a member that is moving and has not arrived counts as failed, such as `6h`, the default.
    #[serde(default = "default_step_deadline")]
    pub step_deadline: Minutes,
    /// After how long without a fresh observation a member counts as offline. It is then no failure: it leaves the
    /// wave's denominator, up to the wave's failure budget. Default `1h`.
    #[serde(default = "default_offline_after")]
    pub offline_after: Minutes,
    /// Who planned it, as the management cluster knows them. They have no vote on its gates.
    #[schemars(length(min = 1, max = 256))]
    pub author: String,
    /// How many members its plan has. While fewer of them are seen, no wave passes and nothing begins: a wave whose
    /// members have not been read yet looks as if it had none.
    #[schemars(range(min = 1))]
    pub planned_members: i64,
    /// The hash of the plan that it runs. Approvals are bound to it.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub plan_hash: String,
    /// What it should be doing. Default `Planned`: nothing moves before somebody says `Running`.
    #[serde(default)]
    pub run: Run,
}

pub(super) const fn default_step_deadline() -> Minutes {
    Minutes(360)
}

pub(super) const fn default_offline_after() -> Minutes {
    Minutes(60)
}

/// What a rollout moves its members to: exactly one of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.kubernetes) ? 1 : 0) + (has(self.baseline) ? 1 : 0) + (has(self.addons) ? 1 : 0) == 1")
        .message("a rollout has one target: `kubernetes`, `baseline` or `addons`")
)]
pub struct RolloutTarget {
    /// The Kubernetes minor. Members one minor behind it move; those that are there already have nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesVersion>,
    /// The Baseline, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub baseline: Option<String>,
    /// Add-ons at these versions, in place of what the class says of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub addons: Option<Vec<AddonChoice>>,
}

/// Which tenants.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberSelector {
    /// By the tenant's labels; every tenant when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelSelector>,
    /// By the tenant's class; every class when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub classes: Option<Vec<String>>,
    /// By the tenant's name; every name when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub tenants: Option<Vec<String>>,
}

/// One wave: it begins when the wave before it has passed, and passes when enough of its members have succeeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Wave {
    /// The wave's name.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The rollout's members that belong to it.
    pub selector: MemberSelector,
    /// How many of them may be moving at once: a number, or a percentage of the wave, rounded down and at least 1.
    /// Default 1.
    #[serde(default = "default_concurrent")]
    pub max_concurrent: IntOrString,
    /// How many of them may fail before the rollout stops: a number, or a percentage of the wave, rounded down. 0
    /// means none. Default 0.
    #[serde(default = "default_failures")]
    pub max_failures: IntOrString,
    /// How many of them must have succeeded for the wave to pass: a number, or a percentage of the members that count,
    /// rounded up. Default `100%` less the failures that are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_successes: Option<IntOrString>,
    /// For how long a member has to be seen healthy on the target before it has succeeded, such as `24h`. It begins
    /// again whenever the member is not healthy. Nothing when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Minutes>,
    /// What has to be open before the first member of the wave moves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub before: Vec<Gate>,
    /// What has to be open, once the members have succeeded, for the wave to pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub after: Vec<Gate>,
}

const fn default_concurrent() -> IntOrString {
    IntOrString::Int(1)
}

const fn default_failures() -> IntOrString {
    IntOrString::Int(0)
}

/// Something that has to be so before a rollout goes on: exactly one of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.approval) ? 1 : 0) + (has(self.notBefore) ? 1 : 0) + (has(self.condition) ? 1 : 0) + (has(self.prometheus) ? 1 : 0) + (has(self.job) ? 1 : 0) == 1")
        .message("a gate is one thing: `approval`, `notBefore`, `condition`, `prometheus` or `job`")
)]
pub struct Gate {
    /// The gate's name, unique within the rollout.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Votes of people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalGate>,
    /// A moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// A CEL expression over each member's TenantCluster, as `cluster`; every member of the wave has to meet it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub condition: Option<String>,
    /// A Prometheus query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusGate>,
    /// A Job in every member's cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobGate>,
}

/// N of M votes, by role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalGate {
    /// How many different people have to approve. Default 1.
    #[serde(default = "default_votes")]
    #[schemars(range(min = 1, max = 16))]
    pub required: i32,
    /// In whose roles they vote, as the Fleet's `approvers` name them; of each role at least one.
    #[schemars(length(min = 1, max = 8))]
    pub roles: Vec<String>,
    /// For how long a vote counts, such as `48h`, the default.
    #[serde(default = "default_vote_life")]
    pub valid_for: Minutes,
}

const fn default_votes() -> i32 {
    1
}

const fn default_vote_life() -> Minutes {
    Minutes(48 * 60)
}

/// A Prometheus query that has to give a result, of which every sample is not 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusGate {
    /// The URL of the Prometheus server, such as `https://prometheus.example.com`. One at a private address has to be
    /// in the Fleet's `prometheus`; link-local and metadata addresses are never asked.
    #[schemars(length(min = 1, max = 512))]
    pub url: String,
    /// The query, such as `sum(rate(errors[5m])) < bool 1`.
    #[schemars(length(min = 1, max = 2048))]
    pub query: String,
}

/// A Job that has to end well in every member's cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobGate {
    /// The namespace of the tenant's cluster.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// A CronJob of the namespace, whose template is run once for the gate.
    #[schemars(length(min = 1, max = 63))]
    pub cron_job: String,
    /// After how long a Job that has not ended counts as failed. Default `30m`.
    #[serde(default = "default_job_deadline")]
    pub deadline: Minutes,
}

const fn default_job_deadline() -> Minutes {
    Minutes(30)
}

/// What happens when a wave has more failures than it may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Nothing new begins; what runs is left to finish.
    #[default]
    Pause,
    /// Nothing new begins, and every member of the wave that has moved is rolled back, as far as EKS allows it.
    Rollback,
}

/// What the slots of a plan mean for its members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Slots {
    /// No member begins before its slot: tenants can rely on the plan's dates.
    #[default]
    Binding,
    /// Slots tell the order and what to expect: a member begins as soon as its wave, the gates, its windows and the
    /// number of members that may move at once let it. Plans count on long upgrades, so it mostly begins earlier.
    Advisory,
}

/// What a rollout should be doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Run {
    /// Nothing moves: the plan stands to be read and approved.
    #[default]
    Planned,
    /// It runs.
    Running,
    /// Nothing new begins; what runs is left to finish, and may still succeed.
    Paused,
    /// Nothing begins any more, ever; what runs is left to finish.
    Aborted,
    /// Every member that has moved is rolled back, as far as EKS allows it. Nothing begins any more.
    RollingBack,
}

/// What is known of a rollout. No list in it grows with its members.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it stands.
    #[serde(default)]
    pub phase: RolloutPhase,
    /// The wave that is being worked on, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<String>,
    /// When the first member was allowed to move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// How many members are in which state.
    #[serde(default)]
    pub counts: MemberCounts,
    /// The waves, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub waves: Vec<WaveStatus>,
    /// What was allowed last. It is written before any member is: a reader that does not see it done in the members
    /// does it again, and allows nothing new.
    #[serde(default)]
    pub ledger: Ledger,
    /// Why nothing moves, or what is waited for. At most 16 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub report: Vec<ReportEntry>,
    /// Progressing, Passed, and why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RolloutPhase {
    /// Nothing has moved.
    #[default]
    Planned,
    /// Members move, or wait for their slot.
    Running,
    /// A gate, and nothing else, holds the next move.
    WaitingForGate,
    /// Somebody paused it.
    Paused,
    /// It stopped by itself, because a wave has more failures than it may have.
    Stopped,
    /// Members are being rolled back.
    RollingBack,
    /// Every wave passed.
    Completed,
    /// It was aborted, and nothing moves any more.
    Aborted,
    /// It was rolled back, and nothing moves any more.
    RolledBack,
}

impl RolloutPhase {
    /// Whether nothing will ever move again.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Aborted | Self::RolledBack)
    }
}

/// What the rollout allowed last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// Grows by one with every entry.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub seq: i64,
    /// The members that were allowed to begin with this entry, by name. At most 100: what is beyond waits for the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub granted: Vec<String>,
    /// The members that were allowed to move back with this entry, by name. At most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub back: Vec<String>,
    /// The members of which this entry says that they fail, fall back, return or are tried again: whatever takes room,
    /// spends the failure budget or unsettles a wave is announced here before it is written. At most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub noted: Vec<String>,
    /// How many names all entries held so far, this one included. Members count the entries that they have answered:
    /// when their sum is smaller, somebody reads members that are out of date.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub named: i64,
}

/// How many members are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberCounts {
    /// All of them.
    #[serde(default)]
    pub members: i32,
    /// Pending, or in preflight.
    #[serde(default)]
    pub waiting: i32,
    /// Upgrading or verifying.
    #[serde(default)]
    pub moving: i32,
    /// Soaking.
    #[serde(default)]
    pub soaking: i32,
    /// Succeeded.
    #[serde(default)]
    pub succeeded: i32,
    /// Failed.
    #[serde(default)]
    pub failed: i32,
    /// Skipped by somebody, deleted, or offline.
    #[serde(default)]
    pub left_out: i32,
    /// Rolling back, or rolled back.
    #[serde(default)]
    pub rolled_back: i32,
}

/// Where a wave stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaveStatus {
    /// The wave's name.
    pub name: String,
    /// How many of its members are in which state.
    #[serde(default)]
    pub counts: MemberCounts,
    /// When its first member was allowed to move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Time>,
    /// When it passed. Once it has, it stays so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_at: Option<Time>,
    /// Its gates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub gates: Vec<GateStatus>,
}

/// Where a gate stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateStatus {
    /// The gate's name.
    pub name: String,
    /// Since when it can open: since the waves before have passed, or, for a gate after a wave, since the wave has
    /// nothing else to wait for. A vote that was given before does not count, and one has to be given anew when this
    /// moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openable_since: Option<Time>,
    /// When it opened. Once it has, it stays so for this plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Time>,
    /// Who opened it, for approvals: the names and roles of those whose votes counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub votes: Vec<String>,
    /// For people: what it waits for, or how it was opened.
    pub message: String,
}
