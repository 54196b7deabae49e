//! What can be done to an EKS cluster: one variant, one call (or one pair that EKS cannot make in one).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Part, PolicyAssociation};
use crate::{
    KubernetesVersion,
    v1alpha1::{AutoMode, EksLogType, NodeScaling, NodeTaint, SupportType},
};

/// One call to EKS, or to one of the services around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EksAction {
    /// Make the control plane.
    CreateCluster(Box<CreateClusterRequest>),
    /// Change one kind of setting of the control plane. EKS takes one kind per call and one call at a time.
    UpdateConfig(ConfigChange),
    /// Move the control plane to the next minor, or back to the one before.
    UpdateVersion {
        /// Where it is.
        from: KubernetesVersion,
        /// Where it goes.
        to: KubernetesVersion,
    },
    /// Have EKS look again at what stands in the way of an upgrade or a rollback.
    RefreshInsights,
    /// Delete the control plane.
    DeleteCluster,
    /// Make a launch template.
    CreateLaunchTemplate(LaunchTemplateRequest),
    /// Make a new version of a launch template that is no longer as it should be.
    CreateLaunchTemplateVersion {
        /// The id.
        id: String,
        /// What the new version should be.
        request: LaunchTemplateRequest,
    },
    /// Delete a launch template.
    DeleteLaunchTemplate {
        /// The id.
        id: String,
        /// The name, for receipts.
        name: String,
    },
    /// Make a node group.
    CreateNodegroup(Box<NodegroupRequest>),
    /// Change a node group's scaling bounds, labels, taints or update pace.
    UpdateNodegroupConfig(Box<NodegroupRequest>),
    /// Move a node group to a minor.
    UpdateNodegroupVersion {
        /// The node group.
        name: String,
        /// The minor.
        to: KubernetesVersion,
        /// The launch template's id and version.
        launch_template: Option<(String, String)>,
    },
    /// Delete a node group.
    DeleteNodegroup {
        /// The node group.
        name: String,
    },
    /// Install an add-on.
    CreateAddon(AddonRequest),
    /// Change an add-on's version or settings.
    UpdateAddon(AddonRequest),
    /// Remove an add-on and its workload.
    DeleteAddon {
        /// The add-on.
        name: String,
    },
    /// Make an access entry with its policies (two calls of EKS, so the second is repeated until seen).
    CreateAccessEntry(AccessEntryRequest),
    /// Set the groups of an access entry.
    UpdateAccessEntry(AccessEntryRequest),
    /// Add a policy to an access entry.
    AssociateAccessPolicy {
        /// The principal.
        principal_arn: String,
        /// The policy.
        policy: PolicyAssociation,
    },
    /// Take a policy from an access entry.
    DisassociateAccessPolicy {
        /// The principal.
        principal_arn: String,
        /// The policy's ARN.
        policy_arn: String,
    },
    /// Delete an access entry.
    DeleteAccessEntry {
        /// The principal.
        principal_arn: String,
    },
    /// Make a pod identity association.
    CreatePodIdentity(PodIdentityRequest),
    /// Change the role of a pod identity association.
    UpdatePodIdentity {
        /// The association's id.
        association_id: String,
        /// What it should be.
        request: PodIdentityRequest,
    },
    /// Delete a pod identity association.
    DeletePodIdentity {
        /// The association's id.
        association_id: String,
        /// For receipts: `namespace/serviceAccount`.
        name: String,
    },
    /// Set tags of the cluster.
    TagCluster {
        /// The cluster's ARN.
        arn: String,
        /// The tags to set.
        tags: BTreeMap<String, String>,
    },
}

