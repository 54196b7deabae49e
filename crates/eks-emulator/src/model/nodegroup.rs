//! A managed node group, in the shape of the model's `Nodegroup`. No nodes run behind it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Health, Idempotency, Minor, PartStatus};
use crate::clock::Epoch;

/// A managed node group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Nodegroup {
    /// The name.
    pub nodegroup_name: String,
    /// The ARN.
    pub nodegroup_arn: String,
    /// The cluster.
    pub cluster_name: String,
    /// The minor of the nodes.
    pub version: Minor,
    /// The release of the machine image.
    pub release_version: String,
    /// When it was asked for.
    pub created_at: Epoch,
    /// When it last changed.
    pub modified_at: Epoch,
    /// The status.
    pub status: PartStatus,
    /// How the machines are paid for.
    pub capacity_type: CapacityType,
    /// How many nodes.
    pub scaling_config: NodeScalingConfig,
    /// The kinds of machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_types: Option<Vec<String>>,
    /// The subnets.
    pub subnets: Vec<String>,
    /// SSH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_access: Option<RemoteAccess>,
    /// The machine image.
    pub ami_type: String,
    /// The role of the nodes.
    pub node_role: String,
    /// The labels of the nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The taints of the nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// What EKS made for it; absent until active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<NodegroupResources>,
    /// The disk in GiB; absent with a launch template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_size: Option<i32>,
    /// What is wrong.
    pub health: Health,
    /// How an update goes.
    pub update_config: NodeUpdateConfig,
    /// Whether broken nodes are repaired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_repair_config: Option<NodeRepairConfig>,
    /// The launch template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_template: Option<LaunchTemplateSpec>,
    /// The tags.
    pub tags: BTreeMap<String, String>,
}

/// How machines are paid for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CapacityType {
    /// By use.
    #[default]
    OnDemand,
    /// Interruptible.
    Spot,
    /// Reserved.
    CapacityBlock,
}

/// How many nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeScalingConfig {
    /// At least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_size: Option<i32>,
    /// At most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<i32>,
    /// Now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_size: Option<i32>,
}

/// SSH.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoteAccess {
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ec2_ssh_key: Option<String>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_security_groups: Option<Vec<String>>,
}

/// A taint of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taint {
    /// The key.
    pub key: String,
    /// The value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What it does.
    pub effect: TaintEffect,
}

/// What a taint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaintEffect {
    /// Keeps pods away.
    NoSchedule,
    /// Removes pods.
    NoExecute,
    /// Keeps pods away if it can.
    PreferNoSchedule,
}

/// What EKS made for a node group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodegroupResources {
    /// The groups of machines.
    pub auto_scaling_groups: Vec<AutoScalingGroup>,
}

impl NodegroupResources {
    /// The group of machines, named as EKS names it: after the node group and the end of its ARN.
    pub fn named(nodegroup: &str, arn: &str) -> Self {
        let id = arn.rsplit('/').next().unwrap_or_default();
        Self { auto_scaling_groups: vec![AutoScalingGroup { name: format!("eks-{nodegroup}-{id}") }] }
    }
}

/// A group of machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoScalingGroup {
    /// The name.
    pub name: String,
}

/// How an update of a node group goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeUpdateConfig {
    /// How many nodes may be away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<i32>,
    /// How many nodes may be away, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable_percentage: Option<i32>,
    /// `DEFAULT` or `MINIMAL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_strategy: Option<String>,
}

/// Whether broken nodes are repaired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeRepairConfig {
    /// Whether they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// A launch template, by id or name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchTemplateSpec {
    /// The id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A node group and what the service knows of it besides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodegroupRecord {
    /// What is answered.
    pub nodegroup: Nodegroup,
    /// The token it was made with.
    pub idempotency: Option<Idempotency>,
    /// When the status that it is in ends.
    pub due: Option<Timestamp>,
    /// What to say instead of `ACTIVE` when it is due.
    pub fails_with: Option<super::Issue>,
}
