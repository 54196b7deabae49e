//! The loop of one rollout: gather the world, tick, and write what the tick says in its order.
//!
//! It is the only writer of the statuses of rollouts and members, and of what a rollout wants of a cluster. Every write is
//! made against the version that was read. The first that is refused ends the reconcile, and the next one looks again:
//! what is decided stands in the objects, so that nothing is lost by it.

mod carry_out;
mod checks;
mod condition;
mod facts;
mod prometheus;
mod tell;
mod world;

use std::{sync::Arc, time::Duration};

use fleet_api::v1alpha1::Rollout;
use fleet_plan::rollout::tick;
use jiff::SignedDuration;
use kube::{ResourceExt as _, runtime::controller::Action};

pub(crate) use carry_out::set_move;
pub(crate) use checks::Checks;
pub(crate) use facts::{RolloutFacts, of_rollouts};

use crate::{context::Context, error::ReconcileError};

/// How soon a rollout is looked at again after something was written: the next tick goes on from there.
const GO_ON: Duration = Duration::from_millis(100);

/// One reconcile of a rollout.
pub(crate) async fn reconcile(
    rollout: Arc<Rollout>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError> {
    let rollout = context.rollouts_written.freshest(rollout);
    context.fence.check()?;
    let seen = world::gather(&context, rollout);
    context.checks.refresh(&context, &seen);
    let world = seen.world(context.checks.results(&seen.rollout), context.now());
    let began = std::time::Instant::now();
    let tick = tick(&world);
    context.metrics.ticked(began.elapsed());
    drop(world);
    let wake_at = tick.wake_at;
    let written = carry_out::carry_out(&context, &seen, tick).await?;
    context.failures.forget(&seen.rollout.uid().unwrap_or_default());
    if written {
        return Ok(Action::requeue(GO_ON));
    }
    let Some(at) = wake_at else { return Ok(Action::await_change()) };
    let pause = context.now().duration_until(at).max(SignedDuration::from_secs(1));
    Ok(Action::requeue(Duration::try_from(pause).unwrap_or(context.resync).min(context.resync)))
}
