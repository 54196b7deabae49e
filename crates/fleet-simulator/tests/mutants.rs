//! Shows that the rules bite: every fault that can be put into the engine is caught by the rule that it breaks, on a seed
//! that the engine without it passes.
#![expect(clippy::panic, reason = "a test that cannot go on may panic")]
#![expect(clippy::print_stdout, reason = "says by which seed each fault was caught")]

use std::collections::BTreeMap;

use fleet_plan::rollout::{Mutant, tick, tick_mutated};
use fleet_simulator::{Rule, run, scenario};

/// Among how many seeds a fault has to be caught.
const SEEDS: u64 = 600;

/// The rule that a fault breaks: a finding of any other one would only say that something is wrong.
const fn rule_of(mutant: Mutant) -> Rule {
    match mutant {
        Mutant::WavesDoNotWait => Rule::WaveOrder,
        Mutant::ConcurrencyRoundsUp
        | Mutant::BudgetRoundsUp
        | Mutant::ForgetsTheLedger
        | Mutant::FailuresDoNotStop => Rule::Caps,
        Mutant::StartsOutsideWindows | Mutant::StartsTooLate => Rule::Windows,
        Mutant::TrustsAnyEvidence | Mutant::BelievesArrival | Mutant::SkipsPreflight => Rule::Evidence,
        Mutant::SkipsMinors | Mutant::RollsBackTooLate | Mutant::RollsBackBelowBirth => Rule::Minors,
        Mutant::SoaksByTheClock | Mutant::SoaksThroughRegress => Rule::Soak,
        Mutant::PassesOnFewFailures | Mutant::PassesEarly => Rule::Successes,
        Mutant::OfflineSucceeds | Mutant::OfflineIsFree | Mutant::ForgetsTheUnread => Rule::Denominator,
        Mutant::DropsGrants | Mutant::RetriesUnderTheSameMove => Rule::Restart,
        Mutant::AuthorVotes
        | Mutant::VotesLastForever
        | Mutant::VotesForAnyPlan
        | Mutant::VotesInAdvance
        | Mutant::OneVoteIsEnough => Rule::Approvals,
        Mutant::NodesFollowAtOnce => Rule::HoldNodes,
        Mutant::IgnoresSlots | Mutant::IgnoresBeingPutOff => Rule::Slots,
        Mutant::IgnoresPause | Mutant::IgnoresOtherRollouts | Mutant::MovesOutliveTheirRollout => {
            Rule::People
        }
    }
}

/// Looks for a seed on which the faulty engine breaks its own rule before any other, and the sound one breaks none.
fn is_caught(mutant: Mutant) {
    let faulty = |world: &fleet_plan::rollout::World<'_>| tick_mutated(world, Some(mutant));
    let rule = rule_of(mutant);
    let mut others = BTreeMap::<Rule, u64>::new();
    for seed in 0..SEEDS {
        let scenario = scenario(seed);
        let Some(violation) = run(&scenario, &faulty).violation else { continue };
        if violation.rule != rule {
            *others.entry(violation.rule).or_default() += 1;
        } else if run(&scenario, &tick).violation.is_none() {
            println!("{mutant:?} is caught by seed {seed}: {}: {}", rule.sentence(), violation.text);
            return;
        }
    }
    panic!("{mutant:?} never broke {rule:?} first in {SEEDS} seeds; others were broken so often: {others:?}");
}

