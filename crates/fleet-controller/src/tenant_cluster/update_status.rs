//! Last stage: the status, written only when more than time has changed.

use std::sync::Arc;

use fleet_api::{
    conditions,
    v1alpha1::{TenantCluster, TenantClusterStatus},
};
use kube::{Api, ResourceExt as _, api::PostParams};

use crate::{context::Context, error::ReconcileError, tenant::PARTS};

/// Derives `Ready` and writes the status over the version that was read.
pub(super) async fn update_status(
    context: &Context,
    object: &TenantCluster,
    status: &TenantClusterStatus,
) -> Result<Arc<TenantCluster>, ReconcileError> {
    let generation = object.metadata.generation;
    let mut after = status.clone();
    after.observed_generation = generation;
    let ready = conditions::ready_from(&after.conditions, PARTS, generation);
    conditions::set(&mut after.conditions, &ready, generation, context.now());
    if object.status.as_ref() == Some(&after) {
        return Ok(Arc::new(object.clone()));
    }
    context.fence.check()?;
    let name = object.name_any();
    let api: Api<TenantCluster> = Api::all(context.client.clone());
    let wanted = TenantCluster { status: Some(after), ..object.clone() };
    let written = api
        .replace_status(&name, &PostParams::default(), &wanted)
        .await
        .map_err(ReconcileError::hub("write the status of", "TenantCluster", &name))?;
    context.metrics.status_written("TenantCluster");
    Ok(context.clusters_written.remember(written))
}
