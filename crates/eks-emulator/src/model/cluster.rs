//! A cluster, in the shape of the model's `Cluster`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Minor;
use crate::clock::Epoch;

/// A control plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// The name, unique in its account and region.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// When it was asked for.
    pub created_at: Epoch,
    /// The minor.
    pub version: Minor,
    /// The API server's URL; absent until active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The role of the control plane.
    pub role_arn: String,
    /// Network and endpoint.
    pub resources_vpc_config: VpcConfig,
    /// Services and load balancing.
    pub kubernetes_network_config: NetworkConfig,
    /// The logs that are on, and those that are off.
    pub logging: Logging,
    /// The issuer of service account tokens; absent until active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The status.
    pub status: ClusterStatus,
    /// The certificate authority; without data until active.
    pub certificate_authority: Certificate,
    /// The caller's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_request_token: Option<String>,
    /// The platform version, such as `eks.4`.
    pub platform_version: String,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// The key for secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encryption_config: Vec<EncryptionConfig>,
    /// What is wrong.
    pub health: Health,
    /// How principals are let in.
    pub access_config: AccessConfig,
    /// What happens when standard support ends.
    pub upgrade_policy: UpgradePolicy,
    /// Zonal shift.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zonal_shift_config: Option<ZonalShiftConfig>,
    /// Networks of hybrid nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_network_config: Option<RemoteNetworkConfig>,
    /// Auto Mode: compute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_config: Option<ComputeConfig>,
    /// Auto Mode: storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_config: Option<StorageConfig>,
    /// Whether deletion is refused.
    pub deletion_protection: bool,
    /// The size of the control plane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane_scaling_config: Option<ScalingConfig>,
}

impl Cluster {
    /// Whether Auto Mode is on.
    pub fn auto_mode(&self) -> bool {
        self.compute_config.as_ref().and_then(|config| config.enabled) == Some(true)
    }
}

/// The status of a control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClusterStatus {
    /// Being made.
    Creating,
    /// Up.
    Active,
    /// Being changed.
    Updating,
    /// Being deleted.
    Deleting,
    /// Could not be made.
    Failed,
}

impl std::fmt::Display for ClusterStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
            Self::Failed => "FAILED",
        })
    }
}

/// Network and endpoint, as answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VpcConfig {
    /// The subnets.
    pub subnet_ids: Vec<String>,
    /// The further security groups.
    pub security_group_ids: Vec<String>,
    /// The group that EKS makes.
    pub cluster_security_group_id: String,
    /// The network.
    pub vpc_id: String,
    /// Whether the endpoint is reachable from outside.
    pub endpoint_public_access: bool,
    /// Whether the endpoint is reachable from inside.
    pub endpoint_private_access: bool,
    /// Who reaches it from outside.
    pub public_access_cidrs: Vec<String>,
}

/// Services and load balancing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkConfig {
    /// The range of Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ipv4_cidr: Option<String>,
    /// `ipv4` or `ipv6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_family: Option<String>,
    /// Auto Mode: load balancing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elastic_load_balancing: Option<ElasticLoadBalancing>,
}

/// Auto Mode: load balancing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElasticLoadBalancing {
    /// Whether it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Which logs go to CloudWatch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logging {
    /// The logs that are on, then those that are off.
    #[serde(default)]
    pub cluster_logging: Vec<LogSetup>,
}

/// Logs that are on, or off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSetup {
    /// The logs.
    #[serde(default)]
    pub types: Vec<LogType>,
    /// On, or off.
    #[serde(default)]
    pub enabled: bool,
}

/// A log of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LogType {
    /// The API server.
    Api,
    /// The audit log.
    Audit,
    /// The authenticator.
    Authenticator,
    /// The controller manager.
    ControllerManager,
    /// The scheduler.
    Scheduler,
}

impl LogType {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Api, Self::Audit, Self::Authenticator, Self::ControllerManager, Self::Scheduler];
}

/// The issuer of service account tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The issuer.
    pub oidc: Oidc,
}

/// The issuer's URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oidc {
    /// The URL.
    pub issuer: String,
}

/// The certificate authority.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// PEM in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// The key for some kinds of resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncryptionConfig {
    /// Always `secrets`.
    #[serde(default)]
    pub resources: Vec<String>,
    /// The key.
    pub provider: KeyProvider,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyProvider {
    /// The key's ARN.
    pub key_arn: String,
}

/// What is wrong with a thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The issues.
    pub issues: Vec<Issue>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issue {
    /// The code.
    pub code: String,
    /// The message.
    pub message: String,
    /// What it is about.
    pub resource_ids: Vec<String>,
}

/// How principals are let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessConfig {
    /// Whether the creator became an administrator; only answered by create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_cluster_creator_admin_permissions: Option<bool>,
    /// The mode.
    pub authentication_mode: AuthenticationMode,
}

/// Where principals are looked up. The order is the one way it can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuthenticationMode {
    /// The `aws-auth` ConfigMap.
    ConfigMap,
    /// Both.
    ApiAndConfigMap,
    /// Access entries.
    Api,
}

/// What happens when standard support ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpgradePolicy {
    /// Standard or extended.
    pub support_type: SupportType,
}

/// Standard or extended support.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SupportType {
    /// Upgraded when standard support ends.
    Standard,
    /// Pays more when standard support ends.
    Extended,
}

/// Zonal shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZonalShiftConfig {
    /// Whether it is on.
    pub enabled: bool,
}

/// Networks of hybrid nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoteNetworkConfig {
    /// Of the nodes.
    #[serde(default)]
    pub remote_node_networks: Vec<RemoteNetwork>,
    /// Of the pods.
    #[serde(default)]
    pub remote_pod_networks: Vec<RemoteNetwork>,
}

/// Ranges of a remote network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteNetwork {
    /// The ranges.
    #[serde(default)]
    pub cidrs: Vec<String>,
}

/// Auto Mode: compute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ComputeConfig {
    /// Whether it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The built-in node pools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_pools: Option<Vec<String>>,
    /// The role of the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_role_arn: Option<String>,
}

/// Auto Mode: storage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StorageConfig {
    /// Block storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_storage: Option<BlockStorage>,
}

/// Block storage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockStorage {
    /// Whether it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// The size of a control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScalingConfig {
    /// `standard`, or one of the provisioned tiers.
    pub tier: String,
}
