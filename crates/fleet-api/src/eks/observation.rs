//! What was seen of one EKS cluster and of what belongs to it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    KubernetesVersion,
    step::Seen,
    text::Day,
    v1alpha1::{AutoMode, EksLogType, NodeScaling, NodeTaint, SupportType},
};

/// What was seen of one EKS cluster and of what belongs to it, at one moment.
///
/// Parts other than the cluster are `Unknown` while the cluster is absent or being created: EKS has no answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EksObservation {
    /// When the last of the reads was answered.
    pub observed_at: Timestamp,
    /// The cluster.
    pub cluster: Seen<EksCluster>,
    /// The update that was asked for by its id, or else the newest one of the cluster that is in progress.
    pub update: Seen<EksUpdate>,
    /// The managed node groups.
    pub nodegroups: Seen<Vec<EksNodegroup>>,
    /// The add-ons.
    pub addons: Seen<Vec<EksAddon>>,
    /// The access entries.
    pub access_entries: Seen<Vec<EksAccessEntry>>,
    /// The pod identity associations.
    pub pod_identities: Seen<Vec<EksPodIdentity>>,
    /// The launch templates that carry our ownership tag.
    pub launch_templates: Seen<Vec<EksLaunchTemplate>>,
    /// By add-on: the versions on offer for the minors that matter here.
    pub addon_offers: BTreeMap<String, Vec<AddonOffer>>,
    /// The Kubernetes minors on offer, with the dates of their support.
    pub versions: Vec<EksVersionOffer>,
    /// The cluster's subnets, and those that the focus named.
    pub subnets: Seen<Vec<EksSubnet>>,
    /// What EKS finds in the cluster that stands in the way of an upgrade.
    pub insights: Seen<Vec<EksInsight>>,
    /// What still carries our ownership tag or the cluster's name after the cluster is gone. Looked for only then.
    pub leftovers: Seen<Vec<Leftover>>,
}

impl EksObservation {
    /// The observation of somebody who has not looked at anything yet.
    pub fn nothing_seen(observed_at: Timestamp) -> Self {
        Self {
            observed_at,
            cluster: Seen::not_looked_at(),
            update: Seen::not_looked_at(),
            nodegroups: Seen::not_looked_at(),
            addons: Seen::not_looked_at(),
            access_entries: Seen::not_looked_at(),
            pod_identities: Seen::not_looked_at(),
            launch_templates: Seen::not_looked_at(),
            addon_offers: BTreeMap::new(),
            versions: Vec::new(),
            subnets: Seen::not_looked_at(),
            insights: Seen::not_looked_at(),
            leftovers: Seen::not_looked_at(),
        }
    }
}

/// The control plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EksCluster {
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// The status.
    pub status: EksClusterStatus,
    /// The minor.
    pub version: KubernetesVersion,
    /// The platform version, such as `eks.4`.
    pub platform_version: Option<String>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// The API server's URL; absent until the cluster is active.
    pub endpoint: Option<String>,
    /// PEM certificates in base64; absent until the cluster is active. Two while the authority is rotated.
    pub certificate_authority: Option<String>,
    /// The role of the control plane.
    pub role_arn: String,
    /// The VPC of the subnets. It cannot be changed.
    #[serde(default)]
    pub vpc_id: Option<String>,
    /// The subnets.
    pub subnet_ids: BTreeSet<String>,
    /// The further security groups.
    pub security_group_ids: BTreeSet<String>,
    /// Whether the endpoint is reachable from outside.
    pub endpoint_public: bool,
    /// Whether the endpoint is reachable from inside.
    pub endpoint_private: bool,
    /// Who reaches the public endpoint.
    pub public_cidrs: BTreeSet<String>,
    /// The CIDR of Services.
    pub service_cidr: Option<String>,
    /// The key that wraps secrets.
    pub kms_key_arn: Option<String>,
    /// The logs that are sent to CloudWatch.
    pub logging: BTreeSet<EksLogType>,
    /// What happens when standard support ends.
    pub support_type: Option<SupportType>,
    /// Whether EKS refuses to delete the cluster.
    pub deletion_protection: bool,
    /// `API`, `API_AND_CONFIG_MAP` or `CONFIG_MAP`.
    pub authentication_mode: Option<String>,
    /// Auto Mode, when it is on.
    pub auto_mode: Option<AutoMode>,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// What EKS says is wrong. A cluster can be active and broken.
    pub health: Vec<HealthIssue>,
}

/// The status of a control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EksClusterStatus {
    /// Waits for capacity.
    Pending,
    /// Being created.
    Creating,
    /// Up.
    Active,
    /// Being changed. It may show some time after a change was accepted.
    Updating,
    /// Being deleted.
    Deleting,
    /// Creation failed: it can only be deleted.
    Failed,
    /// A status that this version of fleet does not know.
    Other(String),
}

/// Something that EKS says is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthIssue {
    /// The code, such as `InsufficientFreeAddresses`.
    pub code: String,
    /// The message.
    pub message: String,
    /// What it is about.
    pub resource_ids: Vec<String>,
}

/// An update of a cluster, a node group or an add-on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EksUpdate {
    /// The id.
    pub id: String,
    /// The type, such as `VersionUpdate`.
    pub kind: String,
    /// The part that it changes; `None` for the cluster itself.
    pub part: Option<String>,
    /// How far it is.
    pub status: EksUpdateStatus,
    /// When it was accepted.
    pub created_at: Option<Timestamp>,
    /// What went wrong.
    pub errors: Vec<HealthIssue>,
}

/// How far an update is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EksUpdateStatus {
    /// Running.
    InProgress,
    /// Done.
    Successful,
    /// Failed; EKS went back to the state before.
    Failed,
    /// Cancelled.
    Cancelled,
    /// A status that this version of fleet does not know.
    Other(String),
}