impl EksAction {
    /// The operation, as the cloud names it: for errors, metrics and fault plans.
    pub const fn operation(&self) -> &'static str {
        match self {
            Self::CreateCluster(_) => "CreateCluster",
            Self::UpdateConfig(_) => "UpdateClusterConfig",
            Self::UpdateVersion { .. } => "UpdateClusterVersion",
            Self::RefreshInsights => "StartInsightsRefresh",
            Self::DeleteCluster => "DeleteCluster",
            Self::CreateLaunchTemplate(_) => "CreateLaunchTemplate",
            Self::CreateLaunchTemplateVersion { .. } => "CreateLaunchTemplateVersion",
            Self::DeleteLaunchTemplate { .. } => "DeleteLaunchTemplate",
            Self::CreateNodegroup(_) => "CreateNodegroup",
            Self::UpdateNodegroupConfig(_) => "UpdateNodegroupConfig",
            Self::UpdateNodegroupVersion { .. } => "UpdateNodegroupVersion",
            Self::DeleteNodegroup { .. } => "DeleteNodegroup",
            Self::CreateAddon(_) => "CreateAddon",
            Self::UpdateAddon(_) => "UpdateAddon",
            Self::DeleteAddon { .. } => "DeleteAddon",
            Self::CreateAccessEntry(_) => "CreateAccessEntry",
            Self::UpdateAccessEntry(_) => "UpdateAccessEntry",
            Self::AssociateAccessPolicy { .. } => "AssociateAccessPolicy",
            Self::DisassociateAccessPolicy { .. } => "DisassociateAccessPolicy",
            Self::DeleteAccessEntry { .. } => "DeleteAccessEntry",
            Self::CreatePodIdentity(_) => "CreatePodIdentityAssociation",
            Self::UpdatePodIdentity { .. } => "UpdatePodIdentityAssociation",
            Self::DeletePodIdentity { .. } => "DeletePodIdentityAssociation",
            Self::TagCluster { .. } => "TagResource",
        }
    }

    /// The part that the action makes, changes or deletes.
    pub fn part(&self) -> Part {
        match self {
            Self::CreateCluster(_)
            | Self::UpdateConfig(_)
            | Self::UpdateVersion { .. }
            | Self::RefreshInsights
            | Self::DeleteCluster
            | Self::TagCluster { .. } => Part::Cluster,
            Self::CreateLaunchTemplate(request) | Self::CreateLaunchTemplateVersion { request, .. } => {
                Part::LaunchTemplate(request.name.clone())
            }
            Self::DeleteLaunchTemplate { name, .. } => Part::LaunchTemplate(name.clone()),
            Self::CreateNodegroup(request) | Self::UpdateNodegroupConfig(request) => {
                Part::Nodegroup(request.name.clone())
            }
            Self::UpdateNodegroupVersion { name, .. } | Self::DeleteNodegroup { name } => {
                Part::Nodegroup(name.clone())
            }
            Self::CreateAddon(request) | Self::UpdateAddon(request) => Part::Addon(request.name.clone()),
            Self::DeleteAddon { name } => Part::Addon(name.clone()),
            Self::CreateAccessEntry(request) | Self::UpdateAccessEntry(request) => {
                Part::AccessEntry(request.principal_arn.clone())
            }
            Self::AssociateAccessPolicy { principal_arn, .. }
            | Self::DisassociateAccessPolicy { principal_arn, .. }
            | Self::DeleteAccessEntry { principal_arn } => Part::AccessEntry(principal_arn.clone()),
            Self::CreatePodIdentity(request) | Self::UpdatePodIdentity { request, .. } => Part::PodIdentity {
                namespace: request.namespace.clone(),
                service_account: request.service_account.clone(),
            },
            Self::DeletePodIdentity { name, .. } => {
                let (namespace, service_account) = name.split_once('/').unwrap_or((name, ""));
                Part::PodIdentity {
                    namespace: namespace.to_owned(),
                    service_account: service_account.to_owned(),
                }
            }
        }
    }

    /// True for the actions that are done when the part is not there.
    pub const fn deletes(&self) -> bool {
        matches!(
            self,
            Self::DeleteCluster
                | Self::DeleteLaunchTemplate { .. }
                | Self::DeleteNodegroup { .. }
                | Self::DeleteAddon { .. }
                | Self::DisassociateAccessPolicy { .. }
                | Self::DeleteAccessEntry { .. }
                | Self::DeletePodIdentity { .. }
        )
    }
}

