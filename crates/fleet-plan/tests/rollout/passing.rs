//! Rules 7 and 8: a wave passes on successes, and who leaves its denominator.

use fleet_api::v1alpha1::{MemberState::*, RolloutPhase};
use serde_json::json;

use super::hub::{Hub, hours, minutes, rollout, wave};

/// Five members that all move, of which some failed.
fn five(more: serde_json::Value, failed: &[&str]) -> Hub {
    let mut spec = json!({"maxConcurrent": 5});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut hub = rollout(json!([wave("w", spec), wave("after", json!({}))]))
        .with("w", &["a", "b", "c", "d", "e"])
        .with("after", &["z"]);
    hub.begin();
    for name in ["a", "b", "c", "d", "e"] {
        if failed.contains(&name) {
            hub.see(name, |seen| seen.stuck = Some("NodeCreationFailure".to_owned()));
        } else {
            hub.arrive(name, Some(1));
        }
    }
    hub.settle();
    hub
}

#[test]
fn a_wave_passes_on_enough_successes_and_not_on_few_failures() {
    for (more, failed, passes) in [
        (json!({}), &[] as &[&str], true),
        (json!({"maxFailures": 1}), &["a"], true),
        (json!({"maxFailures": 2, "minSuccesses": "80%"}), &["a"], true),
        (json!({"maxFailures": 2, "minSuccesses": "81%"}), &["a"], false),
        (json!({"maxFailures": 2, "minSuccesses": 4}), &["a", "b"], false),
        (json!({"maxFailures": "100%"}), &["a", "b", "c", "d"], true),
        (json!({"maxFailures": "100%"}), &["a", "b", "c", "d", "e"], false),
        (json!({"maxFailures": 5, "minSuccesses": 0}), &["a", "b", "c", "d", "e"], false),
    ] {
        let hub = five(more.clone(), failed);
        assert_eq!(hub.passed("w"), passes, "{more} with {failed:?}");
        if !passes {
            assert_eq!(hub.phase(), RolloutPhase::Stopped, "{more} with {failed:?}");
            assert!(hub.reason("MinimumOutOfReach").hint.is_some());
        }
    }
}

#[test]
fn a_wave_waits_for_everybody_who_counts_though_enough_have_succeeded() {
    let mut hub =
        rollout(json!([wave("w", json!({"maxConcurrent": 2, "minSuccesses": 1}))])).with("w", &["a", "b"]);
    hub.begin();
    hub.succeed("a");
    assert!(!hub.passed("w"));
    hub.succeed("b");
    assert!(hub.passed("w"));
}

#[test]
fn whoever_a_person_skips_or_whose_cluster_is_gone_does_not_count() {
    let mut hub = five(json!({"maxFailures": 1}), &["a", "b"]);
    assert_eq!(hub.phase(), RolloutPhase::Stopped);
    hub.member_spec("a").skip = true;
    hub.settle();
    assert_eq!(hub.state("a"), Skipped);
    assert!(hub.passed("w"), "three of four succeeded, and one may fail");

    for gone in 0..3 {
        let mut hub = rollout(json!([wave("w", json!({"maxConcurrent": 2}))])).with("w", &["a", "b"]);
        hub.begin();
        hub.succeed("a");
        match gone {
            0 => hub.members.get_mut("b").unwrap().cluster = None,
            1 => hub.cluster("b").uid = "another".to_owned(),
            _ => hub.cluster("b").deleting = true,
        }
        hub.settle();
        assert_eq!(hub.states(), [Succeeded, Skipped]);
        assert!(hub.message("b").starts_with("its cluster is"), "{}", hub.message("b"));
        assert_eq!(hub.phase(), RolloutPhase::Completed);
        assert_eq!(hub.status.counts.left_out, 1);
    }
}

