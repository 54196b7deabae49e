//! Last stage: the status, written only when it differs.

use std::sync::Arc;

use fleet_api::{
    conditions,
    v1alpha1::{TenantCluster, TenantClusterStatus},
};
use kube::ResourceExt as _;

use crate::{context::Context, error::ReconcileError, status, tenant::PARTS};

/// Derives `Ready` and writes the status, unless it says so already.
///
/// `generation` is the one that was planned for: the object may have a newer one by now.
pub(super) async fn update_status(
    context: &Context,
    object: Arc<TenantCluster>,
    mut after: TenantClusterStatus,
    generation: Option<i64>,
) -> Result<Arc<TenantCluster>, ReconcileError> {
    after.observed_generation = generation;
    let ready = conditions::ready_from(&after.conditions, PARTS, generation);
    conditions::set(&mut after.conditions, &ready, generation, context.now());
    if status::says_the_same(object.status.as_ref(), &after) {
        return Ok(object);
    }
    let was_ready = object
        .status
        .as_ref()
        .and_then(|before| conditions::get(&before.conditions, conditions::READY))
        .is_some_and(|before| before.status == "True");
    let written = status::write(context, &*object, after).await?;
    let is_ready = ready.status == Some(true);
    if is_ready != was_ready {
        tracing::info!(
            cluster = object.name_any(),
            ready = is_ready,
            why = ready.message,
            "readiness changed"
        );
        context.events.tell(&*written, !is_ready, ready.reason, "Reconcile", ready.message).await;
    }
    Ok(written)
}
