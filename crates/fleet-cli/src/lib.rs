//! The command line of fleet: arguments, printing, exit codes. What is decided, is decided elsewhere.
//!
//! Data goes to stdout and everything else to stderr. Exit codes: 0 done or same; 1 the answer is no; 2 wrong
//! usage, spec or configuration; 3 a cluster or the cloud failed, and trying again can help; 130 interrupted.

pub mod cli;
mod commands;
mod error;
mod foresight;
mod hub;
mod output;
mod printer;
mod reference;
mod session;
mod spec;

use std::process::ExitCode;

use clap::Parser as _;

pub use reference::reference_markdown;

use crate::{cli::Cli, printer::Printer, session::Session};

/// Parses the arguments, carries out the command, prints its error, and gives the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers and not errors; clap knows which stream each belongs to.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let printer = Printer::new(cli.global.color, cli.global.quiet);
    session::log_to_stderr(cli.global.verbose);
    let session = Session::new(cli.global, printer);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            printer.error(&error::CliError::remote("the program cannot start its threads").because(error));
            return ExitCode::from(3);
        }
    };
    match runtime.block_on(commands::run(&session, cli.command)) {
        Ok(exit) => exit.into(),
        Err(error) => {
            printer.error(&error);
            error.exit_code()
        }
    }
}