/// The table of the architecture names, for each rule, its check, scenarios that exist, a golden log that exists, and every
/// fault of the engine that breaks it.
#[test]
fn the_documents_name_what_holds_each_rule() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let stories = ["crates/fleet-simulator/tests", "crates/fleet-plan/tests/rollout"].map(|folder| {
        let files = std::fs::read_dir(root.join(folder)).unwrap().map(|file| file.unwrap().path());
        let rust = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
        rust.map(|path| std::fs::read_to_string(path).unwrap()).collect::<String>()
    });
    let stories = stories.concat();
    for rule in 1..=12 {
        let row = text.lines().find(|line| line.starts_with(&format!("| {rule} | "))).unwrap();
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let names = |cell: usize| cells[cell].split(", ").map(|name| name.trim_matches(['`', ' ']));
        for scenario in names(2) {
            assert!(
                stories.contains(&format!("fn {scenario}()")),
                "rule {rule}: no test is called {scenario}"
            );
        }
        let log = names(3).next().unwrap();
        let golden = root.join(format!("crates/fleet-simulator/tests/golden/{log}.txt"));
        assert!(golden.exists(), "rule {rule}: there is no {}", golden.display());
        let faults: Vec<&Mutant> = Mutant::ALL.iter().filter(|mutant| mutant.rule() == rule).collect();
        assert_eq!(
            names(4).collect::<Vec<_>>(),
            faults.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>()
        );
        assert!(faults.iter().all(|fault| names(1).next().unwrap() == format!("{:?}", rule_of(**fault))));
    }
}

macro_rules! caught {
    ($($test:ident: $mutant:ident,)+) => {
        $(#[test]
        fn $test() {
            is_caught(Mutant::$mutant);
        })+

        #[test]
        fn every_fault_has_its_test() {
            let tested = [$(Mutant::$mutant),+];
            assert_eq!(Mutant::ALL.iter().find(|mutant| !tested.contains(mutant)), None);
        }
    };
}

caught! {
    a_wave_that_does_not_wait_is_caught: WavesDoNotWait,
    a_concurrency_that_rounds_up_is_caught: ConcurrencyRoundsUp,
    a_budget_that_rounds_up_is_caught: BudgetRoundsUp,
    a_forgotten_ledger_is_caught: ForgetsTheLedger,
    failures_that_do_not_stop_are_caught: FailuresDoNotStop,
    starts_outside_windows_are_caught: StartsOutsideWindows,
    starts_too_late_in_a_window_are_caught: StartsTooLate,
    evidence_of_other_moves_that_counts_is_caught: TrustsAnyEvidence,
    arrival_without_the_version_is_caught: BelievesArrival,
    a_skipped_preflight_is_caught: SkipsPreflight,
    skipped_minors_are_caught: SkipsMinors,
    a_rollback_after_seven_days_is_caught: RollsBackTooLate,
    a_rollback_below_birth_is_caught: RollsBackBelowBirth,
    a_soak_by_the_clock_is_caught: SoaksByTheClock,
    a_soak_through_a_regress_is_caught: SoaksThroughRegress,
    a_wave_that_passes_on_few_failures_is_caught: PassesOnFewFailures,
    a_wave_that_passes_early_is_caught: PassesEarly,
    offline_members_that_succeed_are_caught: OfflineSucceeds,
    offline_members_beyond_the_budget_are_caught: OfflineIsFree,
    members_that_are_not_read_yet_and_do_not_count_are_caught: ForgetsTheUnread,
    dropped_grants_are_caught: DropsGrants,
    a_retry_under_the_same_move_is_caught: RetriesUnderTheSameMove,
    a_vote_of_the_author_is_caught: AuthorVotes,
    votes_that_never_expire_are_caught: VotesLastForever,
    votes_for_other_plans_are_caught: VotesForAnyPlan,
    votes_in_advance_are_caught: VotesInAdvance,
    one_vote_for_many_is_caught: OneVoteIsEnough,
    nodes_that_follow_at_once_are_caught: NodesFollowAtOnce,
    ignored_slots_are_caught: IgnoresSlots,
    members_that_do_not_stay_put_off_are_caught: IgnoresBeingPutOff,
    an_ignored_pause_is_caught: IgnoresPause,
    an_ignored_rollout_is_caught: IgnoresOtherRollouts,
    moves_that_outlive_their_rollout_are_caught: MovesOutliveTheirRollout,
}
