//! Fourth stage: the hardening. It renders what the cluster should have, tells the engine, and turns what the engine
//! knows into conditions. Unknown is never healthy.

use fleet_api::{
    conditions::{self, Verdict, reason},
    eks::ClusterTarget,
    v1alpha1::{BaselineStatus, ControlExceptionSpec, TenantCluster, TenantClusterStatus},
};
use fleet_exec::{
    baseline::{EngineReport, Reach, Stage},
    probes::Verdict as ProbeVerdict,
    remote::Fault,
};
use fleet_plan::{
    cluster::ClusterPlan,
    report::{Code, Who, entry, entry_with_hint, settle},
};
use fleet_render::{RenderInput, render};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{ResourceExt as _, runtime::reflector::ObjectRef};

use crate::{clock::day_of, context::Context, error::chain};

/// The most fights and failed controls that a status names.
const NAMED: usize = 10;

/// Hardens a cluster that can be entered, and writes what is known of it into the status.
pub(super) fn harden(
    context: &Context,
    object: &TenantCluster,
    target: &ClusterTarget,
    plan: &ClusterPlan,
    status: &mut TenantClusterStatus,
) {
    let uid = &target.owner_uid;
    let mut told = Told::default();
    let going = is_taken_down(object, plan);
    if plan.endpoint.is_none() && plan.arn.is_none() {
        // There is no cluster, so there is nothing to watch.
        context.engines.remove(context, uid);
    } else if going {
        // The way is still needed, to drain what the workloads hold in the cloud.
        if let Err(why) = context.engines.ensure(context, object, status, target) {
            told.say(Verdict::fails(conditions::REACHABLE, reason::UNREACHABLE, why));
        }
        context.engines.set_paused(uid, true);
        let message = "the cluster is being taken down";
        told.say(Verdict::fails(conditions::HARDENED, reason::DELETING, message));
        told.say(Verdict::fails(conditions::PROVEN, reason::DELETING, message));
    } else if plan.enterable || context.engines.has(uid) || status.baseline.applied_revision.is_some() {
        if let Err(why) = context.engines.ensure(context, object, status, target) {
            told.say(Verdict::fails(conditions::REACHABLE, reason::UNREACHABLE, why));
        }
        context.engines.set_paused(uid, object.spec.paused);
        if let Err((why, message)) = set_target(context, object, uid, plan, status) {
            told.say(Verdict::fails(conditions::HARDENED, why, message));
        }
    }
    match context.engines.known(uid) {
        // A paused engine has little to say, but it may have seen whether the API server answers.
        Some(known) if going => {
            if known.report.reach != Reach::Unknown {
                verdicts_of(&known.report).into_iter().for_each(|verdict| told.say(verdict));
            }
        }
        Some(known) if known.settled || !stands(object, status) => {
            context.metrics.repaired(known.repaired);
            note(&known.report, known.repaired, &mut status.baseline);
            explain(&known.report, status);
            verdicts_of(&known.report).into_iter().for_each(|verdict| told.say(verdict));
        }
        // What an earlier process saw still stands, until this one has found out by itself.
        Some(_) => {}
        None => {
            let waiting = "the cluster cannot be entered yet";
            for type_ in [conditions::REACHABLE, conditions::HARDENED, conditions::PROVEN] {
                told.say(Verdict::unknown(type_, reason::NOT_OBSERVED, waiting));
            }
        }
    }
    for verdict in &told.0 {
        conditions::set(&mut status.conditions, verdict, object.metadata.generation, context.now());
    }
}

/// What is told of the baseline: the first verdict about a condition speaks, because it is the more telling one.
#[derive(Default)]
struct Told(Vec<Verdict>);

impl Told {
    fn say(&mut self, verdict: Verdict) {
        if self.0.iter().all(|before| before.type_ != verdict.type_) {
            self.0.push(verdict);
        }
    }
}