#[test]
fn a_wave_of_nobody_passes_and_says_so() {
    let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a"]);
    hub.member_spec("a").skip = true;
    hub.settle();
    assert_eq!(hub.phase(), RolloutPhase::Completed);
    assert_eq!(hub.reason("MemberLeftOut").message, "1 left out");
}

#[test]
fn a_member_that_is_offline_leaves_within_the_failure_budget_and_comes_back_when_it_is_heard_of() {
    let mut hub = rollout(json!([wave("w", json!({"maxConcurrent": 3, "maxFailures": 1, "soak": "2h"}))]))
        .with("w", &["a", "b", "c"]);
    hub.begin();
    hub.pass_time(hours(2));
    hub.settle();
    assert_eq!(hub.states(), [Upgrading; 3], "after an outage everybody is heard of first");
    assert!(hub.message("a").starts_with("is offline"));
    hub.pass_time(minutes(5));
    hub.arrive("b", Some(7200));
    hub.arrive("c", Some(600));
    hub.settle();
    hub.pass_time(minutes(5));
    hub.settle();
    assert_eq!(hub.states(), [Skipped, Succeeded, Soaking]);
    assert!(!hub.passed("w"));
    assert_eq!(hub.reason("MemberOffline").message, "wave `w`: 1 left because they are offline");

    let mut gone_on = hub.clone();
    gone_on.arrive("c", Some(7200));
    gone_on.settle();
    assert_eq!(gone_on.phase(), RolloutPhase::Completed);
    assert_eq!(gone_on.status.counts.left_out, 1, "it is no success");

    hub.arrive("a", None);
    hub.settle();
    assert_eq!(hub.states(), [Verifying, Succeeded, Soaking]);
    hub.arrive("c", Some(7200));
    hub.settle();
    assert!(!hub.passed("w"), "a counts again");
    hub.arrive("a", Some(7200));
    hub.settle();
    assert_eq!(hub.phase(), RolloutPhase::Completed);
}

#[test]
fn members_that_are_offline_beyond_the_budget_hold_their_wave_and_are_no_successes() {
    let mut hub = rollout(json!([wave("w", json!({"maxConcurrent": 3, "maxFailures": 1}))]))
        .with("w", &["a", "b", "c"]);
    hub.begin();
    hub.succeed("c");
    for _ in 0..4 {
        hub.pass_time(hours(1));
        hub.settle();
    }
    assert_eq!(hub.states(), [Skipped, Upgrading, Succeeded]);
    assert!(!hub.passed("w"));
    hub.pass_time(hours(3));
    hub.settle();
    assert_eq!(hub.state("b"), Failed, "its time has run out");
    assert!(!hub.passed("w"), "one that failed and one that is silent are two");
    hub.member_spec("a").skip = true;
    hub.settle();
    assert!(hub.passed("w"), "a person said that it does not count");
}

#[test]
fn a_wave_of_which_nobody_is_heard_does_not_pass_by_its_silence() {
    let mut hub =
        rollout(json!([wave("w", json!({"maxConcurrent": 2, "maxFailures": "100%", "minSuccesses": 0}))]))
            .with("w", &["a", "b"]);
    hub.begin();
    for _ in 0..4 {
        hub.pass_time(hours(1));
        hub.settle();
    }
    assert_eq!(hub.states(), [Skipped, Skipped]);
    assert_eq!(hub.phase(), RolloutPhase::Stopped);
}

#[test]
fn a_clock_that_jumps_ahead_for_a_moment_costs_nobody_their_place() {
    let mut hub = rollout(json!([wave("w", json!({"maxFailures": 1, "soak": "24h"}))])).with("w", &["a"]);
    hub.begin();
    hub.arrive("a", Some(600));
    hub.settle();
    hub.pass_time(hours(5));
    hub.settle();
    hub.now -= hours(5);
    hub.pass_time(minutes(11));
    hub.arrive("a", Some(1200));
    hub.settle();
    assert_eq!(hub.state("a"), Soaking);
    assert_eq!(hub.members["a"].status.offline_since, None);
}
