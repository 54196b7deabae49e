//! Third stage: the TenantCluster.

use std::{collections::BTreeMap, sync::Arc};

use fleet_api::{
    API_VERSION, labels,
    v1alpha1::{Tenant, TenantCluster, TenantClusterSpec},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams},
};

use crate::{context::Context, error::ReconcileError};

/// Brings the tenant's cluster to the composed spec. Nothing is sent when it is so already.
///
/// What a rollout wants of the cluster is never sent: that field has another owner, and an apply that named it would take
/// it over, with whatever an older read said.
pub(super) async fn apply_cluster(
    context: &Context,
    tenant: &Tenant,
    spec: &TenantClusterSpec,
    existing: Option<Arc<TenantCluster>>,
) -> Result<Arc<TenantCluster>, ReconcileError> {
    let spec = TenantClusterSpec { rollout: None, ..spec.clone() };
    let as_composed =
        |existing: &TenantCluster| spec == TenantClusterSpec { rollout: None, ..existing.spec.clone() };
    if let Some(existing) = existing.filter(|existing| as_composed(existing)) {
        return Ok(existing);
    }
    context.fence.check()?;
    let name = tenant.name_any();
    let mut cluster = TenantCluster::new(&name, spec);
    cluster.metadata = ObjectMeta {
        name: Some(name.clone()),
        labels: Some(BTreeMap::from([
            (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_FLEET.to_owned()),
            (labels::TENANT.to_owned(), name.clone()),
        ])),
        owner_references: Some(vec![OwnerReference {
            api_version: API_VERSION.to_owned(),
            kind: "Tenant".to_owned(),
            name: name.clone(),
            uid: tenant.uid().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: None,
        }]),
        ..ObjectMeta::default()
    };
    let api: Api<TenantCluster> = Api::all(context.client.clone());
    let parameters = PatchParams::apply(labels::CONTROLLER_MANAGER).force();
    let written = api
        .patch(&name, &parameters, &Patch::Apply(&cluster))
        .await
        .map_err(ReconcileError::hub("apply", "TenantCluster", &name))?;
    Ok(context.clusters_written.remember(written))
}
