//! Development tasks: `cargo xtask demo`, `test`, `bench`, `gen` and `deps`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task runner speaks to a terminal")]

mod arrows;
mod demo;
mod interrupts;
mod stages;
mod suite;
mod tools;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use stages::Advised;

/// Development tasks of fleet
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build what is needed, start the sandbox, apply the example fleet and wait until it is ready
    Demo,
    /// Run every check and every test
    Test {
        /// Run only these stages
        #[arg(long, value_name = "STAGE", value_delimiter = ',')]
        only: Vec<String>,
        /// List the stages and stop
        #[arg(long)]
        list: bool,
    },
    /// Measure: control planes, first bundle, no-op pass, drift to repair, controller at rest
    Bench {
        /// Arguments for the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run seeded rollouts in a simulated world of faults, and check every rule after every write
    Simulate {
        /// How many seeds to run
        #[arg(long, default_value_t = 1000)]
        seeds: u64,
        /// The first seed
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Further arguments, such as `--members 10000`, or `--replay SEED --shrink` in place of the seeds
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Write the generated files (CRDs, controller manifests, CLI reference)
    Gen {
        /// Change nothing; fail with a diff when a file is not as it would be written
        #[arg(long)]
        check: bool,
    },
    /// Check that the crates depend on each other only along the arrows of ARCHITECTURE.md
    Deps,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match interrupts::listen().and_then(|()| run(arguments.task)) {
        Ok(code) => code,
        Err(_) if interrupts::asked() => {
            eprintln!("interrupted: nothing that this command started goes on running");
            interrupts::exit_code()
        }
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  caused by: {cause}");
            }
            if let Some(Advised { hint, .. }) = error.downcast_ref() {
                eprintln!("  hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Demo => demo::run(),
        Task::Test { only, list } => suite::run(&only, list),
        Task::Bench { arguments } => suite::bench(&arguments),
        Task::Simulate { seeds, from, arguments } => suite::simulate(seeds, from, &arguments),
        Task::Gen { check } => {
            suite::generate(check)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Deps => {
            arrows::check()?;
            println!("every dependency follows the arrows");
            Ok(ExitCode::SUCCESS)
        }
    }
}
