//! `fleet-simulate`: runs many seeded rollouts, or replays one.
#![expect(clippy::print_stdout, reason = "a program speaks to a terminal")]

use std::{
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use clap::Parser;
use fleet_simulator::{Scenario, Violation, large, replay, run, scenario, shrink};

/// Run seeded rollouts in a simulated world of faults, and check every rule after every write
#[derive(Parser)]
#[command(name = "fleet-simulate", disable_version_flag = true)]
struct Arguments {
    /// How many seeds to run
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Replay one seed and print its log
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "from"])]
    replay: Option<u64>,
    /// With `--replay`: make a scenario that breaks a rule smaller first
    #[arg(long, requires = "replay")]
    shrink: bool,
    /// Give every rollout so many members, up to 10,000
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    members: Option<u32>,
    /// How many threads; as many as the machine has by default
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.replay {
        Some(seed) => replay_one(&arguments, seed),
        None => run_all(&arguments),
    }
}

fn scenario_of(arguments: &Arguments, seed: u64) -> Scenario {
    match arguments.members {
        Some(members) => large(seed, usize::try_from(members).unwrap_or(usize::MAX)),
        None => scenario(seed),
    }
}

fn replay_one(arguments: &Arguments, seed: u64) -> ExitCode {
    let mut scenario = scenario_of(arguments, seed);
    let engine = fleet_plan::rollout::tick;
    if arguments.shrink
        && let Some(violation) = run(&scenario, &engine).violation
    {
        scenario = shrink(&scenario, &engine, violation.rule).scenario;
    }
    println!("{scenario:#?}");
    let outcome = replay(&scenario, &engine);
    print!("{}", outcome.log.unwrap_or_default());
    println!("{:?} after {} ticks", outcome.phase, outcome.ticks);
    if outcome.violation.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_all(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let threads = arguments
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get))
        .max(1);
    let next = AtomicU64::new(0);
    let ticks = AtomicU64::new(0);
    let ends: Mutex<std::collections::BTreeMap<String, u64>> = Mutex::default();
    let broken: Mutex<Vec<(u64, Violation)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= arguments.seeds {
                        return;
                    }
                    let seed = arguments.from.wrapping_add(index);
                    let outcome = run(&scenario_of(arguments, seed), &fleet_plan::rollout::tick);
                    ticks.fetch_add(outcome.ticks, Ordering::Relaxed);
                    let phase = format!("{:?}", outcome.phase);
                    *ends.lock().unwrap_or_else(PoisonError::into_inner).entry(phase).or_default() += 1;
                    if let Some(violation) = outcome.violation {
                        broken.lock().unwrap_or_else(PoisonError::into_inner).push((seed, violation));
                    }
                }
            });
        }
    });
    let took = began.elapsed().as_secs_f64();
    let ends = ends.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut broken = broken.into_inner().unwrap_or_else(PoisonError::into_inner);
    broken.sort_unstable_by_key(|(seed, _)| *seed);
    println!(
        "{} rollouts in {took:.1} s on {threads} threads ({:.0} per second), {} ticks",
        arguments.seeds,
        arguments.seeds as f64 / took.max(0.001),
        ticks.into_inner()
    );
    let ends: Vec<String> = ends.iter().map(|(phase, count)| format!("{phase} {count}")).collect();
    println!("ended: {}", ends.join(", "));
    let Some((first, _)) = broken.first() else {
        println!("no rule was broken");
        return ExitCode::SUCCESS;
    };
    println!("{} of them broke a rule:", broken.len());
    for (seed, violation) in broken.iter().take(40) {
        println!("seed {seed}: {}: {}", violation.rule.sentence(), violation.text);
    }
    show(arguments, *first);
    ExitCode::FAILURE
}

/// Shrinks the first scenario that broke a rule, and prints the log of what is left.
fn show(arguments: &Arguments, seed: u64) {
    let engine = fleet_plan::rollout::tick;
    let scenario = scenario_of(arguments, seed);
    let Some(violation) = run(&scenario, &engine).violation else { return };
    let shrunk = shrink(&scenario, &engine, violation.rule);
    println!("\nthe smallest scenario that was found of seed {seed}, after {} others:", shrunk.tried);
    println!("{:#?}", shrunk.scenario);
    print!("{}", replay(&shrunk.scenario, &engine).log.unwrap_or_default());
    let again = replay_command(arguments, seed);
    println!("\nreplay it with `{again}`, smaller with `--shrink` as well");
}

/// The command that replays a seed: how many members were asked for is part of its scenario.
fn replay_command(arguments: &Arguments, seed: u64) -> String {
    let members = arguments.members.map(|members| format!(" --members {members}")).unwrap_or_default();
    format!("cargo xtask simulate -- --replay {seed}{members}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_replays_a_seed_names_the_members_that_were_asked_for() {
        let command = |line: &[&str]| replay_command(&Arguments::parse_from(line), 7);
        assert_eq!(command(&["fleet-simulate"]), "cargo xtask simulate -- --replay 7");
        assert_eq!(
            command(&["fleet-simulate", "--members", "2000"]),
            "cargo xtask simulate -- --replay 7 --members 2000"
        );
    }
}
