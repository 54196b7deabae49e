//! Updates that fail under the moves of rollouts: how often they are tried, who is told, and what lets them go on.

use fleet_api::{
    labels,
    step::Seen,
    v1alpha1::{Evidence, Move, MoveStage},
};
use fleet_plan::{
    cluster::{ClusterPlan, cause},
    evidence::{Look, evidence},
};
use fleet_provider::fake::{Durations, Fault, FaultRule};
use jiff::SignedDuration;

use super::{
    hub::{Hub, class, spec},
    moves::move_to,
    run,
};

const UPGRADE: &str = "UpdateClusterVersion";
const NODES: &str = "UpdateNodegroupVersion";

/// A cluster with nodes at 1.35 whose updates by an operation fail with a code, as often as is said, under a move.
async fn failing(operation: &str, code: &str, times: u32, wanted: Option<Move>) -> Hub {
    let mut hub = Hub::new(spec(&class(false, false), "1.35"));
    hub.settle().await;
    let fault = Fault::FailedUpdate { code: code.to_owned() };
    hub.eks.inject(FaultRule { operation: Some(operation.to_owned()), skip: 0, times, fault });
    hub.edit(|spec| match wanted {
        Some(wanted) => spec.rollout = Some(wanted),
        None => spec.version = "1.36".parse().unwrap(),
    });
    hub
}

/// Turns for a while, and keeps the evidence as the loop does.
async fn turn_for(hub: &mut Hub, minutes: i64) -> ClusterPlan {
    let end = hub.clock.now() + SignedDuration::from_mins(minutes);
    let mut planned = hub.turn(None).await;
    while hub.clock.now() < end {
        hub.clock.advance(
            planned.look_again_after.clamp(SignedDuration::from_secs(1), SignedDuration::from_mins(1)),
        );
        planned = hub.turn(Some(&planned)).await;
        let found = seen_by_the_rollout(hub);
        hub.object.status.as_mut().unwrap().evidence = found;
    }
    planned
}

fn seen_by_the_rollout(hub: &Hub) -> Option<Evidence> {
    evidence(&Look {
        cluster: &hub.object,
        live: true,
        preflight: None,
        every: SignedDuration::from_secs(60),
        now: hub.clock.now(),
    })
}

fn stuck(hub: &Hub) -> Option<String> {
    seen_by_the_rollout(hub).and_then(|seen| seen.stuck)
}

fn go() -> Option<Move> {
    Some(move_to(MoveStage::Go, 36))
}

fn again(attempt: u16) -> Option<Move> {
    Some(Move { seq: i64::from(attempt), id: format!("uid-rollout-{attempt}"), ..move_to(MoveStage::Go, 36) })
}

#[test]
fn what_another_try_cannot_mend_is_told_at_once_and_the_rest_after_two_more_tries() {
    let table = [
        (UPGRADE, "EniLimitReached", 1, "operator"),
        (UPGRADE, "AccessDenied", 1, "operator"),
        (UPGRADE, "SecurityGroupNotFound", 1, "operator"),
        (NODES, "AdmissionRequestDenied", 1, "tenant"),
        ("UpdateAddon", "ConfigurationConflict", 1, "operator"),
        (UPGRADE, "IpNotAvailable", 3, "operator"),
        (UPGRADE, "Unknown", 3, "operator"),
        (NODES, "PodEvictionFailure", 3, "tenant"),
        (NODES, "NodeCreationFailure", 3, "operator"),
        (UPGRADE, "ACodeOfNextYear", 3, "operator"),
    ];
    for (operation, code, tries, who) in table {
        run(async {
            let mut hub = failing(operation, code, 100, go()).await;
            let before = hub.count(operation);
            let planned = turn_for(&mut hub, 180).await;
            assert_eq!(hub.count(operation) - before, tries, "{code}: {:?}", planned.report);
            let told = planned.report.iter().find(|entry| entry.message.contains(code)).unwrap();
            assert_eq!(told.who, who, "{code}");
            let hint = told.hint.as_deref().unwrap();
            assert!(hint.contains("fleet rollout retry acme --rollout to-136"), "{code}: {hint}");
            let stuck = stuck(&hub).unwrap();
            assert!(
                stuck.contains(&told.message) && stuck.contains(&format!("who can act: {who}")),
                "{stuck}"
            );
        });
    }
}

#[test]
fn a_move_that_is_to_be_given_up_is_known_to_be_within_minutes_of_its_last_failure() {
    for (code, minutes) in [("EniLimitReached", 0), ("IpNotAvailable", 2 + 6)] {
        run(async {
            let mut hub = failing(UPGRADE, code, 100, go()).await;
            let upgrade = Durations::default().update_version.as_mins();
            let tries = if minutes == 0 { 1 } else { 3 };
            let _ = turn_for(&mut hub, tries * (upgrade + 2) + minutes).await;
            assert!(stuck(&hub).is_some(), "{code}");
        });
    }
}

