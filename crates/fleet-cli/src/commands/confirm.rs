//! Questions to whoever sits at the terminal.

use std::io::{BufRead as _, IsTerminal as _};

use crate::{
    error::{CliError, Result},
    printer,
};

/// Asks for a yes; `missing` says what cannot be done without an answer.
pub(super) fn confirmed(question: &str, missing: &str) -> Result<()> {
    let answer = answered(&format!("{question} [y/N] "), || {
        CliError::usage(format!("{missing}, and nobody can be asked here")).hint("confirm it with `--yes`")
    })?;
    match answer.to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::no("nothing was changed: you did not say yes")),
    }
}

/// Reads the answer to a question; `nobody` is the error where nobody can be asked.
pub(super) fn answered(question: &str, nobody: impl FnOnce() -> CliError) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        return Err(nobody());
    }
    printer::ask(question)?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| CliError::remote("the answer cannot be read").because(error))?;
    Ok(answer.trim().to_owned())
}
