//! The four failures of wave engines that are publicly known, each as a scenario: how fleet's engine goes through it, and
//! that the rules catch an engine that fails as the others did.

use fleet_api::v1alpha1::{MemberState, RolloutPhase};
use fleet_plan::rollout::{Mutant, World, tick, tick_mutated};
use fleet_simulator::{Act, Ends, Fault, Kind, Rule, Scenario, replay, run, typical};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Which rule an engine with a fault breaks in a scenario.
fn broken_by(mutant: Mutant, scenario: &Scenario) -> Option<Rule> {
    let faulty = |world: &World<'_>| tick_mutated(world, Some(mutant));
    run(scenario, &faulty).violation.map(|violation| violation.rule)
}

/// A step was judged done on status from before the change, and production moved first.
#[test]
fn status_from_before_the_change_proves_nothing() {
    let mut scenario = typical::calm(&[1, 1]);
    for member in &mut scenario.members {
        // What a rollout before has left says: arrived, healthy, for thirty days. And somebody has brought the cluster to
        // the target by hand, so that it looks arrived long before it is its turn.
        member.moved_before = true;
        member.minor = 36;
        member.slot = 2 * HOUR;
    }
    let outcome = replay(&scenario, &tick);
    assert_eq!(outcome.violation, None);
    assert_eq!(outcome.phase, RolloutPhase::Completed);
    assert_eq!(broken_by(Mutant::TrustsAnyEvidence, &scenario), Some(Rule::Evidence));
}

/// A soak clock went on through a regress, and a change that had failed was counted as proven.
#[test]
fn a_soak_starts_again_after_a_regress() {
    let mut scenario = typical::calm(&[1, 1]);
    if let Some(member) = scenario.members.first_mut() {
        member.upgrade.flaps = vec![(25 * MINUTE, 4 * MINUTE)];
    }
    let outcome = replay(&scenario, &tick);
    assert_eq!(outcome.violation, None);
    assert_eq!(outcome.phase, RolloutPhase::Completed);
    assert_eq!(broken_by(Mutant::SoaksByTheClock, &scenario), Some(Rule::Soak));
}

/// A run was Completed with no success at all, because failures were counted and successes were not.
#[test]
fn a_rollout_without_a_success_is_not_completed() {
    let mut scenario = typical::calm(&[3]);
    for member in &mut scenario.members {
        member.upgrade.ends = Ends::Stuck;
    }
    for wave in &mut scenario.waves {
        wave.max_failures = IntOrString::String("100%".to_owned());
    }
    scenario.mended_after = 60 * HOUR;
    let outcome = replay(&scenario, &tick);
    assert_eq!(outcome.violation, None);
    assert_eq!(outcome.phase, RolloutPhase::Stopped);
    assert_eq!(outcome.states, [MemberState::Failed; 3]);
    assert_eq!(broken_by(Mutant::PassesOnFewFailures, &scenario), Some(Rule::Successes));
}

/// A member that was stopped made the whole run fail.
#[test]
fn a_stopped_member_does_not_sink_the_rollout() {
    let mut scenario = typical::calm(&[3, 1]);
    for wave in &mut scenario.waves {
        wave.max_failures = IntOrString::Int(1);
    }
    scenario.acts.push((30_000, Act::PauseTenant(0, true)));
    scenario.acts.push((3 * HOUR, Act::Skip(0, true)));
    scenario.faults.push((10 * MINUTE, Fault::Offline(1, 30 * HOUR)));
    let outcome = replay(&scenario, &tick);
    assert_eq!(outcome.violation, None);
    assert_eq!(outcome.phase, RolloutPhase::Completed);
    let done = outcome.states.iter().filter(|state| **state == MemberState::Succeeded).count();
    assert!(done >= 2, "{:?}", outcome.states);
}

/// A fault that the simulator found in this engine: a way back that had failed was tried again, and the cluster was told
/// to go on, without any entry of the ledger.
#[test]
fn a_way_back_that_is_tried_again_tells_nobody_to_go_on() {
    let mut scenario = typical::calm(&[2]);
    for member in &mut scenario.members {
        member.back.ends = Ends::Stuck;
    }
    scenario.acts.extend([
        (2 * HOUR, Act::RollBackMember(0)),
        (6 * HOUR, Act::Retry(0)),
        (10 * HOUR, Act::Retry(0)),
    ]);
    let outcome = replay(&scenario, &tick);
    assert_eq!(outcome.violation, None);
    let log = outcome.log.unwrap();
    assert!(!log.contains("rollout-uid-2 Go"), "{log}");
}

/// A cluster falls ill in the seconds after the look that completed its soak (found by seeds 2610 and 6777). The controller
/// writes the success that it has read, before the next look has reached its cache, and no rule blames it: the soak was whole
/// at a moment that it could still see.
#[test]
fn a_success_may_be_written_while_a_later_regress_is_on_its_way() {
    let mut crossed = 0;
    for second in 30 * 60..36 * 60 {
        let mut scenario = typical::calm(&[1]);
        if let Some(lag) = scenario.pace.lag.get_mut(Kind::Cluster as usize) {
            *lag = 6_000;
        }
        if let Some(member) = scenario.members.first_mut() {
            member.upgrade.settles = 0;
            member.upgrade.flaps = vec![(second * 1_000, 5 * MINUTE)];
        }
        let outcome = replay(&scenario, &tick);
        let log = outcome.log.unwrap();
        assert_eq!(outcome.violation, None, "{log}");
        let ill = second_of(&log, "not healthy for").unwrap();
        let succeeded = second_of(&log, "Soaking -> Succeeded").unwrap();
        // A look is taken a second after it fell ill.
        crossed += u32::from(ill + 1 < succeeded && !log.contains("Soaking -> Verifying"));
    }
    assert!(crossed > 0, "no success crossed the look that saw the regress");
}

/// The second of the first line of a log that says something.
fn second_of(log: &str, what: &str) -> Option<i64> {
    let line = log.lines().find(|line| line.contains(what))?;
    let clock = line.split_whitespace().nth(1)?;
    clock.split(':').try_fold(0, |sum, part| Some(sum * 60 + part.parse::<i64>().ok()?))
}

/// A member went back, was skipped, and somebody upgraded its cluster by hand: a last moment of a rollback was shown that the
/// rollout would never have done (found by seeds 7865 and 12946).
#[test]
fn no_rollback_is_promised_of_a_member_that_went_back_and_was_skipped() {
    for acts in [
        vec![(3 * HOUR, Act::RollBackMember(0)), (6 * HOUR, Act::Skip(0, true))],
        vec![(3 * HOUR, Act::RollBack), (6 * HOUR, Act::Skip(0, true))],
        vec![(3 * HOUR, Act::RollBackMember(0))],
    ] {
        let mut scenario = typical::calm(&[1]);
        scenario.acts.extend(acts);
        scenario.acts.push((9 * HOUR, Act::UpgradeByHand(0)));
        let outcome = replay(&scenario, &tick);
        assert_eq!(outcome.violation, None);
        assert!(outcome.log.unwrap().contains("RolledBack: is healthy where it was before"));
    }
}
