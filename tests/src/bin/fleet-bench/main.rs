//! Figures: control planes, the first bundle beside kubectl, the pass that changes nothing, drift to repair, the
//! controller at rest, rollouts. Nothing is asserted of any of them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program of the command line")]

mod clusters;
mod conditions;
mod controller;
mod example;
mod figures;
mod first_bundle;
mod processes;
mod rollouts;
mod watching;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use clusters::Clusters;
use conditions::Conditions;
use example::{Example, TENANT, before_access};
use figures::{Figures, Spread, mib, millis, time};
use fleet_render::Bundle;
use local_control_plane::{Assets, Minor};
use tokio::signal::unix::{SignalKind, signal};

/// The longest time in which requests are counted while nothing happens.
const LONGEST_QUIET: Duration = Duration::from_secs(30);

/// Measure fleet on this machine
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench --", bin_name = "cargo xtask bench --")]
struct Arguments {
    /// How many fresh clusters
    #[arg(long, default_value_t = 10, value_parser = at_least_one)]
    clusters: usize,
    /// How often the engine and kubectl both apply the first bundle: an even number, since each begins half of them
    #[arg(long, default_value_t = 4, value_parser = even)]
    rounds: usize,
    /// How many objects are deleted to measure repairs
    #[arg(long, default_value_t = 200, value_parser = at_least_one)]
    deletions: usize,
    /// How long the controller's rest is measured, in seconds
    #[arg(long, default_value_t = 60, value_parser = at_least_one)]
    rest: usize,
    /// How many rollouts are simulated
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Take these figures only
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Clusters, Part::Controller, Part::Rollouts])]
    only: Vec<Part>,
    /// Plan one rollout of so many members and print what it took: the benchmark calls itself so
    #[arg(long, hide = true)]
    plan_alone: Option<usize>,
    /// How the figures are printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Write the figures into this file as well, as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Control planes, the first bundle, the pass that changes nothing, repairs
    Clusters,
    /// The controller at rest
    Controller,
    /// Planning, ticks, a hundred clusters, the simulator
    Rollouts,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("a whole number from 1 on is needed".to_owned()),
    }
}

fn even(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 && number % 2 == 0 => Ok(number),
        _ => Err("an even number from 2 on is needed, such as 4".to_owned()),
    }
}

/// Tells somebody who waits what goes on.
fn say(text: &str) {
    eprintln!("{text}");
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Whichever ends first, the other is dropped here, and everything that was started goes with it.
    let ended = tokio::select! {
        result = run(&arguments) => result.map(|()| None),
        signal = interrupted() => signal.map(Some),
    };
    match ended {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(code)) => {
            say("interrupted: every process and folder of the benchmark is gone, and no figure was written");
            ExitCode::from(code)
        }
        Err(error) => {
            say(&format!("error: {error}"));
            for cause in error.chain().skip(1) {
                say(&format!("  caused by: {cause}"));
            }
            if let Some(hint) = error.chain().find_map(hint) {
                say(&format!("  hint: {hint}"));
            }
            ExitCode::FAILURE
        }
    }
}

/// What the servers' crate advises.
fn hint(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    error.downcast_ref::<local_control_plane::Error>().and_then(local_control_plane::Error::hint)
}

/// Waits for Ctrl-C or SIGTERM, and gives the exit code that shells expect after it.
async fn interrupted() -> Result<u8> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let code = tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    };
    say("\nending what was started");
    Ok(code)
}

