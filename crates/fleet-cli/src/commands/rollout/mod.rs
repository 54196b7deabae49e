//! `fleet rollout`: plan, start, watch and steer. What is decided, the planner and the engine decide.

mod approve;
mod history;
mod members;
mod patch;
mod pick;
mod plan;
mod start;
mod status;
mod steer;
pub(super) mod why;
mod world;

use approve::Vote;
use members::Back;

use super::confirm::confirmed;
use crate::{
    cli::rollout::{OneRollout, RolloutCommand},
    error::{Exit, Result},
    session::Session,
};

/// Carries out a command about rollouts.
pub(crate) async fn run(session: &Session, command: RolloutCommand) -> Result<Exit> {
    match command {
        RolloutCommand::Plan(arguments) => plan::run(session, &arguments).await,
        RolloutCommand::Start { plan, yes, output } => start::run(session, &plan, yes, output.output).await,
        RolloutCommand::Status { rollout, watch, output } => {
            status::run(session, rollout.as_deref(), watch, output.output).await
        }
        RolloutCommand::Pause(OneRollout { rollout, output }) => {
            steer::pause(session, rollout.as_deref(), output.output).await
        }
        RolloutCommand::Resume { rollout, acknowledge_failures, output } => {
            steer::resume(session, rollout.as_deref(), acknowledge_failures, output.output).await
        }
        RolloutCommand::Abort { rollout, yes, output } => {
            steer::abort(session, rollout.as_deref(), yes, output.output).await
        }
        RolloutCommand::Approve { rollout, gate, role, comment, output } => {
            let vote = Vote { gate: &gate, role: role.as_deref(), comment: comment.as_deref() };
            approve::run(session, rollout.as_deref(), &vote, output.output).await
        }
        RolloutCommand::Skip(arguments) => members::skip(session, &arguments).await,
        RolloutCommand::Retry(arguments) => members::retry(session, &arguments).await,
        RolloutCommand::Rollback { tenants, rollout, wave, yes, output } => {
            let back = Back { rollout: rollout.as_deref(), wave: wave.as_deref(), tenants: &tenants };
            members::rollback(session, &back, yes, output.output).await
        }
        RolloutCommand::Why { tenant, output } => super::why::run(session, &tenant, output.output).await,
        RolloutCommand::History { output } => history::run(session, output.output).await,
    }
}
