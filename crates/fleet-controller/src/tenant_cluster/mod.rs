//! The loop of one tenant's cluster: look at the cloud, plan, carry out, harden, and tell.

mod apply;
mod baseline;
mod delete;
mod observe;
mod update_status;

use std::{sync::Arc, time::Duration};

use fleet_api::{
    conditions::{self, Verdict, reason},
    eks::ClusterTarget,
    labels,
    v1alpha1::TenantCluster,
};
use kube::{ResourceExt as _, runtime::controller::Action};

pub(crate) use observe::Looks;

use crate::{context::Context, error::ReconcileError, pace::jittered, tenant::ensure_finalizer};

/// What is planned to be looked at within this time counts as the cloud being at work.
const AT_WORK: Duration = Duration::from_secs(60);

/// One reconcile of a cluster.
pub(crate) async fn reconcile(
    object: Arc<TenantCluster>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError> {
    let object = context.clusters_written.freshest(object);
    context.fence.check()?;
    let deleting = object.metadata.deletion_timestamp.is_some();
    if deleting && !object.finalizers().iter().any(|one| one == labels::CLUSTER_FINALIZER) {
        return Ok(forget(&context, &object));
    }
    // Saved before the first call to the cloud: whatever is made from here on has somebody who takes it down.
    let object = ensure_finalizer(&context, object, labels::CLUSTER_FINALIZER).await?;
    let Some(target) = ClusterTarget::of(&object) else {
        return without_provider(&context, &object).await;
    };
    let (seen, plan) = observe::look_and_plan(&context, &object, &target).await;
    let mut status = object.status.clone().unwrap_or_default();
    let now = context.now();
    plan.record(&mut status, object.metadata.generation, now);
    baseline::harden(&context, &object, &target, &plan, &mut status);
    if deleting {
        delete::write_receipt(&context, &object, &status, &seen, plan.deleted).await?;
    }
    if plan.deleted {
        update_status::update_status(&context, &object, &status).await?;
        crate::tenant::drop_finalizer(&context, &*object, labels::CLUSTER_FINALIZER).await?;
        return Ok(forget(&context, &object));
    }
    let (object, status, done) = apply::carry_out(&context, object, &target, &plan, status).await?;
    update_status::update_status(&context, &object, &status).await?;
    let planned = Duration::try_from(plan.look_again_after).unwrap_or(context.resync);
    let name = object.name_any();
    let after = match done {
        apply::Done::Nothing if planned > AT_WORK => planned.min(context.resync),
        apply::Done::Nothing | apply::Done::Steps => planned.min(context.pace),
        apply::Done::Failed(pause) => pause,
    };
    context.looks.due_in(&target.owner_uid, after);
    let salt = u64::try_from(object.metadata.generation.unwrap_or_default()).unwrap_or_default();
    Ok(Action::requeue(jittered(after, &name, salt)))
}

/// Ends what is kept in memory of a cluster that is gone.
fn forget(context: &Context, object: &TenantCluster) -> Action {
    if let Some(uid) = object.uid() {
        context.engines.remove(context, &uid);
        context.looks.forget(&uid);
        context.failures.forget(&uid);
        context.clusters_written.forget(&uid);
    }
    Action::await_change()
}

/// A cluster of a provider that this version of fleet does not have: nothing is done, and that is said.
async fn without_provider(context: &Context, object: &TenantCluster) -> Result<Action, ReconcileError> {
    let mut status = object.status.clone().unwrap_or_default();
    let message = "the cluster names no provider that this version of fleet has";
    let verdict = Verdict::fails(conditions::PROVISIONED, reason::INVALID_SPEC, message);
    conditions::set(&mut status.conditions, &verdict, object.metadata.generation, context.now());
    update_status::update_status(context, object, &status).await?;
    Ok(Action::await_change())
}
