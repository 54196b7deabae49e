//! One file for each command. A command decides nothing about the fleet: it reads, asks, prints.

mod apply;
mod calendar;
mod completions;
mod confirm;
mod delete;
mod describe;
mod explain;
mod get;
mod kubeconfig;
mod plan;
mod receipt;
mod render;
mod rollout;
mod sandbox;
mod status;
mod token;
mod validate;
mod version;
mod versions;
mod wait;
mod why;

use crate::{
    cli::Command,
    error::{Exit, Result},
    session::Session,
};

/// Carries out a command.
pub(crate) async fn run(session: &Session, command: Command) -> Result<Exit> {
    match command {
        Command::Validate { spec, output } => validate::run(session, &spec, output.output),
        Command::Plan(arguments) => plan::run(session, &arguments).await,
        Command::Apply(arguments) => apply::run(session, &arguments).await,
        Command::Status { tenants, watch, not_ready, output } => {
            status::run(session, &tenants, watch, not_ready, output.output).await
        }
        Command::Calendar(arguments) => calendar::run(session, &arguments).await,
        Command::Versions { tenants, output } => versions::run(session, &tenants, output.output).await,
        Command::Get { kind, names, output } => get::run(session, &kind, &names, output.output).await,
        Command::Describe { tenant, output } => describe::run(session, &tenant, output.output).await,
        Command::Why { tenant, output } => why::run(session, &tenant, output.output).await,
        Command::Rollout { command } => rollout::run(session, command).await,
        Command::Render(arguments) => render::run(session, &arguments).await,
        Command::Kubeconfig { tenant, role_arn } => {
            kubeconfig::run(session, &tenant, role_arn.as_deref()).await
        }
        Command::Token { cluster_name, region, role_arn } => {
            token::run(session, &cluster_name, &region, role_arn.as_deref()).await
        }
        Command::Delete { tenant, confirm, wait, output } => {
            delete::run(session, &tenant, confirm.as_deref(), wait, output.output).await
        }
        Command::Receipt { tenant, output } => receipt::run(session, tenant.as_deref(), output.output).await,
        Command::Explain { subject } => explain::run(session, subject.as_deref()),
        Command::Sandbox { command } => sandbox::run(session, command).await,
        Command::Completions { shell } => completions::run(session, shell),
        Command::Version { output } => version::run(session, output.output),
    }
}
