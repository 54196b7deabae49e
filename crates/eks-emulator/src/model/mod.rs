//! The things that EKS keeps, in the shapes that it answers with (source: model).
//!
//! A `...Record` holds what the service knows and does not show: deadlines, tokens, what an update will change.

mod access;
mod addon;
mod cluster;
mod insight;
mod nodegroup;
mod record;
mod update;

pub use access::{
    AccessEntry, AccessEntryRecord, AccessScope, AssociatedAccessPolicy, PodIdentity, PodIdentityRecord,
    ScopeType,
};
pub use addon::{Addon, AddonPodIdentity, AddonRecord, NamespaceConfig};
pub use cluster::{
    AccessConfig, AuthenticationMode, BlockStorage, Certificate, Cluster, ClusterStatus, ComputeConfig,
    ElasticLoadBalancing, EncryptionConfig, Health, Identity, Issue, KeyProvider, LogSetup, LogType, Logging,
    NetworkConfig, Oidc, RemoteNetwork, RemoteNetworkConfig, ScalingConfig, StorageConfig, SupportType,
    UpgradePolicy, VpcConfig, ZonalShiftConfig,
};
pub use insight::{Insight, InsightCategory, InsightLevel, InsightStatus, InsightsRefresh};
pub use nodegroup::{
    AutoScalingGroup, CapacityType, LaunchTemplateSpec, NodeRepairConfig, NodeScalingConfig,
    NodeUpdateConfig, Nodegroup, NodegroupRecord, NodegroupResources, RemoteAccess, Taint, TaintEffect,
};
pub use record::{ClusterKey, ClusterRecord, Idempotency, Server, ServerAccess, Upgraded};
pub use update::{Cancellation, Change, ErrorDetail, Part, Update, UpdateParam, UpdateRecord, UpdateStatus};

use serde::{Deserialize, Serialize};

/// The status of a node group or an add-on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PartStatus {
    /// Being made.
    Creating,
    /// Up.
    Active,
    /// Being changed.
    Updating,
    /// Being deleted.
    Deleting,
    /// Could not be made.
    CreateFailed,
    /// Up, and not well.
    Degraded,
}

/// A minor version of Kubernetes, `1.MINOR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minor(pub u16);

impl std::fmt::Display for Minor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

impl Minor {
    /// Reads `1.35`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("1.")?;
        (digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok().map(Self)).flatten()
    }

    /// The next minor.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whether this is the minor just before `other`.
    pub const fn is_just_before(self, other: Self) -> bool {
        self.0.saturating_add(1) == other.0
    }
}

impl Serialize for Minor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Minor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a version such as 1.35")))
    }
}
