//! A tenant that is to go: the brake, the cluster, the receipt, and only then the finalizer.

use std::time::Duration;

use fleet_api::{
    conditions::{self, Verdict, reason},
    labels,
    v1alpha1::{Tenant, TenantCluster},
};
use fleet_exec::hub;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Preconditions},
    runtime::controller::Action,
};

use super::{apply, update_status};
use crate::{
    brake::{self, Braked},
    context::Context,
    error::ReconcileError,
    finalizer,
    pace::jittered,
};

/// How often the brake is asked again.
const BRAKE_PAUSE: Duration = Duration::from_secs(30);

/// Takes a tenant down.
pub(super) async fn delete(
    context: &Context,
    tenant: &Tenant,
    cluster: Option<&TenantCluster>,
) -> Result<Action, ReconcileError> {
    let name = tenant.name_any();
    if !tenant.finalizers().iter().any(|one| one == labels::TENANT_FINALIZER) {
        return Ok(Action::await_change());
    }
    let stored = stored_cluster(context, tenant).await?;
    let Some(stored) = stored else { return let_go(context, tenant).await };
    let current =
        carry_over(context, tenant, cluster.filter(|one| one.uid() == stored.uid()).unwrap_or(&stored))
            .await?;
    if current.metadata.deletion_timestamp.is_some() {
        let known = current.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let told = conditions::get(known, conditions::PROVISIONED)
            .filter(|one| one.reason == reason::DELETING || one.reason == reason::BLOCKED);
        let blocked = told.is_some_and(|one| one.reason == reason::BLOCKED);
        let message =
            told.map_or_else(|| "the cluster is being deleted".to_owned(), |one| one.message.clone());
        let why = if blocked { reason::BLOCKED } else { reason::DELETING };
        let verdict = Verdict::fails(conditions::READY, why, message);
        update_status::write(context, tenant, Some(&current), &[verdict]).await?;
        return Ok(Action::requeue(jittered(context.resync, &name, 0)));
    }
    if let Err(braked) = brake::ask(context, &current.spec.cluster_name) {
        let message = format!("{} (an operator can {})", braked.message(), Braked::HINT);
        let verdict = Verdict::fails(conditions::READY, reason::BLOCKED, message);
        update_status::write(context, tenant, Some(&current), &[verdict]).await?;
        return Ok(Action::requeue(BRAKE_PAUSE));
    }
    context.fence.check()?;
    let api: Api<TenantCluster> = Api::all(context.client.clone());
    let only_this = Preconditions { uid: current.uid(), resource_version: None };
    let parameters = DeleteParams { preconditions: Some(only_this), ..DeleteParams::background() };
    match api.delete(&name, &parameters).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
        Err(error) => return Err(ReconcileError::hub("delete", "TenantCluster", &name)(error)),
    }
    let verdict = Verdict::fails(conditions::READY, reason::DELETING, "the cluster is being deleted");
    update_status::write(context, tenant, Some(&current), &[verdict]).await?;
    Ok(Action::requeue(jittered(context.resync, &name, 0)))
}

/// The tenant's cluster as the API server has it: a store that lags behind must not let a tenant go.
async fn stored_cluster(context: &Context, tenant: &Tenant) -> Result<Option<TenantCluster>, ReconcileError> {
    let name = tenant.name_any();
    let api: Api<TenantCluster> = Api::all(context.client.clone());
    let found = api.get_opt(&name).await.map_err(ReconcileError::hub("read", "TenantCluster", &name))?;
    Ok(found.filter(|cluster| tenant.metadata.uid.as_ref() == Some(&cluster.spec.tenant_uid)))
}

/// The confirmation and the pause reach the cluster although nothing is composed any more.
async fn carry_over(
    context: &Context,
    tenant: &Tenant,
    cluster: &TenantCluster,
) -> Result<TenantCluster, ReconcileError> {
    let mut spec = cluster.spec.clone();
    let annotations = tenant.annotations();
    spec.deletion_confirmed = annotations.get(labels::CONFIRM_DELETION) == Some(&tenant.name_any());
    spec.paused = annotations.get(labels::PAUSED).is_some_and(|value| value == "true");
    let existing = std::sync::Arc::new(cluster.clone());
    let applied = apply::apply_cluster(context, tenant, &spec, Some(existing)).await?;
    Ok((*applied).clone())
}

/// Lets a tenant go whose cluster is not stored any more, if there is a finished receipt of it or never was a cluster.
async fn let_go(context: &Context, tenant: &Tenant) -> Result<Action, ReconcileError> {
    let name = tenant.name_any();
    let had_cluster = tenant.status.as_ref().is_some_and(|status| status.cluster.is_some());
    let receipted = !had_cluster || has_receipt(context, tenant).await?;
    if receipted {
        finalizer::release(context, tenant, labels::TENANT_FINALIZER).await?;
        return Ok(Action::await_change());
    }
    let message = format!(
        "TenantCluster {name} is gone without a finished receipt, so its cluster may still be in the cloud (an \
         operator can look for what carries the tenant's name there, and then take the finalizer `{}` away)",
        labels::TENANT_FINALIZER
    );
    let verdict = Verdict::fails(conditions::READY, reason::BLOCKED, message);
    update_status::write(context, tenant, None, &[verdict]).await?;
    Ok(Action::requeue(jittered(context.resync, &name, 0)))
}

/// Whether the deletion of the tenant's cluster came to its end, by its receipt.
async fn has_receipt(context: &Context, tenant: &Tenant) -> Result<bool, ReconcileError> {
    let name = tenant.name_any();
    let receipts = hub::read_receipts(&context.client, Some(&name))
        .await
        .map_err(|source| ReconcileError::Receipt { name, source: Box::new(source) })?;
    Ok(receipts.iter().any(|receipt| {
        Some(&receipt.tenant_uid) == tenant.metadata.uid.as_ref() && receipt.finished_at.is_some()
    }))
}
