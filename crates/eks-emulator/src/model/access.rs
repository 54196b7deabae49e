//! Access entries, their policies, and pod identity associations.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Idempotency;
use crate::clock::Epoch;

/// An access entry, in the shape of the model's `AccessEntry`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessEntry {
    /// The cluster.
    pub cluster_name: String,
    /// The IAM principal.
    pub principal_arn: String,
    /// The Kubernetes groups.
    pub kubernetes_groups: Vec<String>,
    /// The ARN.
    pub access_entry_arn: String,
    /// When it was made.
    pub created_at: Epoch,
    /// When it last changed.
    pub modified_at: Epoch,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// The Kubernetes user, with `{{SessionName}}` in it for roles.
    pub username: String,
    /// `STANDARD`, or one of the types of nodes.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A policy of an access entry, in the shape of the model's `AssociatedAccessPolicy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssociatedAccessPolicy {
    /// The policy.
    pub policy_arn: String,
    /// Where it holds.
    pub access_scope: AccessScope,
    /// Since when.
    pub associated_at: Epoch,
    /// When it last changed.
    pub modified_at: Epoch,
}

/// Where a policy holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessScope {
    /// Cluster or namespace.
    #[serde(rename = "type")]
    pub kind: ScopeType,
    /// The namespaces.
    #[serde(default)]
    pub namespaces: Vec<String>,
}

/// Cluster or namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ScopeType {
    /// Everywhere.
    Cluster,
    /// In some namespaces.
    Namespace,
}

/// An access entry and what the service knows of it besides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessEntryRecord {
    /// What is answered.
    pub entry: AccessEntry,
    /// Its policies by ARN.
    pub policies: BTreeMap<String, AssociatedAccessPolicy>,
    /// The token it was made with.
    pub idempotency: Option<Idempotency>,
    /// When the entry, in its newest form, reaches the API server.
    pub effective_at: Timestamp,
}

/// A pod identity association, in the shape of the model's `PodIdentityAssociation`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodIdentity {
    /// The cluster.
    pub cluster_name: String,
    /// The namespace of the service account.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
    /// The role.
    pub role_arn: String,
    /// The ARN.
    pub association_arn: String,
    /// The id.
    pub association_id: String,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: Epoch,
    /// When it last changed.
    pub modified_at: Epoch,
    /// The add-on that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_arn: Option<String>,
    /// Whether session tags are left out.
    pub disable_session_tags: bool,
    /// The role of another account to go on to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_role_arn: Option<String>,
    /// The external id for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// A session policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// A pod identity association and the token it was made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodIdentityRecord {
    /// What is answered.
    pub association: PodIdentity,
    /// The token it was made with.
    pub idempotency: Option<Idempotency>,
}
