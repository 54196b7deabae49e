//! Some hundred seeded rollouts. `cargo xtask simulate` runs any number of them.

use std::sync::atomic::{AtomicU64, Ordering};

use fleet_simulator::{large, run, scenario};

#[test]
fn no_rule_is_broken_in_two_hundred_seeded_rollouts() {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= 200 {
                        return;
                    }
                    let outcome = run(&scenario(seed), &fleet_plan::rollout::tick);
                    assert_eq!(outcome.violation, None, "seed {seed}");
                }
            });
        }
    });
}

#[test]
fn a_seed_always_runs_the_same_way() {
    for seed in [3, 11, 42] {
        let once = run(&scenario(seed), &fleet_plan::rollout::tick);
        assert_eq!(once, run(&scenario(seed), &fleet_plan::rollout::tick), "seed {seed}");
    }
}

#[test]
fn no_rule_is_broken_in_a_rollout_of_a_hundred_members() {
    let outcome = run(&large(7, 100), &fleet_plan::rollout::tick);
    assert_eq!(outcome.violation, None);
}
