//! Third stage: the steps, one after the other. The intent is stored before the call, the outcome after it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fleet_api::{
    conditions::{self, Verdict, reason},
    eks::ClusterTarget,
    step::{Action, Step},
    v1alpha1::{ReportEntry, StepFailure, TenantCluster, TenantClusterStatus},
};
use fleet_exec::steps::{self, StepError};
use fleet_plan::{
    cluster::{ClusterPlan, begin, cause, note_outcome, note_refusal},
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
    context.looks.stale(&target.owner_uid, Instant::now());
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
                    context.events.tell(&*object, false, "StepDone", name, step.summary.clone()).await;
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
    let told = told(error);
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
        add(status, entry(Code::Retrying, Who::Nobody, format!("{}: {told}", step.summary)));
        return context.failures.failed(&uid);
    }
    note_refusal(object, status, step, class.as_str(), &told, context.now());
    add(
        status,
        entry_with_hint(
            Code::Retrying,
            Who::Operator,
            format!("{}: {told}", step.summary),
            cause(class.as_str()).hint,
        ),
    );
    context.events.tell(object, true, class.as_str(), action_name(step), told).await;
    context.failures.failed(&uid)
}

/// What went wrong, for a status: the cloud's own words, without the step around them and the plumbing below.
fn told(error: &StepError) -> String {
    match error {
        StepError::Provider { source, .. } if source.message.is_some() => source.to_string(),
        StepError::Provider { source, .. } => chain(source),
        StepError::Tenant { source, .. } => chain(source),
        StepError::NoWay { .. } => chain(error),
    }
}

/// Tells of updates that were accepted, and that this look saw to have failed, once for each. Nobody else may be watching:
/// nodes that a rollout held back move when their member has long succeeded.
pub(super) async fn tell_failed_updates(context: &Context, object: &TenantCluster, plan: &ClusterPlan) {
    let before = object.status.as_ref().map(|status| status.failures.as_slice()).unwrap_or_default();
    for failure in newly_failed(before, &plan.failures) {
        let operation = operation_of(&failure.step);
        context.metrics.step(operation, "failed");
        let note = format!("{} failed with {}: {}", failure.step, failure.code, failure.message);
        context.events.tell(object, true, "UpdateFailed", operation, note).await;
    }
}

/// The failures that were not known, or have come about once more.
fn newly_failed<'a>(before: &[StepFailure], now: &'a [StepFailure]) -> Vec<&'a StepFailure> {
    let known = |failure: &StepFailure| {
        before.iter().any(|one| {
            one.step == failure.step && one.under == failure.under && one.attempts >= failure.attempts
        })
    };
    now.iter().filter(|failure| !known(failure)).collect()
}

/// The operation whose update failed, by the step's id: a fixed set, for metrics.
fn operation_of(step: &str) -> &'static str {
    match step.split('/').next() {
        Some("update-version") => "UpdateClusterVersion",
        Some("nodegroup") => "UpdateNodegroup",
        Some("addon") => "UpdateAddon",
        Some("config") => "UpdateClusterConfig",
        _ => "Create",
    }
}

/// Says of every refusal in the report who can act: it passes only when somebody does.
pub(super) fn name_who_can_act(status: &mut TenantClusterStatus) {
    let refused = [ErrorClass::Denied, ErrorClass::Invalid, ErrorClass::LimitReached, ErrorClass::NotOurs];
    for failure in &status.failures {
        let Some(class) = refused.into_iter().find(|class| class.as_str() == failure.code) else { continue };
        let about = status.report.iter_mut().filter(|one| one.message.starts_with(&failure.step));
        for one in about.filter(|one| one.hint.is_none()) {
            one.who = Who::Operator.as_str().to_owned();
            one.hint = Some(cause(class.as_str()).hint.to_owned());
        }
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

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn failure(step: &str, code: &str) -> StepFailure {
        StepFailure {
            step: step.to_owned(),
            attempts: 1,
            code: code.to_owned(),
            message: String::new(),
            last_at: Time(jiff::Timestamp::UNIX_EPOCH),
            seen_as: None,
            retry: None,
            wish: None,
            under: None,
        }
    }

    #[test]
    fn a_failed_update_is_told_once_for_each_time_that_it_failed() {
        let nodes = failure("nodegroup/workers/version", "PodEvictionFailure");
        let again = StepFailure { attempts: 2, ..nodes.clone() };
        let anew = StepFailure { under: Some("m-2 Go".to_owned()), ..nodes.clone() };
        let told = |before: &[StepFailure], now: &StepFailure| {
            newly_failed(before, std::slice::from_ref(now)).len() == 1
        };
        assert!(told(&[], &nodes));
        assert!(!told(std::slice::from_ref(&nodes), &nodes));
        assert!(told(std::slice::from_ref(&nodes), &again));
        assert!(told(std::slice::from_ref(&again), &anew));
        assert_eq!(operation_of(&nodes.step), "UpdateNodegroup");
    }

    #[test]
    fn a_refusal_says_who_can_act_and_a_fault_of_the_cloud_does_not() {
        let mut status = TenantClusterStatus {
            failures: vec![
                failure("create-cluster", "Denied"),
                failure("update-version", "PodEvictionFailure"),
            ],
            report: vec![
                entry(Code::Retrying, Who::Nobody, "create-cluster failed 1 times"),
                entry(Code::Retrying, Who::Nobody, "update-version failed 1 times"),
            ],
            ..TenantClusterStatus::default()
        };
        name_who_can_act(&mut status);
        let who: Vec<&str> = status.report.iter().map(|one| one.who.as_str()).collect();
        assert_eq!(who, ["operator", "nobody"]);
        assert!(status.report[0].hint.as_deref().unwrap().contains("permission"));
    }
}
