//! Four faults of other products that their users made public, and what becomes of them here.

use fleet_api::v1alpha1::{MemberState::*, RolloutPhase};
use serde_json::json;

use super::hub::{hours, minutes, rollout, wave};

/// Argo CD #29410 and #29347: a step was judged done on the health from before the change.
#[test]
fn a_step_is_not_done_on_a_status_from_before_the_change() {
    let mut hub = rollout(json!([wave("first", json!({})), wave("second", json!({}))]))
        .with("first", &["a"])
        .with("second", &["b"]);
    // The rollout before left a cluster that is healthy, and evidence that says so.
    hub.begin();
    hub.arrive("a", Some(90_000));
    let mut stale = hub.cluster("a").evidence.clone().unwrap();
    stale.move_id = "r0-1".to_owned();
    hub.cluster("a").evidence = Some(stale);
    hub.settle();
    hub.look();
    hub.settle();
    assert_eq!((hub.state("a"), hub.state("b")), (Upgrading, Preflight));
    assert!(!hub.passed("first"));
}

/// Open Cluster Management #1207: the soak clock went on though the revision, or the health, had changed.
#[test]
fn a_soak_clock_begins_again() {
    let mut hub = rollout(json!([wave("first", json!({"soak": "24h"})), wave("second", json!({}))]))
        .with("first", &["a"])
        .with("second", &["b"]);
    hub.begin();
    hub.arrive("a", Some(0));
    hub.settle();
    hub.pass_time(hours(23));
    hub.arrive("a", None);
    hub.settle();
    assert_eq!(hub.state("a"), Verifying);
    hub.pass_time(hours(1));
    hub.arrive("a", Some(600));
    hub.look();
    hub.settle();
    assert_eq!((hub.state("a"), hub.state("b")), (Soaking, Preflight), "24 hours after it arrived");
    hub.pass_time(hours(24));
    hub.arrive("a", Some(86_400));
    hub.look();
    hub.settle();
    assert_eq!((hub.state("a"), hub.state("b")), (Succeeded, Upgrading));
}

/// AKS #5338: a run said `Completed` with no success at all, because as many failures were allowed.
#[test]
fn a_rollout_without_a_success_is_not_completed() {
    let mut hub = rollout(json!([wave("w", json!({"maxConcurrent": 3, "maxFailures": "100%"}))]))
        .with("w", &["a", "b", "c"]);
    hub.begin();
    for name in ["a", "b", "c"] {
        hub.get_stuck(name);
    }
    assert_eq!(hub.states(), [Failed, Failed, Failed]);
    assert_eq!(hub.phase(), RolloutPhase::Stopped);
    assert!(hub.reason("MinimumOutOfReach").hint.is_some());
    let passed = hub.status.conditions.iter().find(|condition| condition.type_ == "Passed").unwrap();
    assert_eq!((passed.status.as_str(), passed.message.as_str()), ("False", "0 of 3 succeeded"));
}

/// AKS #5655: one member that somebody had stopped made the whole run fail.
#[test]
fn a_member_that_is_paused_does_not_sink_the_run() {
    let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a", "b", "c"]);
    hub.cluster("a").paused = true;
    hub.begin();
    assert_eq!(hub.states(), [Preflight, Upgrading, Preflight], "the others go on without it");
    assert_eq!(hub.message("a"), "its tenant is paused");
    hub.succeed("b");
    hub.look();
    hub.settle();
    hub.succeed("c");
    assert_eq!((hub.state("a"), hub.phase()), (Preflight, RolloutPhase::Running), "it is no failure");
    assert!(hub.reason("MembersBlocked").hint.is_some());
    hub.pass_time(minutes(5));
    hub.member_spec("a").skip = true;
    hub.settle();
    assert_eq!(hub.phase(), RolloutPhase::Completed);
}
