//! Who may use a tenant's cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One grant of access to a tenant's cluster. It is handed over last, when the baseline has been proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessGrant {
    /// The Kubernetes group that receives the role in the tenant's namespaces. Names that begin with `system:`
    /// or `tenantfleet.dev:` are refused.
    #[schemars(length(min = 1, max = 128))]
    pub group: String,
    /// The IAM role whose bearers become members of the group, for clusters on EKS. Without it the group has
    /// to come from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/.+$"))]
    pub principal_arn: Option<String>,
    /// What the group may do in the tenant's namespaces.
    pub role: AccessRole,
}

/// What a group may do in the tenant's namespaces. None of the roles can change the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessRole {
    /// Workloads, configuration, network policies and role bindings inside the namespaces.
    Admin,
    /// Workloads and configuration.
    Edit,
    /// Reading, without secrets.
    View,
}

impl AccessRole {
    /// The role as manifests write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Edit => "edit",
            Self::View => "view",
        }
    }
}
