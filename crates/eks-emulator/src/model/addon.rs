//! An add-on, in the shape of the model's `Addon`. No workload runs behind it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Health, Idempotency, Issue, PartStatus};
use crate::clock::Epoch;

/// An add-on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Addon {
    /// The name.
    pub addon_name: String,
    /// The cluster.
    pub cluster_name: String,
    /// The status.
    pub status: PartStatus,
    /// The version.
    pub addon_version: String,
    /// What is wrong.
    pub health: Health,
    /// The ARN.
    pub addon_arn: String,
    /// When it was asked for.
    pub created_at: Epoch,
    /// When it last changed.
    pub modified_at: Epoch,
    /// The role of its service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_role_arn: Option<String>,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// Who publishes it.
    pub publisher: String,
    /// Who owns it.
    pub owner: String,
    /// The settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration_values: Option<String>,
    /// Its pod identity associations, by ARN.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pod_identity_associations: Vec<String>,
    /// Where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_config: Option<NamespaceConfig>,
}

/// Where an add-on runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamespaceConfig {
    /// The namespace.
    pub namespace: String,
}

/// A pod identity association asked for with an add-on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddonPodIdentity {
    /// The service account.
    pub service_account: String,
    /// The role.
    pub role_arn: String,
}

/// An add-on and what the service knows of it besides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddonRecord {
    /// What is answered.
    pub addon: Addon,
    /// The token it was made with.
    pub idempotency: Option<Idempotency>,
    /// When the status that it is in ends.
    pub due: Option<Timestamp>,
    /// An issue that a fault gave it; it is `DEGRADED` while this is there.
    pub ailing: Option<Issue>,
}