/// How a control plane is made. The name comes from the target.
///
/// Always so, and therefore no field: `authenticationMode: API`, no admin for the creator, no self-managed
/// add-ons, the private endpoint on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateClusterRequest {
    /// The minor.
    pub version: KubernetesVersion,
    /// The role of the control plane.
    pub role_arn: String,
    /// The subnets.
    pub subnet_ids: BTreeSet<String>,
    /// The further security groups.
    pub security_group_ids: BTreeSet<String>,
    /// Who reaches the public endpoint; empty for none.
    pub public_cidrs: BTreeSet<String>,
    /// The CIDR of Services.
    pub service_cidr: Option<String>,
    /// The key that wraps secrets.
    pub kms_key_arn: Option<String>,
    /// The logs to send.
    pub logging: BTreeSet<EksLogType>,
    /// What happens when standard support ends.
    pub support_type: SupportType,
    /// Whether EKS refuses to delete the cluster.
    pub deletion_protection: bool,
    /// Auto Mode.
    pub auto_mode: Option<AutoMode>,
    /// The tags, ownership included.
    pub tags: BTreeMap<String, String>,
}

/// One kind of setting of a control plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConfigChange {
    /// Who reaches the endpoint; the private endpoint stays on.
    Endpoint {
        /// Empty for none.
        public_cidrs: BTreeSet<String>,
    },
    /// Subnets and security groups. EKS sets both together.
    Network {
        /// The subnets.
        subnet_ids: BTreeSet<String>,
        /// The further security groups.
        security_group_ids: BTreeSet<String>,
    },
    /// The logs to send; all others are switched off.
    Logging(BTreeSet<EksLogType>),
    /// What happens when standard support ends.
    SupportType(SupportType),
    /// Whether EKS refuses to delete the cluster.
    DeletionProtection(bool),
    /// Auto Mode on (compute, storage and load balancing together), or off.
    AutoMode(Option<AutoMode>),
}

impl ConfigChange {
    /// The kind, for ids of steps and for people.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Endpoint { .. } => "endpoint",
            Self::Network { .. } => "network",
            Self::Logging(_) => "logging",
            Self::SupportType(_) => "support-type",
            Self::DeletionProtection(_) => "deletion-protection",
            Self::AutoMode(_) => "auto-mode",
        }
    }
}

/// A launch template for a node group: IMDSv2 required with a hop limit of 1, encrypted volumes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchTemplateRequest {
    /// The name, from cluster and node group.
    pub name: String,
    /// The data volume in GiB.
    pub disk_gib: i32,
    /// True for Bottlerocket, whose data volume is the second device (`/dev/xvdb`); AL2023 has one (`/dev/xvda`).
    pub bottlerocket: bool,
    /// The tags, ownership included.
    pub tags: BTreeMap<String, String>,
}

/// A node group as it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodegroupRequest {
    /// The name.
    pub name: String,
    /// The minor.
    pub version: KubernetesVersion,
    /// The `amiType`.
    pub ami_type: String,
    /// The instance types.
    pub instance_types: Vec<String>,
    /// How many nodes.
    pub scaling: NodeScaling,
    /// The role of the nodes.
    pub node_role_arn: String,
    /// The subnets.
    pub subnet_ids: BTreeSet<String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The taints.
    pub taints: Vec<NodeTaint>,
    /// Labels and taints that the node group has and should lose, by key.
    pub remove_labels: BTreeSet<String>,
    /// Taints to take away.
    pub remove_taints: Vec<NodeTaint>,
    /// The launch template's id and version.
    pub launch_template: (String, String),
    /// How many nodes an update may take away, in percent.
    pub max_unavailable_percent: i32,
    /// The tags, ownership included.
    pub tags: BTreeMap<String, String>,
}

/// An add-on as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddonRequest {
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
    /// The settings as JSON text.
    pub configuration: Option<String>,
    /// The role of its service account.
    pub role_arn: Option<String>,
    /// The tags, ownership included.
    pub tags: BTreeMap<String, String>,
}

/// An access entry as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessEntryRequest {
    /// The IAM principal.
    pub principal_arn: String,
    /// The Kubernetes groups.
    pub groups: BTreeSet<String>,
    /// The access policies.
    pub policies: Vec<PolicyAssociation>,
    /// The tags, ownership included.
    pub tags: BTreeMap<String, String>,
}

/// A pod identity association as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodIdentityRequest {
    /// The namespace of the service account.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
    /// The role.
    pub role_arn: String,
    /// The tags, ownership included.
    pub tags: BTreeMap<String, String>,
}
