//! Where and how tenants' clusters are made.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Compliance;

/// Where and how tenants' clusters are made.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "tenantfleet.dev",
    version = "v1alpha1",
    kind = "TenantClass",
    plural = "tenantclasses",
    shortname = "tc",
    category = "fleet",
    derive = "PartialEq",
    doc = "Where and how tenants' clusters are made.",
    printcolumn(name = "Baseline", type_ = "string", json_path = ".spec.baseline"),
    printcolumn(name = "Account", type_ = "string", json_path = ".spec.eks.account"),
    printcolumn(name = "Region", type_ = "string", json_path = ".spec.eks.region")
)]
#[x_kube(validation = Rule::new("has(self.eks)").message("a class names one provider: `eks`"))]
pub struct TenantClassSpec {
    /// The Baseline that hardens clusters of this class.
    #[schemars(length(min = 1, max = 63))]
    pub baseline: String,
    /// The regimes that clusters of this class can carry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub carries: Vec<Compliance>,
    /// A dedicated EKS cluster for each tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eks: Option<EksClass>,
}

/// A dedicated EKS cluster: account, network, roles and nodes as they are given. Nothing of them is invented.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.autoMode) || (has(self.nodeGroups) && size(self.nodeGroups) > 0)")
        .message("a cluster needs `autoMode` or at least one of `nodeGroups`"),
    validation = Rule::new("!(has(self.autoMode) && has(self.nodeGroups) && size(self.nodeGroups) > 0)")
        .message("`autoMode` makes its own nodes: leave out `nodeGroups`")
)]
pub struct EksClass {
    /// The AWS account, 12 digits.
    #[schemars(regex(pattern = "^[0-9]{12}$"))]
    pub account: String,
    /// The AWS region, such as `eu-central-1`.
    #[schemars(regex(pattern = "^[a-z]{2}(-[a-z]+)+-[0-9]$"))]
    pub region: String,
    /// The role that the controller assumes in the account. The tenant's UID is the external id, unless
    /// `externalId` gives another.
    #[schemars(regex(pattern = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$"))]
    pub role_arn: String,
    /// An external id for every tenant of this class, when the role's trust policy cannot name tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 1224))]
    pub external_id: Option<String>,
    /// The role of the control plane.
    #[schemars(regex(pattern = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$"))]
    pub cluster_role_arn: String,
    /// Subnets, security groups and the endpoint.
    pub network: EksNetwork,
    /// The KMS key that wraps Kubernetes secrets. It cannot be changed or taken away afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$"))]
    pub kms_key_arn: Option<String>,
    /// The control-plane logs to send to CloudWatch; all of them when left out.
    #[serde(default = "EksLogType::all")]
    #[schemars(length(max = 5))]
    pub logging: Vec<EksLogType>,
    /// What happens when standard support ends: `STANDARD` upgrades by force, `EXTENDED` costs more.
    #[serde(default)]
    pub support_type: SupportType,
    /// Refuses to delete clusters until the tenant has confirmed it by name. Default true.
    #[serde(default = "yes")]
    pub deletion_protection: bool,
    /// EKS Auto Mode, in place of node groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_mode: Option<AutoMode>,
    /// Managed node groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 30))]
    pub node_groups: Vec<NodeGroup>,
    /// Add-ons beside `vpc-cni`, `kube-proxy` and `coredns`, which every cluster without Auto Mode gets; an entry
    /// with one of these names configures it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub addons: Vec<AddonChoice>,
    /// People and machines of the platform that may enter every cluster of this class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub platform_access: Vec<PlatformAccess>,
    /// IAM roles for service accounts, by EKS Pod Identity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub pod_identities: Vec<PodIdentity>,
    /// Tags for everything that is made, beside fleet's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

const fn yes() -> bool {
    true
}

/// Subnets, security groups and the endpoint of an EKS cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EksNetwork {
    /// At least two subnets in two availability zones.
    #[schemars(length(min = 2, max = 16))]
    pub subnet_ids: Vec<String>,
    /// Further security groups of the control plane, at most five.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub security_group_ids: Vec<String>,
    /// Who can reach the API server. Private alone by default.
    #[serde(default)]
    pub endpoint: Endpoint,
    /// The CIDR of Services. EKS chooses one when left out. It cannot be changed afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_cidr: Option<String>,
}

/// Who can reach the API server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.publicCidrs) || !self.publicCidrs.exists(c, c == '0.0.0.0/0')")
        .message("an endpoint that is open to the whole internet is refused: name the networks")
)]
pub struct Endpoint {
    /// Networks that may reach the public endpoint. Empty, the default, keeps the endpoint private.
    #[serde(default)]
    #[schemars(length(max = 40))]
    pub public_cidrs: Vec<String>,
}

/// A kind of control-plane log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum EksLogType {
    /// Requests to the API server.
    Api,
    /// The audit log.
    Audit,
    /// The IAM authenticator.
    Authenticator,
    /// The controller manager.
    ControllerManager,
    /// The scheduler.
    Scheduler,
}

impl EksLogType {
    /// Every kind, in the order of the EKS API.
    pub fn all() -> Vec<Self> {
        vec![Self::Api, Self::Audit, Self::Authenticator, Self::ControllerManager, Self::Scheduler]
    }

