//! What was seen of the cluster under a rollout's move: the evidence by which the rollout judges it.

use std::{borrow::Cow, time::Duration};

use fleet_api::{
    conditions,
    eks::EksObservation,
    inside::Inside,
    step::Seen,
    text::Day,
    v1alpha1::{MemberState, Move, Rollout, RolloutMember, RolloutSpec, TenantCluster, TenantClusterStatus},
};
use fleet_exec::inside::look_inside;
use fleet_plan::{
    cluster::{
        ClusterPlan,
        preflight::{Preflight, Surroundings, preflight},
    },
    evidence::{Look, evidence, nodes_follow},
    moves,
};
use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt as _, runtime::reflector::ObjectRef};

use crate::{clock::day_of, context::Context, error::chain, tenant::PARTS};

/// How many times the pace of the loop passes between two looks at a cluster under a move: a minute with the default.
const PACES: u32 = 3;
/// How long a look into a tenant's cluster may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The cluster with what its rollout wants of it in its spec.
pub(super) fn under_move(object: &TenantCluster) -> Cow<'_, TenantCluster> {
    match object.spec.rollout {
        None => Cow::Borrowed(object),
        Some(_) => Cow::Owned(TenantCluster { spec: moves::effective(&object.spec), ..object.clone() }),
    }
}

/// Writes the evidence of this look into the status, and says how soon the next look is due.
///
/// `None` when no rollout waits for the cluster: what was seen last stays, and a cluster at rest costs nothing.
pub(super) async fn observe(
    context: &Context,
    object: &TenantCluster,
    seen: &EksObservation,
    plan: &ClusterPlan,
    status: &mut TenantClusterStatus,
    generation: Option<i64>,
) -> Option<Duration> {
    // A look that was made for an older spec says nothing of the move that stands now.
    let wanted = object.spec.rollout.as_ref().filter(|_| object.metadata.generation == generation)?;
    let (rollout, member) = waiting(context, object, wanted)?;
    let every = (context.pace * PACES).max(Duration::from_secs(1));
    let uid = object.uid().unwrap_or_default();
    let ready = conditions::ready_from(&status.conditions, PARTS, generation);
    conditions::set(&mut status.conditions, &ready, generation, context.now());
    let mut current = object.clone();
    current.metadata.generation = generation;
    current.status = Some(status.clone());
    let span = SignedDuration::try_from(every).unwrap_or(SignedDuration::from_mins(1));
    let found = match moves::to_prepare(&object.spec) {
        Some(wanted) if is_due(status, wanted, context.now(), span) => {
            Some(look_ahead(context, &current, wanted, (&rollout, &member), seen, plan).await)
        }
        _ => None,
    };
    let look = Look {
        cluster: &current,
        live: seen.cluster.present().is_some() && context.engines.has_found_out(&uid),
        preflight: found.as_ref(),
        every: span,
        now: context.now(),
    };
    status.evidence = evidence(&look);
    Some(every)
}

/// The rollout and the member that wait for the cluster's evidence.
fn waiting(context: &Context, object: &TenantCluster, wanted: &Move) -> Option<(RolloutSpec, RolloutMember)> {
    let rollout = context.stores.rollouts.get(&ObjectRef::<Rollout>::new(&wanted.rollout))?;
    let over = rollout.status.as_ref().is_some_and(|status| status.phase.is_over());
    if over || rollout.uid().as_ref() != Some(&wanted.rollout_uid) {
        return None;
    }
    let (name, uid) = (object.name_any(), object.uid());
    let member = context.stores.members.find(|member| {
        member.spec.rollout == wanted.rollout
            && member.spec.cluster == name
            && Some(&member.spec.cluster_uid) == uid.as_ref()
    })?;
    // One that is offline left the wave, and comes back when it is seen again.
    let settled = member
        .status
        .as_ref()
        .is_some_and(|status| status.state.is_settled() && status.offline_since.is_none());
    // One that has succeeded is looked at again while nodes follow that were held back: they may be unable to.
    let done = member.status.as_ref().is_some_and(|status| status.state == MemberState::Succeeded);
    (!settled || (done && nodes_follow(object, context.now())))
        .then(|| (rollout.spec.clone(), (*member).clone()))
}

/// Whether it is time to look for what stands in the way: that asks a lot of the tenant's API server.
fn is_due(status: &TenantClusterStatus, wanted: &Move, now: Timestamp, every: SignedDuration) -> bool {
    let before = status.evidence.as_ref();
    let Some(before) = before.filter(|one| one.move_id == wanted.id && one.stage == wanted.stage) else {
        return true;
    };
    let since = before.observed_at.0.duration_until(now);
    since.is_negative() || since >= every
}

/// Looks for what would stand in the way of the move.
async fn look_ahead(
    context: &Context,
    current: &TenantCluster,
    wanted: &Move,
    (rollout, member): (&RolloutSpec, &RolloutMember),
    seen: &EksObservation,
    plan: &ClusterPlan,
) -> Preflight {
    let uid = current.uid().unwrap_or_default();
    let inside = match context.engines.remote(&uid) {
        None => Seen::Unknown { why: "there is no way to its API server yet".to_owned() },
        Some(remote) => match tokio::time::timeout(PATIENCE, look_inside(&remote)).await {
            Ok(Ok(inside)) => Seen::Present(inside),
            Ok(Err(fault)) => Seen::<Inside>::Unknown { why: chain(&fault) },
            Err(_) => Seen::Unknown { why: "its API server takes too long".to_owned() },
        },
    };
    let exceptions = context.stores.exceptions.state_filter(|one| one.spec.tenant == current.spec.tenant);
    let exceptions: Vec<_> = exceptions.iter().map(|one| one.spec.clone()).collect();
    let baselines: Vec<_> = context.stores.baselines.state().iter().map(|one| one.name_any()).collect();
    let now = context.now();
    let around = Surroundings {
        inside: &inside,
        exceptions: &exceptions,
        baselines: &baselines,
        until: may_take_until(rollout, &member.spec.wave, now),
        today: day_of(now),
    };
    preflight(current, wanted, seen, plan, &around, now)
}

/// Up to which day a member that begins now may be under way: its deadline, its soak, and its held nodes.
fn may_take_until(rollout: &RolloutSpec, wave: &str, now: Timestamp) -> Day {
    let wave = rollout.waves.iter().find(|one| one.name == wave);
    let soak = wave.and_then(|wave| wave.soak).map_or(0, |soak| soak.0);
    let held = rollout.hold_nodes.map_or(0, |held| held.0);
    let minutes = rollout.step_deadline.0 + soak.max(held);
    day_of(now.checked_add(SignedDuration::from_mins(minutes)).unwrap_or(Timestamp::MAX))
}
