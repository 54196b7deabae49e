//! The whole test suite, stage by stage, the benchmarks and the generated files.

use std::{
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Result, bail};

use crate::{
    arrows, interrupts,
    stages::{Profile, advise, build_programs, cargo, must, program, stage, took},
    tools,
};

/// One stage of the suite.
struct Stage {
    name: &'static str,
    does: &'static str,
    run: fn() -> Result<()>,
}

/// The stages, cheapest first, so that a small mistake is told early.
///
/// Everything is built with the features of the whole workspace, once: by `build`, whose programs and tests the later
/// stages run. clippy compiles nothing, and checks with outputs of its own.
const STAGES: &[Stage] = &[
    Stage { name: "fmt", does: "every file is formatted", run: format },
    Stage { name: "deps", does: "crates depend along the arrows only", run: arrows::check },
    Stage { name: "clippy", does: "no lint speaks, in code and in tests", run: clippy },
    Stage {
        name: "build",
        does: "every program and every test is built, once for all later stages",
        run: build,
    },
    Stage { name: "generated", does: "generated files are what the code would write", run: generated },
    Stage { name: "deny", does: "licences, bans, sources and advisories of dependencies", run: deny },
    Stage { name: "servers", does: "etcd and Kubernetes servers are there, or built", run: servers },
    Stage { name: "tests", does: "unit, property, scenario and end-to-end tests", run: tests },
    Stage {
        name: "simulate",
        does: "20,000 seeded rollouts, and two of 2,000 members, break no rule",
        run: || {
            run_simulator(&["--seeds", "20000"])?;
            run_simulator(&["--seeds", "2", "--members", "2000"])
        },
    },
];

/// Runs the stages, all or those named, and stops at none: every failure is told at the end.
pub(crate) fn run(only: &[String], list: bool) -> Result<ExitCode> {
    if list {
        for stage in STAGES {
            println!("{:<10} {}", stage.name, stage.does);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(unknown) = only.iter().find(|name| !STAGES.iter().any(|stage| stage.name == name.as_str())) {
        bail!("there is no stage `{unknown}`; `cargo xtask test --list` names them");
    }
    let began = Instant::now();
    let chosen = STAGES.iter().filter(|s| only.is_empty() || only.iter().any(|name| name == s.name));
    let (mut passed, mut failed) = (Vec::new(), Vec::new());
    let mut times = Vec::new();
    for one in chosen {
        let since = Instant::now();
        let result = stage(one.name, one.does, one.run);
        if interrupts::asked() {
            result?;
        } else if result.is_ok() {
            passed.push(one.name);
        } else {
            failed.push(one.name);
        }
        times.push(format!("{} {}", one.name, took(since.elapsed())));
    }
    println!("\n{}", times.join(", "));
    for name in &failed {
        println!("stage {name} failed; run it alone with `cargo xtask test --only {name}`");
    }
    println!("every stage ended after {}", took(began.elapsed()));
    println!("stages: {} passed, {} failed", passed.len(), failed.len());
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn format() -> Result<()> {
    must(&mut cargo(["fmt", "--all", "--check"])?)
}

fn clippy() -> Result<()> {
    must(&mut cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?)
}

fn generated() -> Result<()> {
    generate(true)
}

/// Writes the generated files, or only compares them.
pub(crate) fn generate(check: bool) -> Result<()> {
    build_programs(Profile::Debug)?;
    let mut command = Command::new(program("fleet-generate", Profile::Debug)?);
    if check {
        command.arg("--check");
    }
    must(&mut command)
}

fn deny() -> Result<()> {
    let program = tools::cargo_deny()?;
    let root = crate::stages::root()?;
    let deny = |checks: &[&str]| {
        let mut command = Command::new(&program);
        command.args(["--all-features", "check"]).args(checks).current_dir(&root);
        command
    };
    must(&mut deny(&["licenses", "bans", "sources"]))?;
    advisories(deny(&["advisories"]))
}

/// The advisories need a database that is fetched with git. A machine that cannot reach it has checked nothing, and
/// that is said; an advisory that is found is a failure everywhere.
fn advisories(mut command: Command) -> Result<()> {
    let output = command.output()?;
    let text =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    eprint!("{text}");
    if output.status.success() {
        return Ok(());
    }
    let unreachable = ["failed to fetch advisory database", "failed to load advisory database"];
    if unreachable.iter().any(|sign| text.contains(sign))
        && std::env::var_os("FLEET_DEMAND_ADVISORIES").is_none()
    {
        eprintln!(
            "NOT CHECKED: the advisory database cannot be fetched from this machine, so no advisory was looked up.\n\
             Run `cargo deny check advisories` where it can be; FLEET_DEMAND_ADVISORIES=1 makes this a failure."
        );
        return Ok(());
    }
    bail!("cargo-deny found advisories");
}

fn build() -> Result<()> {
    must(&mut cargo(["build", "--workspace", "--all-targets"])?)
}

fn servers() -> Result<()> {
    build_programs(Profile::Debug)?;
    must(&mut Command::new(program("fleet-servers", Profile::Debug)?))
}

fn tests() -> Result<()> {
    // End-to-end tests start programs, which `cargo test` alone would not build anew.
    build_programs(Profile::Debug)?;
    must(&mut cargo(["test", "--workspace", "--no-fail-fast"])?)
}

/// Runs seeded rollouts, or what the further arguments ask for.
pub(crate) fn simulate(seeds: u64, from: u64, arguments: &[String]) -> Result<ExitCode> {
    let (seeds, from) = (seeds.to_string(), from.to_string());
    let mut all = Vec::new();
    if !arguments.iter().any(|argument| argument == "--replay") {
        all.extend(["--seeds", &seeds, "--from", &from]);
    }
    all.extend(arguments.iter().map(String::as_str));
    run_simulator(&all)?;
    Ok(ExitCode::SUCCESS)
}

/// The simulator and the engine are built optimized in every profile: see the root Cargo.toml.
fn run_simulator(arguments: &[&str]) -> Result<()> {
    let mut command = cargo(["run", "--quiet", "--bin", "fleet-simulate", "--"])?;
    must(command.args(arguments))
}

/// Runs the benchmarks in a release build: figures of a debug build would say nothing.
pub(crate) fn bench(arguments: &[String]) -> Result<ExitCode> {
    let does =
        "the programs and the benchmark, optimised (an estimated 10 minutes on two cores the first time)";
    let built = stage("build", does, || build_programs(Profile::Release));
    advise(built, || "what cargo said stands above; the README names what has to be installed".to_owned())?;
    let mut command = Command::new(program("fleet-bench", Profile::Release)?);
    let measured = must(command.args(arguments));
    advise(measured, || {
        "what failed stands above; nothing of the benchmark goes on running, and `cargo xtask bench -- --clusters 2 \
         --deletions 20 --rest 10` tries a small one"
            .to_owned()
    })?;
    Ok(ExitCode::SUCCESS)
}
