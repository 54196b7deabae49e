//! The loop of one tenant's cluster: look at the cloud, plan, carry out, harden, and tell.

mod apply;
mod baseline;
mod delete;
mod evidence;
mod failing;
mod observe;
mod update_status;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fleet_api::{
    conditions::{self, Verdict, reason},
    eks::ClusterTarget,
    labels,
    v1alpha1::TenantCluster,
};
use fleet_plan::report::{Code, Who, entry_with_hint};
use kube::{ResourceExt as _, runtime::controller::Action};

pub(crate) use failing::failing;
pub(crate) use observe::Looks;

use crate::{
    brake::{self, Braked},
    context::Context,
    error::ReconcileError,
    finalizer,
    pace::{jittered, soonest},
};

/// What is planned to be looked at within this time counts as the cloud being at work.
const AT_WORK: Duration = Duration::from_secs(60);

/// How often the brake on deletions is asked again.
const BRAKE_PAUSE: Duration = Duration::from_secs(30);

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
    if deleting
        && object.status.as_ref().is_none_or(|status| status.deletion.is_none())
        && let Err(braked) = brake::ask(&context, &object.spec.cluster_name)
    {
        return held_by_brake(&context, object, &braked).await;
    }
    // Saved before the first call to the cloud: whatever is made from here on has somebody who takes it down.
    let object = finalizer::ensure(&context, object, labels::CLUSTER_FINALIZER).await?;
    let Some(target) = ClusterTarget::of(&object) else {
        return without_provider(&context, object).await;
    };
    let (seen, plan) = observe::look_and_plan(&context, &object, &target).await;
    let mut status = object.status.clone().unwrap_or_default();
    let now = context.now();
    let generation = object.metadata.generation;
    plan.record(&mut status, generation, now);
    apply::name_who_can_act(&mut status);
    apply::tell_failed_updates(&context, &object, &plan).await;
    baseline::harden(&context, &evidence::under_move(&object), &target, &plan, &mut status);
    if deleting {
        delete::write_receipt(&context, &object, &status, &seen, plan.deleted).await?;
    }
    if plan.deleted {
        let object = update_status::update_status(&context, object, status, generation).await?;
        finalizer::release(&context, &*object, labels::CLUSTER_FINALIZER).await?;
        return Ok(Action::await_change());
    }
    let (object, mut status, done) = apply::carry_out(&context, object, &target, &plan, status).await?;
    let watched = evidence::observe(&context, &object, &seen, &plan, &mut status, generation).await;
    let object = update_status::update_status(&context, object, status, generation).await?;
    let planned = Duration::try_from(plan.look_again_after).unwrap_or(context.resync);
    let name = object.name_any();
    let after = match done {
        apply::Done::Nothing => {
            let after = planned.min(if planned > AT_WORK { context.resync } else { context.pace });
            // What a rollout judges by is looked at anew each time: even the soonest of the spread pauses ends after
            // the look that came before it.
            let good = watched.map_or(after, |every| after.min(soonest(every)));
            // After a step the world is another one, and the look that it was planned on says nothing more.
            context.looks.good_until(&target.owner_uid, Instant::now() + good);
            after
        }
        apply::Done::Steps => planned.min(context.pace),
        // However often a step has failed: an update that is under way is looked at all the same, or its end would
        // be seen minutes late.
        apply::Done::Failed(pause) if follows_an_update(&object) => pause.min(AT_WORK),
        apply::Done::Failed(pause) => pause,
    };
    let after = watched.map_or(after, |every| after.min(every));
    let salt = u64::try_from(object.metadata.generation.unwrap_or_default()).unwrap_or_default();
    Ok(Action::requeue(jittered(after, &name, salt)))
}

/// Whether the cloud is carrying out an update whose id is known.
fn follows_an_update(object: &TenantCluster) -> bool {
    let step = object.status.as_ref().and_then(|status| status.step.as_ref());
    step.is_some_and(|step| step.update_id.is_some())
}

/// Ends what is kept in memory of a cluster that is gone.
fn forget(context: &Context, object: &TenantCluster) -> Action {
    context.forget(&object.uid().unwrap_or_default());
    Action::await_change()
}

/// A deletion that may not begin yet: the cluster stays as it is, and that is said.
async fn held_by_brake(
    context: &Context,
    object: Arc<TenantCluster>,
    braked: &Braked,
) -> Result<Action, ReconcileError> {
    let mut status = object.status.clone().unwrap_or_default();
    let generation = object.metadata.generation;
    let verdict = Verdict::fails(conditions::PROVISIONED, reason::BLOCKED, braked.message());
    conditions::set(&mut status.conditions, &verdict, generation, context.now());
    status.report = vec![entry_with_hint(Code::Braked, Who::Operator, braked.message(), Braked::HINT)];
    update_status::update_status(context, object, status, generation).await?;
    Ok(Action::requeue(BRAKE_PAUSE))
}

/// A cluster of a provider that this version of fleet does not have: nothing is done, and that is said.
async fn without_provider(context: &Context, object: Arc<TenantCluster>) -> Result<Action, ReconcileError> {
    if object.metadata.deletion_timestamp.is_some() {
        // Without a provider nothing was ever made for it.
        finalizer::release(context, &*object, labels::CLUSTER_FINALIZER).await?;
        return Ok(Action::await_change());
    }
    let mut status = object.status.clone().unwrap_or_default();
    let message = "the cluster names no provider that this version of fleet has";
    let verdict = Verdict::fails(conditions::PROVISIONED, reason::INVALID_SPEC, message);
    conditions::set(&mut status.conditions, &verdict, object.metadata.generation, context.now());
    let generation = object.metadata.generation;
    update_status::update_status(context, object, status, generation).await?;
    Ok(Action::await_change())
}
