//! A customer or team, as operators write it.

use k8s_openapi::apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::Condition};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AccessGrant, Maintenance};
use crate::{KubernetesVersion, text::Day};

/// A customer or team that gets a Kubernetes cluster of its own.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "tenantfleet.dev",
    version = "v1alpha1",
    kind = "Tenant",
    shortname = "tn",
    category = "fleet",
    status = "TenantStatus",
    derive = "PartialEq",
    doc = "A customer or team that gets a Kubernetes cluster of its own.",
    selectable = ".spec.class",
    printcolumn(name = "Class", type_ = "string", json_path = ".spec.class"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 50 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("a tenant's name is a DNS label of at most 50 characters that begins with a letter")
)]
#[x_kube(
    validation = Rule::new("self.class == oldSelf.class")
        .message("a tenant's class cannot be edited: moving a tenant is a migration, not an edit")
)]
pub struct TenantSpec {
    /// Who answers for the tenant.
    pub owner: Owner,
    /// The TenantClass that says where and how the cluster is made. It cannot be changed afterwards.
    #[schemars(length(min = 1, max = 63))]
    pub class: String,
    /// The regimes that the tenant is under. The class must be able to carry each of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub compliance: Vec<Compliance>,
    /// Which Kubernetes minor the tenant runs: a channel to follow, or a version to stay on.
    #[serde(default)]
    pub kubernetes: KubernetesChoice,
    /// When the tenant may be disturbed. Without it the fleet's default holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// The namespaces that the tenant works in; one named like the tenant when none is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub namespaces: Vec<String>,
    /// What the tenant may consume in each of its namespaces.
    #[serde(default)]
    pub capacity: Capacity,
    /// Where the tenant's pods may connect to.
    #[serde(default)]
    pub network: Network,
    /// Where the tenant's images may come from, beside what the baseline allows.
    #[serde(default)]
    pub images: Images,
    /// Who may use the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub access: Vec<AccessGrant>,
}

/// Who answers for a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The team's short name. It becomes a label, so it must be a label value of at most 63 characters.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"))]
    pub team: String,
    /// How to reach the team: a mail address, a chat channel or a page.
    #[schemars(length(min = 1, max = 256))]
    pub contact: String,
}

/// A regime that a tenant is under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compliance {
    /// PCI DSS v4.
    Pci,
    /// The HIPAA Security Rule.
    Hipaa,
}

impl Compliance {
    /// The regime as manifests write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pci => "pci",
            Self::Hipaa => "hipaa",
        }
    }
}

/// Which Kubernetes minor a tenant runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.channel) && has(self.version))")
        .message("follow a channel or stay on a version, not both"),
    validation = Rule::new("!has(self.until) || has(self.version)")
        .message("`until` is the date up to which `version` holds, so it needs one")
)]
pub struct KubernetesChoice {
    /// The VersionChannel to follow. Without channel and version, the fleet's default channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The minor to stay on, such as `1.35`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<KubernetesVersion>,
    /// The last day on which `version` holds; afterwards the fleet's default channel is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Day>,
}

/// What a tenant may consume in each of its namespaces.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// CPU that containers may request, and be limited to, in sum. Default `20`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Memory that containers may request, and be limited to, in sum. Default `40Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// Ephemeral storage in sum. Default `100Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<Quantity>,
    /// Storage that claims may request in sum. Default `500Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Quantity>,
    /// How many pods. Default 250.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub pods: Option<i64>,
    /// How many Services of type LoadBalancer. Default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000))]
    pub load_balancers: Option<i64>,
}

/// Where a tenant's pods may connect to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Destinations outside the cluster. Everything that is not named, but DNS, is denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub egress: Vec<EgressRule>,
}

/// One destination outside the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EgressRule {
    /// The destination as a CIDR, such as `203.0.113.0/24`. One that holds the instance metadata address is cut
    /// around it.
    #[schemars(length(min = 1, max = 64))]
    pub cidr: String,
    /// The TCP ports, 1 to 65535; at least one.
    #[schemars(length(min = 1, max = 32), inner(range(min = 1, max = 65_535)))]
    pub ports: Vec<i32>,
}

/// Where a tenant's images may come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Images {
    /// Registry prefixes with their host that end in `/`, such as `registry.example.com/payments/`; Docker Hub's begin
    /// with `docker.io/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub registries: Vec<String>,
}

/// What is known of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The tenant's TenantCluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The observed version of the control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<KubernetesVersion>,
    /// Ready, Accepted, and why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
