//! A tenant that is to go: the brake, the cluster, the receipt, and only then the finalizer.

use std::time::Duration;

use fleet_api::{
    conditions::{self, Verdict, reason},
    labels,
    v1alpha1::{Tenant, TenantCluster},
};
use jiff::Timestamp;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Preconditions},
    runtime::controller::Action,
};

use super::{apply, update_status};
use crate::{context::Context, error::ReconcileError, pace::jittered};

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
    let Some(stored) = stored else {
        // The cluster's own finalizer went only after its receipt had been written.
        apply::drop_finalizer(context, tenant, labels::TENANT_FINALIZER).await?;
        return Ok(Action::await_change());
    };
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
    let most = context.stores.fleet().spec.brakes.max_deletions_per_hour;
    if let Err(next) = context.brake.ask(&current.spec.cluster_name, &recorded(context), most, context.now())
    {
        let when = next.map_or_else(
            || "none may be deleted".to_owned(),
            |at| format!("the next may begin at {}", Timestamp::from_second(at.as_second()).unwrap_or(at)),
        );
        let message = format!(
            "the brake holds: {most} tenants may be deleted within an hour, and {when} (an operator can raise \
             `brakes.maxDeletionsPerHour` of the Fleet)"
        );
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

/// The deletions that the management cluster knows of: clusters that go, and receipts of those that went.
fn recorded(context: &Context) -> Vec<(String, Timestamp)> {
    let going = context.stores.clusters.state();
    let going = going.iter().filter_map(|cluster| {
        Some((cluster.spec.cluster_name.clone(), cluster.metadata.deletion_timestamp.as_ref()?.0))
    });
    let gone = context.stores.receipts.state();
    let gone = gone.iter().filter_map(|receipt| {
        let name = receipt.name_any();
        let cluster = name.strip_prefix("receipt-").unwrap_or(&name).to_owned();
        Some((cluster, receipt.creation_timestamp()?.0))
    });
    going.chain(gone).collect()
}
