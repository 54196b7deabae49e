//! How many rollouts the simulator runs in a second, with every rule checked after every write.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use fleet_simulator::{run, scenario};

use crate::figures::Figures;

/// Runs so many seeds, on as many threads as the machine has.
pub(crate) fn measure(seeds: u64, figures: &mut Figures) {
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let (next, ticks, broken) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let outcome = run(&scenario(seed), &fleet_plan::rollout::tick);
                    ticks.fetch_add(outcome.ticks, Ordering::Relaxed);
                    broken.fetch_add(u64::from(outcome.violation.is_some()), Ordering::Relaxed);
                }
            });
        }
    });
    let took = began.elapsed().as_secs_f64();
    let (ticks, broken) = (ticks.into_inner(), broken.into_inner());
    figures.add(
        "simulator",
        format!("{seeds} simulated rollouts on {threads} threads, every rule checked after every write"),
        format!(
            "{:.0} rollouts/s, {:.0} ticks/s; {broken} broke a rule",
            seeds as f64 / took,
            ticks as f64 / took
        ),
        [
            ("rolloutsPerSecond", seeds as f64 / took),
            ("ticksPerSecond", ticks as f64 / took),
            ("brokeARule", broken as f64),
        ],
    );
}
