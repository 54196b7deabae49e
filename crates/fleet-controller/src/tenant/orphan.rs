//! The move of a rollout that is gone: nobody else ends it, and it would stand over the tenant's spec for ever.

use std::sync::Arc;

use fleet_api::v1alpha1::{Move, Rollout, TenantCluster};
use kube::{ResourceExt as _, runtime::reflector::ObjectRef};

use super::dereference::find;
use crate::{context::Context, error::ReconcileError, rollout};

/// The cluster with the move in it ended, when its rollout was deleted before it was over.
///
/// The store only says where to look: that a rollout is gone is asked of the management cluster.
///
/// # Errors
/// The management cluster could not be asked, or refused the write.
pub(super) async fn end_move(
    context: &Context,
    cluster: Arc<TenantCluster>,
) -> Result<Arc<TenantCluster>, ReconcileError> {
    let Some(wanted) = cluster.spec.rollout.as_ref().filter(|wanted| !wanted.over) else {
        return Ok(cluster);
    };
    let seen = context.stores.rollouts.get(&ObjectRef::<Rollout>::new(&wanted.rollout));
    if seen.is_some_and(|seen| is_of(&seen, wanted)) {
        return Ok(cluster);
    }
    let found = find::<Rollout>(context, "Rollout", &wanted.rollout).await?;
    if found.is_some_and(|found| is_of(&found, wanted)) {
        return Ok(cluster);
    }
    let over = Move { over: true, ..wanted.clone() };
    rollout::set_move(context, &cluster.name_any(), &cluster.uid().unwrap_or_default(), &over).await
}

fn is_of(rollout: &Rollout, wanted: &Move) -> bool {
    rollout.uid().as_ref() == Some(&wanted.rollout_uid)
}
