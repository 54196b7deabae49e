//! Third stage: the steps, one after the other. The intent is stored before the call, the outcome after it.

use std::{sync::Arc, time::Duration};

use fleet_api::{
    conditions::{self, Verdict, reason},
    eks::ClusterTarget,
    step::{Action, Step},
    v1alpha1::{ReportEntry, TenantCluster, TenantClusterStatus},
};
use fleet_exec::steps::{self, StepError};
use fleet_plan::{
    cluster::{ClusterPlan, begin, note_outcome, note_refusal},
    report::{Code, Who, entry, entry_with_hint, settle},
};
use fleet_provider::ErrorClass;
use kube::ResourceExt as _;
use tracing::{info, warn};

use super::update_status::update_status;
use crate::{
    context::Context,
    error::{ReconcileError, chain},
};

/// How a reconcile went on after a step that found another world than it expected.
const REPLAN: Duration = Duration::from_secs(1);

/// What came of the steps.
pub(super) enum Done {
    /// There were none.
    Nothing,
    /// They were carried out.
    Steps,
    /// One was not, and the rest waits; the pause before the next look.
    Failed(Duration),
}

/// Carries out the steps of a plan, until one fails. Gives back the object and the status as they are then.
pub(super) async fn carry_out(
    context: &Context,
    object: Arc<TenantCluster>,
    target: &ClusterTarget,
    plan: &ClusterPlan,
    mut status: TenantClusterStatus,
) -> Result<(Arc<TenantCluster>, TenantClusterStatus, Done), ReconcileError> {
    let mut object = object;
    let generation = object.metadata.generation;
    if plan.steps.is_empty() {
        context.failures.forget(&target.owner_uid);
        return Ok((object, status, Done::Nothing));
    }
    context.looks.stale(&target.owner_uid);
    let tenant = context.engines.remote(&target.owner_uid);
    for step in &plan.steps {
        if context.stop.is_cancelled() {
            // What was begun is stored; the next process goes on from there.
            return Ok((object, status, Done::Steps));
        }
        begin(&mut status, step, context.now());
        object = update_status(context, object, status.clone(), generation).await?;
        if object.metadata.generation != generation {
            // The spec changed while the intent was being stored: what was planned may not be wanted any more.
            return Ok((object, status, Done::Failed(REPLAN)));
        }
        // The fence is asked last, right before the world is changed.
        context.fence.check()?;
        let name = action_name(step);
        info!(cluster = target.cluster_name, step = step.id, action = name, "a step is carried out");
        match steps::carry_out(&*context.provider, tenant.as_ref(), target, step).await {
            Ok(outcome) => {
                context.metrics.step(name, "ok");
                note_outcome(&mut status, step, &outcome, context.now());
                if !matches!(step.action, Action::DrainWorkloads) {
                    context.tell(&*object, false, "StepDone", name, step.summary.clone()).await;
                }
            }
            Err(error) => {
                let class = error.class();
                context.metrics.step(name, class.as_str());
                let pause = failed(context, &object, &mut status, step, &error).await;
                return Ok((object, status, Done::Failed(pause)));
            }
        }
    }
    context.failures.forget(&target.owner_uid);
    Ok((object, status, Done::Steps))
}

/// Notes a step that was not carried out, and gives the pause before the next look.
async fn failed(
    context: &Context,
    object: &TenantCluster,
    status: &mut TenantClusterStatus,
    step: &Step,
    error: &StepError,
) -> Duration {
    let class = error.class();
    let why = chain(error);
    if let StepError::Tenant { source, .. } = error {
        let verdict = Verdict::fails(conditions::REACHABLE, reason::UNREACHABLE, chain(source));
        conditions::set(&mut status.conditions, &verdict, object.metadata.generation, context.now());
    }
    warn!(cluster = object.spec.cluster_name, step = step.id, class = class.as_str(), why, "a step failed");
    if class == ErrorClass::WorldMoved {
        return REPLAN;
    }
    context.metrics.provider_error(class.as_str());
    let uid = object.uid().unwrap_or_default();
    if class.passes_by_itself() {
        let told = entry(Code::Retrying, Who::Nobody, format!("{}: {why}", step.summary));
        add(status, told);
        return context.failures.failed(&uid);
    }
    note_refusal(object, status, step, class.as_str(), &why, context.now());
    add(
        status,
        entry_with_hint(Code::Retrying, Who::Operator, format!("{}: {why}", step.summary), hint(class)),
    );
    context.tell(object, true, class.as_str(), action_name(step), why).await;
    context.failures.failed(&uid)
}

/// What an operator can do about a refusal.
fn hint(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Denied => "give the class's role the permission that the message names",
        ErrorClass::LimitReached => "have the quota raised in the AWS account",
        ErrorClass::NotOurs => "delete or rename what has the name, or set its ownership tag",
        ErrorClass::Invalid
        | ErrorClass::Throttled
        | ErrorClass::Transient
        | ErrorClass::WorldMoved
        | ErrorClass::Unknown => "change the class or the tenant as the message asks for",
    }
}

/// Adds an entry to the report that the plan wrote.
fn add(status: &mut TenantClusterStatus, told: ReportEntry) {
    let mut all = std::mem::take(&mut status.report);
    all.insert(0, told);
    status.report = settle(all);
}

/// The operation's name, for metrics and events: a fixed set.
fn action_name(step: &Step) -> &'static str {
    match &step.action {
        Action::Eks(action) => action.operation(),
        Action::DrainWorkloads => "DrainWorkloads",
    }
}
