//! One person's vote on one gate.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One person's vote on one gate of one rollout plan. It cannot be changed; it can be taken back by deleting it, as long
/// as the gate has not opened.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "tenantfleet.dev",
    version = "v1alpha1",
    kind = "Approval",
    shortname = "apv",
    category = "fleet",
    derive = "PartialEq",
    doc = "One person's vote on one gate of one rollout plan.",
    selectable = ".spec.rollout",
    printcolumn(name = "Rollout", type_ = "string", json_path = ".spec.rollout"),
    printcolumn(name = "Gate", type_ = "string", json_path = ".spec.gate"),
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.role"),
    printcolumn(name = "Approver", type_ = "string", json_path = ".spec.approver"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("self == oldSelf").message("a vote cannot be changed: delete it and vote again"))]
pub struct ApprovalSpec {
    /// The Rollout.
    #[schemars(length(min = 1, max = 63))]
    pub rollout: String,
    /// The gate, by name.
    #[schemars(length(min = 1, max = 40))]
    pub gate: String,
    /// The hash of the plan that is approved. A vote for another plan counts for nothing.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub plan_hash: String,
    /// The role in which the vote is given, as the Fleet's `approvers` name it.
    #[schemars(length(min = 1, max = 63))]
    pub role: String,
    /// Who votes, as the management cluster knows them. An admission policy demands that it is whoever writes it, and that
    /// they have the role.
    #[schemars(length(min = 1, max = 256))]
    pub approver: String,
    /// Why, or what was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub comment: Option<String>,
}

/// Who may vote in a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApproverRole {
    /// The role, such as `security`.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The groups of the management cluster whose members have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub groups: Vec<String>,
    /// The users of the management cluster who have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub users: Vec<String>,
}
