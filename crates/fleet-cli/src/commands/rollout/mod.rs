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

use std::io::{BufRead as _, IsTerminal as _};

use approve::Vote;
use members::Back;

use crate::{
    cli::rollout::{OneRollout, RolloutCommand},
    error::{CliError, Exit, Result},
    printer,
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

/// Asks whoever sits at the terminal; `missing` says what cannot be done without an answer.
fn confirmed(question: &str, missing: &str) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(CliError::usage(format!("{missing}, and nobody can be asked here"))
            .hint("confirm it with `--yes`"));
    }
    printer::ask(&format!("{question} [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| CliError::remote("the answer cannot be read").because(error))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::no("nothing was changed: you did not say yes")),
    }
}
