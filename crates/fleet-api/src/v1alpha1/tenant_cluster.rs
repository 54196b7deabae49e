//! One cluster of one tenant: made by the controller, never by hand.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AccessGrant, AddonChoice, Capacity, Compliance, EksClass, Images, Maintenance, Move, Network, Owner,
    TenantClusterStatus,
};
use crate::KubernetesVersion;

/// One cluster of one tenant. The controller composes it from the tenant and its class; people read it.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "tenantfleet.dev",
    version = "v1alpha1",
    kind = "TenantCluster",
    shortname = "tcl",
    category = "fleet",
    status = "TenantClusterStatus",
    derive = "PartialEq",
    doc = "One cluster of one tenant. The controller composes it from the tenant and its class; people read it.",
    selectable = ".spec.tenant",
    printcolumn(name = "Tenant", type_ = "string", json_path = ".spec.tenant"),
    printcolumn(name = "Want", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Have", type_ = "string", json_path = ".status.versions.controlPlane"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("self.clusterName == oldSelf.clusterName && self.tenantUid == oldSelf.tenantUid")
        .message("a cluster stays with its name and its tenant")
)]
pub struct TenantClusterSpec {
    /// The tenant.
    pub tenant: String,
    /// The tenant's UID. Names, tokens and tags derive from it.
    pub tenant_uid: String,
    /// Who answers for the tenant.
    pub owner: Owner,
    /// The class that the cluster was composed from.
    pub class: String,
    /// The cluster's name in the cloud, stored here before the first cloud call.
    pub cluster_name: String,
    /// The wanted Kubernetes minor.
    pub version: KubernetesVersion,
    /// How the cluster is hardened.
    pub hardening: Hardening,
    /// When the tenant may be disturbed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// Whether the tenant has confirmed, by its name, that cluster and data may go.
    #[serde(default)]
    pub deletion_confirmed: bool,
    /// True keeps fleet from changing anything, while it still watches.
    #[serde(default)]
    pub paused: bool,
    /// The EKS cluster to make, for classes on EKS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eks: Option<EksClass>,
    /// What a rollout wants of the cluster. It goes before what was composed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Move>,
    /// What earlier rollouts moved the cluster to. It goes before what the class says, until the class says the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moved>,
}

/// What rollouts moved a cluster to, beside its version: kept when the next rollout takes the place of theirs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// The Baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// Add-ons, each at its version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40))]
    pub addons: Vec<AddonChoice>,
    /// The minor to which a rollout took the cluster back: its channel does not send it forward again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<KubernetesVersion>,
}

/// How a cluster is hardened: the baseline's name, and the tenant's own values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hardening {
    /// The Baseline.
    pub baseline: String,
    /// The regimes that the tenant is under; each may tighten the profile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compliance: Vec<Compliance>,
    /// The tenant's namespaces; at least one.
    pub namespaces: Vec<String>,
    /// What the tenant may consume in each of its namespaces.
    #[serde(default)]
    pub capacity: Capacity,
    /// Where the tenant's pods may connect to.
    #[serde(default)]
    pub network: Network,
    /// Where the tenant's images may come from.
    #[serde(default)]
    pub images: Images,
    /// Who may use the cluster, once it is proven.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<AccessGrant>,
}
