//! Writes what a tick says: the rollout's status, then the members', then the moves.
//!
//! Within one of the three the order does not matter, so a few writes are under way at the same time. Of the three the
//! next begins only when the one before has been stored as a whole.

use std::sync::Arc;

use fleet_api::{
    API_VERSION, labels,
    v1alpha1::{Move, RolloutMemberStatus, RolloutStatus, TenantCluster},
};
use fleet_plan::rollout::Tick;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
    core::object::HasStatus,
};
use serde::Serialize;
use serde_json::json;

use super::{tell, world::Seen};
use crate::{context::Context, error::ReconcileError, written::Ours};

/// How many writes are under way at once.
const AT_ONCE: usize = 8;

/// Writes a tick. Gives back whether anything was written.
///
/// # Errors
/// The management cluster refused a write: with a conflict, somebody was faster, and nothing that follows is written.
pub(super) async fn carry_out(context: &Context, seen: &Seen, tick: Tick) -> Result<bool, ReconcileError> {
    let Tick { status, members, moves, wake_at: _ } = tick;
    let written = status.is_some() || !members.is_empty() || !moves.is_empty();
    if let Some(status) = status {
        write_rollout(context, seen, status).await?;
    }
    let all =
        members.into_iter().map(|(name, version, status)| write_member(context, seen, name, version, status));
    stream::iter(all).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let all = moves.into_iter().filter_map(|(name, wanted)| {
        let spec = &seen.members.get(&name)?.member.spec;
        Some(async move { set_move(context, &spec.cluster, &spec.cluster_uid, &wanted).await.map(drop) })
    });
    stream::iter(all).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    Ok(written)
}

async fn write_rollout(context: &Context, seen: &Seen, status: RolloutStatus) -> Result<(), ReconcileError> {
    let before = seen.rollout.status.clone().unwrap_or_default();
    let version = seen.rollout.metadata.resource_version.clone();
    let written = replace(context, &*seen.rollout, version, status.clone()).await?;
    tell::rollout(context, &written, &before, &status).await;
    Ok(())
}

async fn write_member(
    context: &Context,
    seen: &Seen,
    name: String,
    version: String,
    status: RolloutMemberStatus,
) -> Result<(), ReconcileError> {
    let Some(found) = seen.members.get(&name) else { return Ok(()) };
    let before = found.member.status.as_ref().map(|status| status.state).unwrap_or_default();
    let written = replace(context, &*found.member, Some(version), status).await?;
    tell::member(context, &written, before).await;
    Ok(())
}

/// Replaces a status against the version that was read. Nobody else writes it, so that a conflict is either a person who
/// edited the spec or another leader: both are for the next tick.
async fn replace<K>(
    context: &Context,
    object: &K,
    version: Option<String>,
    status: K::Status,
) -> Result<Arc<K>, ReconcileError>
where
    K: Ours + HasStatus,
    K::Status: Serialize,
{
    let mut wanted = object.clone();
    *wanted.status_mut() = Some(status);
    wanted.meta_mut().resource_version = version;
    wanted.meta_mut().managed_fields = None;
    let name = object.meta().name.clone().unwrap_or_default();
    let api: Api<K> = Api::all(context.client.clone());
    // The fence is asked last, right before the write.
    context.fence.check()?;
    let written = api
        .replace_status(&name, &PostParams::default(), &wanted)
        .await
        .map_err(ReconcileError::hub("write the status of", K::KIND, &name))?;
    context.metrics.status_written(K::KIND);
    Ok(K::writes(context).remember(written))
}

/// Sets what a rollout wants of a cluster, if that is still the one of this UID: an apply that carries another UID than
/// the stored one is refused, and so is one that would make the cluster anew.
///
/// # Errors
/// The management cluster refused the write.
pub(crate) async fn set_move(
    context: &Context,
    cluster: &str,
    uid: &str,
    wanted: &Move,
) -> Result<Arc<TenantCluster>, ReconcileError> {
    let object = json!({
        "apiVersion": API_VERSION,
        "kind": "TenantCluster",
        "metadata": { "name": cluster, "uid": uid },
        "spec": { "rollout": wanted },
    });
    let api: Api<TenantCluster> = Api::all(context.client.clone());
    let parameters = PatchParams::apply(labels::ROLLOUT_MANAGER).force();
    context.fence.check()?;
    let written = api
        .patch(cluster, &parameters, &Patch::Apply(&object))
        .await
        .map_err(ReconcileError::hub("set the move of", "TenantCluster", cluster))?;
    Ok(context.clusters_written.remember(written))
}
