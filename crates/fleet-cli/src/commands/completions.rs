//! `fleet completions SHELL`.

use clap::CommandFactory as _;

use crate::{
    cli::Cli,
    error::{Exit, Result},
    session::Session,
};

pub(crate) fn run(session: &Session, shell: clap_complete::Shell) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "fleet", &mut script);
    session.printer.data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
