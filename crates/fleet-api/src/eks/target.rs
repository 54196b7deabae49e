//! Which cluster a call is about, and as whom it is made.

use serde::{Deserialize, Serialize};

use crate::v1alpha1::TenantCluster;

/// Which cluster a call is about, and as whom it is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterTarget {
    /// The UID of the TenantCluster: the value of the ownership tag.
    pub owner_uid: String,
    /// The tenant's name.
    pub tenant: String,
    /// The cluster's name in the cloud.
    pub cluster_name: String,
    /// The AWS account.
    pub account: String,
    /// The AWS region.
    pub region: String,
    /// The role to assume.
    pub role_arn: String,
    /// The external id to assume it with.
    pub external_id: String,
}

impl ClusterTarget {
    /// The target of a TenantCluster on EKS; `None` when it has no UID yet or another provider.
    pub fn of(cluster: &TenantCluster) -> Option<Self> {
        let eks = cluster.spec.eks.as_ref()?;
        Some(Self {
            owner_uid: cluster.metadata.uid.clone()?,
            tenant: cluster.spec.tenant.clone(),
            cluster_name: cluster.spec.cluster_name.clone(),
            account: eks.account.clone(),
            region: eks.region.clone(),
            role_arn: eks.role_arn.clone(),
            external_id: eks.external_id.clone().unwrap_or_else(|| cluster.spec.tenant_uid.clone()),
        })
    }
}