/// Whether the cluster is going. One whose deletion has not been confirmed stays, and stays hardened.
fn is_taken_down(object: &TenantCluster, plan: &ClusterPlan) -> bool {
    let unconfirmed = plan.report.iter().any(|one| one.code == Code::DeletionUnconfirmed.as_str());
    object.metadata.deletion_timestamp.is_some() && !unconfirmed
}

/// Whether the stored conditions speak of this spec and of the revision that is wanted now.
fn stands(object: &TenantCluster, status: &TenantClusterStatus) -> bool {
    let generation = object.metadata.generation;
    let baseline = &status.baseline;
    let current = [conditions::REACHABLE, conditions::HARDENED, conditions::PROVEN]
        .iter()
        .all(|type_| conditions::is_true(&status.conditions, type_, generation));
    let before = object.status.as_ref().map(|before| &before.baseline);
    current
        && baseline.revision.is_some()
        && before.is_some_and(|before| before.applied_revision == baseline.revision)
}

/// Renders what the cluster should have, unless the engine has been told already. `Err` says why it cannot be.
fn set_target(
    context: &Context,
    object: &TenantCluster,
    uid: &str,
    plan: &ClusterPlan,
    status: &mut TenantClusterStatus,
) -> Result<(), (&'static str, String)> {
    let name = &object.spec.hardening.baseline;
    let baseline = context.stores.baselines.get(&ObjectRef::new(name)).ok_or_else(|| {
        (reason::REFERENCE_MISSING, format!("there is no Baseline `{name}`; what was applied stays"))
    })?;
    let version = plan.versions.control_plane.ok_or_else(|| {
        (reason::NOT_OBSERVED, "the version of the cluster's API server is not known yet".to_owned())
    })?;
    let mut exceptions = context.stores.exceptions.state_filter(|one| one.spec.tenant == object.spec.tenant);
    exceptions.sort_by_key(|one| one.name_any());
    let today = day_of(context.now());
    let source = format!(
        "{:?} {:?} {version} {today} {:?}",
        object.metadata.generation,
        baseline.resource_version(),
        exceptions.iter().map(|one| one.resource_version()).collect::<Vec<_>>(),
    );
    if context.engines.has_target_from(uid, &source) {
        return Ok(());
    }
    let exceptions: Vec<ControlExceptionSpec> = exceptions.iter().map(|one| one.spec.clone()).collect();
    let input =
        RenderInput { spec: &object.spec, baseline: &baseline.spec, exceptions: &exceptions, version, today };
    let bundle = render(&context.catalogue, &input).map_err(|error| {
        (reason::INVALID_SPEC, format!("baseline `{name}` cannot be rendered: {}", chain(&error)))
    })?;
    status.baseline.revision = Some(bundle.revision.clone());
    context.engines.set_target(uid, bundle, source);
    Ok(())
}

/// Writes what the engine knows.
fn note(report: &EngineReport, repaired: u64, baseline: &mut BaselineStatus) {
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    if let Some(revision) = &report.wanted_revision {
        baseline.revision = Some(revision.clone());
    }
    baseline.applied_revision.clone_from(&report.applied_revision);
    baseline.objects = count(report.objects);
    baseline.applied = count(report.applied);
    baseline.repairs = baseline.repairs.saturating_add(i64::try_from(repaired).unwrap_or(i64::MAX));
    baseline.last_error.clone_from(&report.last_error);
    if report.proven_revision.is_some() {
        baseline.proven_revision.clone_from(&report.proven_revision);
        baseline.proven_at = report.proven_at.map(Time);
        baseline.probes = report.counts;
    }
    baseline.fights = report.fights.iter().take(NAMED).cloned().collect();
}