/// The status of a node group or an add-on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartStatus {
    /// Being created.
    Creating,
    /// Up.
    Active,
    /// Being changed.
    Updating,
    /// Being deleted.
    Deleting,
    /// Creation failed.
    CreateFailed,
    /// An update failed.
    UpdateFailed,
    /// Deletion failed.
    DeleteFailed,
    /// Up, and not well.
    Degraded,
    /// A status that this version of fleet does not know.
    Other(String),
}

/// A managed node group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EksNodegroup {
    /// The name.
    pub name: String,
    /// The status.
    pub status: PartStatus,
    /// The minor of the nodes.
    pub version: Option<KubernetesVersion>,
    /// The release of the machine image.
    pub release_version: Option<String>,
    /// The `amiType`.
    pub ami_type: Option<String>,
    /// The instance types.
    pub instance_types: Vec<String>,
    /// How many nodes.
    pub scaling: Option<NodeScaling>,
    /// The role of the nodes.
    pub node_role_arn: Option<String>,
    /// The subnets.
    pub subnet_ids: BTreeSet<String>,
    /// The labels of the nodes.
    pub labels: BTreeMap<String, String>,
    /// The taints of the nodes.
    pub taints: Vec<NodeTaint>,
    /// The launch template's id and version.
    pub launch_template: Option<(String, String)>,
    /// How many nodes an update may take away, in percent.
    pub max_unavailable_percent: Option<i32>,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// What EKS says is wrong.
    pub health: Vec<HealthIssue>,
}

/// An add-on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EksAddon {
    /// The name.
    pub name: String,
    /// The status.
    pub status: PartStatus,
    /// The version, such as `v1.20.1-eksbuild.1`.
    pub version: String,
    /// The settings.
    pub configuration: Option<String>,
    /// The role of its service account.
    pub role_arn: Option<String>,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// What EKS says is wrong.
    pub health: Vec<HealthIssue>,
}

/// An access entry with its policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EksAccessEntry {
    /// The IAM principal.
    pub principal_arn: String,
    /// `STANDARD`, or one of the types that nodes get.
    pub kind: String,
    /// The Kubernetes groups.
    pub groups: BTreeSet<String>,
    /// The access policies.
    pub policies: Vec<PolicyAssociation>,
    /// The tags.
    pub tags: BTreeMap<String, String>,
}

/// An access policy of an access entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyAssociation {
    /// The policy's ARN.
    pub policy_arn: String,
    /// The namespaces it is limited to; empty for the whole cluster.
    pub namespaces: BTreeSet<String>,
}

/// A pod identity association.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EksPodIdentity {
    /// The id.
    pub association_id: String,
    /// The namespace of the service account.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
    /// The role.
    pub role_arn: String,
    /// The tags.
    pub tags: BTreeMap<String, String>,
}

/// A launch template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EksLaunchTemplate {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// The newest version's number.
    pub version: String,
    /// Whether the newest version demands IMDSv2.
    pub imds_v2_required: bool,
    /// The newest version's hop limit for the instance metadata service.
    pub hop_limit: Option<i32>,
    /// The newest version's data volume in GiB.
    pub disk_gib: Option<i32>,
}

/// A version of an add-on that EKS offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddonOffer {
    /// The version.
    pub version: String,
    /// The minors that it runs on.
    pub runs_on: BTreeSet<KubernetesVersion>,
    /// The minors of which it is the default.
    pub default_for: BTreeSet<KubernetesVersion>,
}

/// A Kubernetes minor that EKS offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EksVersionOffer {
    /// The minor.
    pub version: KubernetesVersion,
    /// Whether new clusters get it when they name none.
    pub default: bool,
    /// The state of its support.
    pub status: SupportStatus,
    /// The end of standard support: from 00:00 UTC of this day on the higher price is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_of_standard: Option<Day>,
    /// The end of extended support: from 00:00 UTC of this day on EKS may upgrade the cluster by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_of_extended: Option<Day>,
}

/// The state of a minor's support.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum SupportStatus {
    /// At the normal price.
    Standard,
    /// At the higher price.
    Extended,
    /// Neither.
    Unsupported,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EksSubnet {
    /// The id.
    pub id: String,
    /// The availability zone.
    pub zone: String,
    /// The VPC.
    #[serde(default)]
    pub vpc_id: Option<String>,
    /// How many addresses are free. An upgrade of the control plane needs up to five.
    pub free_addresses: i64,
}

/// A finding of EKS about a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EksInsight {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// `UPGRADE_READINESS`, `ROLLBACK_READINESS` or `MISCONFIGURATION`.
    pub category: String,
    /// `PASSING`, `WARNING`, `ERROR` or `UNKNOWN`.
    pub status: String,
    /// The minor that it is about.
    pub kubernetes_version: Option<KubernetesVersion>,
    /// When EKS last looked.
    pub refreshed_at: Option<Timestamp>,
    /// The reason, and what EKS recommends.
    pub message: String,
    /// What it names: objects by their path in the API server, and what is not in there by its ARN.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// The APIs that are asked for and go away with the minor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deprecated: Vec<DeprecatedUse>,
}

/// An API that is asked for and goes away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeprecatedUse {
    /// The path of the API.
    pub usage: String,
    /// The path of the API that takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_with: Option<String>,
    /// What those who ask for it call themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<String>,
}

/// Something that is still there after the cluster is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leftover {
    /// The ARN or id.
    pub id: String,
    /// What it is, such as `volume` or `load balancer`.
    pub kind: String,
    /// Why it is still there, as far as can be told.
    pub why: String,
}
