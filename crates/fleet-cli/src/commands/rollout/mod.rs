//! `fleet rollout`: plan, start, watch and steer. What is decided, the planner and the engine decide.

mod patch;
mod plan;
mod start;
mod world;

use std::io::{BufRead as _, IsTerminal as _};

use crate::{
    cli::rollout::RolloutCommand,
    error::{CliError, Exit, Result},
    printer,
    session::Session,
};

/// Carries out a command about rollouts.
pub(crate) async fn run(session: &Session, command: RolloutCommand) -> Result<Exit> {
    match command {
        RolloutCommand::Plan(arguments) => plan::run(session, &arguments).await,
        RolloutCommand::Start { plan, yes, output } => start::run(session, &plan, yes, output.output).await,
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