async fn run(arguments: &Arguments) -> Result<()> {
    if let Some(members) = arguments.plan_alone {
        println!("{}", serde_json::to_string(&rollouts::planning::alone(members)?)?);
        return Ok(());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the crate lies below the root")?;
    let assets =
        Assets::ensure(&[Minor::V1_35, Minor::V1_36], &|progress| say(&progress.to_string())).await?;
    let example = Example::read(root, jiff::Timestamp::now())?;
    let bundle = example.render()?;
    let mut conditions = Conditions::take(&assets, example.minor()?).await?;
    say(&conditions.text());
    let mut figures = Figures::default();
    for part in &arguments.only {
        match part {
            Part::Clusters => on_clusters(&assets, arguments, &example, &bundle, &mut figures).await?,
            Part::Controller => {
                let rest = Duration::from_secs(arguments.rest as u64);
                controller::measure(root, arguments.clusters, rest, &mut figures).await?;
            }
            Part::Rollouts => rollouts::measure(&assets, arguments.seeds, &mut figures).await?,
        }
    }
    conditions.end().await?;
    tell(arguments, &conditions, &bundle, &figures)
}

/// What engines do to fresh clusters, and then keep.
async fn on_clusters(
    assets: &Assets,
    arguments: &Arguments,
    example: &Example,
    bundle: &Bundle,
    figures: &mut Figures,
) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("fleet-bench-").tempdir()?;
    let count = arguments.clusters;
    say(&format!("starting {count} control planes, one after the other"));
    let (mut clusters, times) = Clusters::start(assets, example.minor()?, folder.path(), count).await?;
    let starts = Spread::of(times);
    figures.add(
        "controlPlaneStart",
        "a control plane from nothing to ready, one after the other",
        format!("p50 {}, max {}", time(starts.at(0.5)), time(starts.max())),
        [("p50Milliseconds", millis(starts.at(0.5))), ("maxMilliseconds", millis(starts.max()))],
    );
    let memory = clusters.memory_each();
    figures.add(
        "controlPlaneMemory",
        "memory of a fresh control plane (API server and controller manager)",
        mib(memory),
        [("residentBytes", memory as f64)],
    );
    say(&format!("applying the first bundle in {} rounds", arguments.rounds));
    let rounds = arguments.rounds;
    let kept = first_bundle::measure(assets, &mut clusters, example, rounds, folder.path(), figures).await?;
    let quiet = LONGEST_QUIET.min(Duration::from_secs(arguments.rest as u64));
    watching::nothing_to_do(&kept, example, quiet, figures).await?;
    watching::repairs(&clusters, &kept, bundle, arguments.deletions, figures).await?;
    first_bundle::stop(kept).await;
    clusters.stop().await;
    Ok(())
}

/// Prints and writes what was measured.
fn tell(arguments: &Arguments, conditions: &Conditions, bundle: &Bundle, figures: &Figures) -> Result<()> {
    let method = method(arguments, bundle);
    match arguments.output {
        Output::Table => println!("\n{}\n{method}\n\n{}", conditions.text(), figures.table()),
        Output::Json => {
            let all = serde_json::json!({ "conditions": conditions, "method": method, "figures": figures });
            println!("{}", serde_json::to_string_pretty(&all)?);
        }
    }
    if let Some(path) = &arguments.markdown {
        let text = format!(
            "# Figures\n\nPrinted by `cargo xtask bench`: {}\n\n{method}\n\n{}",
            conditions.text(),
            figures.markdown()
        );
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

/// How it was measured, for whoever compares.
fn method(arguments: &Arguments, bundle: &Bundle) -> String {
    format!(
        "Engine, kubectl, servers and one etcd share the cores. The bundle is that of `{TENANT}` of the example fleet, \
         composed and rendered as the product does it: {} objects, {} of them applied by both sides, {} probes. Before \
         every pass the same {} servers are started anew over empty data and left alone for 5 s; the engine begins the \
         first, third and every odd round, kubectl the others; the median of {} rounds is told, and after each pass an \
         independent client finds every object on every cluster. Both are cold: the clock \
         of the engine holds rendering, connecting and reading; that of kubectl its start, connecting, discovery (its \
         home is empty) and its file. kubectl waits for nothing; an engine waits until policies bite and quotas are live, \
         and begins its probes while others still apply. The no-op pass sets a bundle that was rendered anew and is \
         equal, then the same one again. An object is deleted by another client, from a cluster at \
         rest, and counts as back when that client's own watch sees it with the labels that it should have; namespaces \
         are not deleted. A rollout of a hundred clusters runs the controller's loop of rollouts on a management cluster \
         of its own; what the clusters' loop and EKS would do is done at once by the benchmark.",
        bundle.objects.len(),
        before_access(bundle).count(),
        bundle.probes.len(),
        arguments.clusters,
        arguments.rounds,
    )
}