#[test]
fn a_passing_fault_of_an_update_under_a_move_is_mended_by_another_try_and_gives_nothing_up() {
    run(async {
        let mut hub = failing(UPGRADE, "IpNotAvailable", 2, go()).await;
        let _ = turn_for(&mut hub, 180).await;
        assert_eq!(hub.count(UPGRADE), 3);
        assert_eq!(stuck(&hub), None);
        assert!(seen_by_the_rollout(&hub).unwrap().arrived);
    });
}

#[test]
fn without_a_rollout_an_update_is_tried_for_hours_whatever_its_fault() {
    run(async {
        let mut hub = failing(UPGRADE, "EniLimitReached", 2, None).await;
        let _ = turn_for(&mut hub, 120).await;
        assert_eq!(hub.count(UPGRADE), 3);
        assert_eq!(hub.look(None).await.cluster.present().unwrap().version.minor(), 36);
    });
}

#[test]
fn what_was_given_up_does_not_go_on_by_itself_and_another_attempt_begins_anew() {
    run(async {
        let mut hub = failing(UPGRADE, "AccessDenied", 1, again(1)).await;
        let _ = turn_for(&mut hub, 60).await;
        let told = stuck(&hub);
        assert!(told.as_deref().unwrap().contains("AccessDenied"), "{told:?}");
        // Whatever becomes of the memory of the failure, as when somebody wants another thing of the same step.
        hub.object.status.as_mut().unwrap().failures.clear();
        let planned = turn_for(&mut hub, 24 * 60).await;
        assert_eq!(hub.count(UPGRADE), 1, "{:?}", planned.report);
        assert_eq!(stuck(&hub), told, "what was seen once holds for the attempt");
        assert!(planned.report.iter().any(|entry| entry.code == "MoveHalted"), "{:?}", planned.report);
        hub.edit(|spec| spec.rollout = again(2));
        let _ = turn_for(&mut hub, 120).await;
        assert_eq!(stuck(&hub), None);
        assert!(seen_by_the_rollout(&hub).unwrap().arrived);
    });
}

#[test]
fn a_failure_of_another_attempt_does_not_count_for_the_present_one() {
    run(async {
        let mut hub = failing(UPGRADE, "IpNotAvailable", 3 + 2, again(1)).await;
        let _ = turn_for(&mut hub, 120).await;
        assert_eq!(hub.count(UPGRADE), 3);
        hub.edit(|spec| spec.rollout = again(2));
        let _ = turn_for(&mut hub, 180).await;
        assert_eq!(hub.count(UPGRADE), 6, "two tries more failed, and the third did not");
        assert!(seen_by_the_rollout(&hub).unwrap().arrived);
    });
}

#[test]
fn a_halted_move_finishes_what_runs_and_begins_nothing_until_somebody_says_so() {
    run(async {
        let mut hub = Hub::new(spec(&class(false, false), "1.35"));
        hub.settle().await;
        hub.edit(|spec| spec.rollout = again(1));
        let _ = hub.turn(None).await;
        assert_eq!(hub.eks.updates_in_progress("acme-12345678"), 1);
        hub.edit(|spec| spec.rollout.as_mut().unwrap().halted = true);
        let planned = turn_for(&mut hub, 240).await;
        let seen = hub.look(None).await;
        assert_eq!(seen.cluster.present().unwrap().version.minor(), 36, "what runs is left to finish");
        let Seen::Present(groups) = &seen.nodegroups else { panic!("{:?}", seen.nodegroups) };
        assert_eq!(groups[0].version.unwrap().minor(), 35, "{:?}", planned.report);
        let told = planned.report.iter().find(|entry| entry.code == "MoveHalted").unwrap();
        assert!(told.hint.as_deref().unwrap().contains("tenantfleet.dev/retry=uid-rollout-1-"), "{told:?}");
        for (value, goes_on) in
            [("uid-rollout-11", false), ("1700000000", false), ("uid-rollout-1-1700000000", true)]
        {
            let annotations = hub.object.metadata.annotations.get_or_insert_default();
            annotations.insert(labels::RETRY.to_owned(), value.to_owned());
            let _ = turn_for(&mut hub, 240).await;
            assert_eq!(hub.count(NODES) == 1, goes_on, "{value}");
        }
    });
}

#[test]
fn every_refusal_is_for_somebody_to_end() {
    for class in ["Denied", "Invalid", "LimitReached", "NotOurs"] {
        assert!(!cause(class).may_pass, "{class}");
    }
}