    /// The kind as the EKS API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Audit => "audit",
            Self::Authenticator => "authenticator",
            Self::ControllerManager => "controllerManager",
            Self::Scheduler => "scheduler",
        }
    }
}

/// What happens when a minor's standard support ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum SupportType {
    /// EKS upgrades the control plane by itself.
    #[default]
    Standard,
    /// The cluster stays and costs six times as much per hour.
    Extended,
}

impl SupportType {
    /// The type as the EKS API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::Extended => "EXTENDED",
        }
    }
}

/// EKS Auto Mode: AWS runs the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AutoMode {
    /// The role of the nodes. It cannot be changed while Auto Mode is on.
    #[schemars(regex(pattern = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$"))]
    pub node_role_arn: String,
    /// The built-in node pools: `general-purpose`, `system`.
    #[schemars(length(min = 1, max = 2))]
    pub node_pools: Vec<String>,
}

/// A managed node group. Its launch template is made by fleet: IMDSv2 is required, with a hop limit of 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.scaling.min <= self.scaling.desired && self.scaling.desired <= self.scaling.max")
        .message("`scaling` must hold min <= desired <= max")
)]
pub struct NodeGroup {
    /// The name, unique in the cluster.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The operating system and architecture.
    pub platform: NodePlatform,
    /// The instance types, in order of preference.
    #[schemars(length(min = 1, max = 20))]
    pub instance_types: Vec<String>,
    /// How many nodes.
    pub scaling: NodeScaling,
    /// The role of the nodes.
    #[schemars(regex(pattern = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$"))]
    pub node_role_arn: String,
    /// The subnets of the nodes; those of the cluster when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub subnet_ids: Vec<String>,
    /// The size of each node's data volume in GiB, which is encrypted. Default 50.
    #[serde(default = "default_disk_gib")]
    #[schemars(range(min = 20, max = 16_384))]
    pub disk_gib: i32,
    /// How many nodes an update may take away at once, in percent. Default 33.
    #[serde(default = "default_max_unavailable")]
    #[schemars(range(min = 1, max = 100))]
    pub max_unavailable_percent: i32,
    /// Labels of the nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Taints of the nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub taints: Vec<NodeTaint>,
}

const fn default_disk_gib() -> i32 {
    50
}

const fn default_max_unavailable() -> i32 {
    33
}

/// The operating system and architecture of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NodePlatform {
    /// Bottlerocket on x86-64.
    #[serde(rename = "bottlerocket-x86_64")]
    BottlerocketX86,
    /// Bottlerocket on 64-bit Arm.
    #[serde(rename = "bottlerocket-arm64")]
    BottlerocketArm,
    /// Amazon Linux 2023 on x86-64.
    #[serde(rename = "al2023-x86_64")]
    Al2023X86,
    /// Amazon Linux 2023 on 64-bit Arm.
    #[serde(rename = "al2023-arm64")]
    Al2023Arm,
}

impl NodePlatform {
    /// The `amiType` of the EKS API.
    pub const fn ami_type(self) -> &'static str {
        match self {
            Self::BottlerocketX86 => "BOTTLEROCKET_x86_64",
            Self::BottlerocketArm => "BOTTLEROCKET_ARM_64",
            Self::Al2023X86 => "AL2023_x86_64_STANDARD",
            Self::Al2023Arm => "AL2023_ARM_64_STANDARD",
        }
    }
}

/// How many nodes a group has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeScaling {
    /// At least.
    #[schemars(range(min = 0, max = 450))]
    pub min: i32,
    /// At most.
    #[schemars(range(min = 1, max = 450))]
    pub max: i32,
    /// At creation; an autoscaler may move it between the two.
    #[schemars(range(min = 0, max = 450))]
    pub desired: i32,
}

/// A taint of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeTaint {
    /// The key.
    #[schemars(length(min = 1, max = 63))]
    pub key: String,
    /// The value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// What happens to pods that do not tolerate it.
    pub effect: TaintEffect,
}

/// What happens to pods that do not tolerate a taint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// New pods stay away.
    NoSchedule,
    /// New pods stay away if they can.
    PreferNoSchedule,
    /// Running pods leave as well.
    NoExecute,
}

/// An EKS add-on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddonChoice {
    /// The add-on's name, such as `aws-ebs-csi-driver`.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// The version to stay on. Without it, the default version that EKS names for the cluster's minor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Settings as JSON text, by the schema that DescribeAddonConfiguration gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    /// The role of the add-on's service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$"))]
    pub role_arn: Option<String>,
}

/// People or machines of the platform that may enter every cluster of a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlatformAccess {
    /// The IAM principal.
    #[schemars(regex(pattern = r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/.+$"))]
    pub principal_arn: String,
    /// The EKS access policy, by its name, such as `AmazonEKSViewPolicy`.
    #[schemars(regex(pattern = "^AmazonEKS[A-Za-z]+Policy$"))]
    pub policy: String,
}

/// An IAM role for a service account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodIdentity {
    /// The namespace of the service account.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The service account.
    #[schemars(length(min = 1, max = 63))]
    pub service_account: String,
    /// The role.
    #[schemars(regex(pattern = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$"))]
    pub role_arn: String,
}