/// Adds to the report what keeps the cluster from being hardened and proven.
fn explain(report: &EngineReport, status: &mut TenantClusterStatus) {
    let mut told = std::mem::take(&mut status.report);
    if let Reach::Down(fault) = &report.reach {
        told.push(entry_with_hint(
            Code::ApiServerUnreachable,
            Who::Operator,
            format!("the tenant's API server: {}", chain(fault)),
            "look at the cluster's endpoint, its security groups and the route to it",
        ));
    }
    let failing = report.verdicts.iter().filter(|one| one.verdict == ProbeVerdict::Fail);
    for one in failing.take(NAMED) {
        told.push(entry_with_hint(
            Code::ControlFails,
            Who::Operator,
            format!("{} ({}) does not bite: {}", one.control, one.title, one.message),
            format!("`fleet explain {}` says what it demands", one.control),
        ));
    }
    for fight in report.fights.iter().take(NAMED) {
        told.push(entry_with_hint(
            Code::Fight,
            Who::Tenant,
            format!("{} keeps changing {}, and fleet has left it alone", fight.other, fight.object),
            "keep that writer from changing the baseline",
        ));
    }
    let settled = matches!(report.stage, Stage::Watching | Stage::NoTarget);
    if !settled && report.reach == Reach::Up {
        told.push(entry(
            Code::Hardening,
            Who::Nobody,
            format!(
                "the baseline is {} ({} of {} objects)",
                report.stage.describe(),
                report.applied,
                report.objects
            ),
        ));
    }
    // `AsWanted` speaks of the cloud alone; beside another entry it would mislead.
    if told.len() > 1 {
        told.retain(|one| one.code != Code::AsWanted.as_str());
    }
    status.report = settle(told);
}

/// Reachable, Hardened and Proven, as the engine knows them.
fn verdicts_of(report: &EngineReport) -> Vec<Verdict> {
    let reachable = match &report.reach {
        Reach::Up => Verdict::holds(conditions::REACHABLE, reason::AS_WANTED, "the API server answers"),
        Reach::Unknown => Verdict::unknown(
            conditions::REACHABLE,
            reason::NOT_OBSERVED,
            "the API server has not been asked yet",
        ),
        Reach::Down(fault) => Verdict::fails(conditions::REACHABLE, reason_of(fault), chain(fault)),
    };
    let told = format!("the baseline is {}", report.stage.describe());
    let hardened = if report.hardened() {
        let revision = report.applied_revision.as_deref().unwrap_or_default();
        let message = format!("{} objects of revision {revision} are applied", report.objects);
        Verdict::holds(conditions::HARDENED, reason::AS_WANTED, message)
    } else if !report.fights.is_empty() {
        let names: Vec<&str> = report.fights.iter().take(NAMED).map(|one| one.object.as_str()).collect();
        let message = format!("somebody keeps changing {}", names.join(", "));
        Verdict::fails(conditions::HARDENED, reason::FIGHT, message)
    } else if report.reach != Reach::Up {
        Verdict::unknown(conditions::HARDENED, reason::UNREACHABLE, "what is applied cannot be seen")
    } else if let Some(error) = &report.last_error {
        Verdict::fails(conditions::HARDENED, reason::RETRYING, format!("{told}: {error}"))
    } else {
        Verdict::fails(conditions::HARDENED, reason::IN_PROGRESS, told.clone())
    };
    let counts = &report.counts;
    let proven = if report.proven() {
        let message = format!(
            "{} controls pass, {} are accepted, {} are not proven, {} do not apply",
            counts.pass, counts.accepted, counts.not_proven, counts.not_applicable
        );
        Verdict::holds(conditions::PROVEN, reason::AS_WANTED, message)
    } else if report.proven_revision == report.wanted_revision && counts.fail > 0 {
        let failing = report.verdicts.iter().filter(|one| one.verdict == ProbeVerdict::Fail);
        let names: Vec<&str> = failing.take(NAMED).map(|one| one.control.as_str()).collect();
        let message = format!("{} controls do not bite: {}", counts.fail, names.join(", "));
        Verdict::fails(conditions::PROVEN, reason::PROBE_FAILED, message)
    } else {
        Verdict::unknown(
            conditions::PROVEN,
            reason::NOT_OBSERVED,
            "the wanted revision has not been probed yet",
        )
    };
    vec![reachable, hardened, proven]
}

fn reason_of(fault: &Fault) -> &'static str {
    match fault {
        Fault::Throttled { .. } => reason::RETRYING,
        _ => reason::UNREACHABLE,
    }
}
