//! Rules 4, 5 and 6: what counts as seen, one minor at a time, and soaks that begin again.

use fleet_api::{
    KubernetesVersion,
    v1alpha1::{Evidence, MemberState::*, MoveStage},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::hub::{Hub, hours, minutes, rollout, wave};

fn moving() -> Hub {
    let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a"]);
    hub.begin();
    assert_eq!(hub.state("a"), Upgrading);
    hub.pass_time(minutes(30));
    hub
}

#[test]
fn success_needs_evidence_of_this_attempt_and_stage_that_was_made_after_it_began() {
    type Change = fn(&mut Evidence);
    let changes: [(&str, Change); 7] = [
        ("another rollout's", |seen| seen.move_id = "r0-1".to_owned()),
        ("another attempt's", |seen| seen.move_id = "r1-2".to_owned()),
        ("the look's", |seen| seen.stage = MoveStage::Prepare),
        ("a way back's", |seen| seen.stage = MoveStage::Back),
        ("older than the attempt", |seen| seen.observed_at.0 -= minutes(31)),
        ("from long ago", |seen| seen.observed_at.0 -= hours(2)),
        ("from a time that has not come", |seen| seen.observed_at.0 += hours(2)),
    ];
    for (what, change) in changes {
        let mut hub = moving();
        hub.arrive("a", Some(1_000_000));
        change(hub.cluster("a").evidence.as_mut().unwrap());
        hub.settle();
        assert_eq!(hub.state("a"), Upgrading, "evidence that is {what}");
    }
    let mut hub = moving();
    hub.arrive("a", Some(1_000_000));
    hub.settle();
    assert_eq!(hub.state("a"), Succeeded);
}

#[test]
fn arrival_is_believed_only_with_the_version_that_was_observed_with_it() {
    for version in [None, Some(35), Some(37)] {
        let mut hub = moving();
        hub.arrive("a", Some(1_000_000));
        hub.cluster("a").versions.control_plane = version.map(KubernetesVersion::from_minor);
        hub.settle();
        assert_eq!(hub.state("a"), Upgrading, "{version:?}");
    }
}

#[test]
fn a_member_that_is_not_seen_healthy_does_not_succeed() {
    let mut hub = moving();
    hub.see("a", |seen| seen.healthy = true);
    hub.settle();
    assert_eq!(hub.state("a"), Upgrading, "healthy where it was says nothing");
    hub.arrive("a", None);
    hub.settle();
    assert_eq!(hub.state("a"), Verifying);
}

#[test]
fn a_member_begins_only_on_a_fresh_look_that_saw_everything_and_no_blocker() {
    type Change = fn(&mut Evidence);
    let changes: [(&str, Change); 4] = [
        ("not complete", |seen| seen.looked = false),
        ("16 minutes old", |seen| seen.observed_at.0 -= minutes(16)),
        ("16 minutes ahead", |seen| seen.observed_at.0 += minutes(16)),
        ("of another attempt", |seen| seen.move_id = "r1-7".to_owned()),
    ];
    for (what, change) in changes {
        let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a"]);
        hub.settle();
        hub.look();
        change(hub.cluster("a").evidence.as_mut().unwrap());
        hub.settle();
        assert_eq!(hub.state("a"), Preflight, "a look that is {what}");
        assert!(hub.codes().contains(&"MembersPreparing"));
    }
    let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a"]);
    hub.settle();
    assert_eq!(hub.stage("a"), Some(MoveStage::Prepare));
    let blocker = fleet_plan::report::entry_with_hint(
        fleet_plan::report::Code::UpgradeInsight,
        fleet_plan::report::Who::Tenant,
        "uses an API that is gone in 1.36",
        "move to the new one",
    );
    hub.see("a", |seen| seen.blockers = vec![blocker]);
    hub.settle();
    assert_eq!((hub.state("a"), hub.message("a")), (Preflight, "uses an API that is gone in 1.36"));
    assert_eq!(hub.members["a"].status.blockers.len(), 1);
    assert!(hub.reason("MembersBlocked").hint.is_some());
    hub.look();
    hub.settle();
    assert_eq!(hub.state("a"), Upgrading);
    assert!(hub.members["a"].status.blockers.is_empty());
}

#[test]
fn a_member_moves_by_one_minor_from_where_it_was_planned_or_not_at_all() {
    for (from, have, moves) in [
        (35, Some(35), true),
        (35, Some(36), true),
        (35, Some(34), false),
        (34, Some(34), false),
        (34, Some(35), false),
        (35, Some(37), false),
        (35, None, false),
    ] {
        let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a"]);
        hub.member_spec("a").from = KubernetesVersion::from_minor(from);
        hub.cluster("a").versions.control_plane = have.map(KubernetesVersion::from_minor);
        hub.begin();
        assert_eq!(hub.state("a") == Upgrading, moves, "planned at 1.{from}, at {have:?}");
        if !moves {
            assert_eq!(hub.members["a"].status.blockers[0].code, "VersionUnexpected");
        }
    }
}

#[test]
fn a_soak_is_counted_by_what_was_seen_and_begins_again_when_the_member_falls_unhealthy() {
    let mut hub = rollout(json!([wave("w", json!({"soak": "1h"}))])).with("w", &["a"]);
    hub.begin();
    hub.arrive("a", Some(0));
    hub.settle();
    assert_eq!(hub.state("a"), Soaking);
    // Three hours pass in which nobody looks, and then somebody does.
    hub.pass_time(hours(3));
    hub.arrive("a", Some(600));
    hub.settle();
    assert_eq!(hub.state("a"), Soaking, "time in which nobody looked does not count");
    hub.arrive("a", None);
    hub.settle();
    assert_eq!(hub.state("a"), Verifying);
    hub.arrive("a", Some(0));
    hub.settle();
    hub.arrive("a", Some(3599));
    hub.settle();
    assert_eq!(hub.state("a"), Soaking);
    hub.arrive("a", Some(3600));
    hub.settle();
    assert_eq!(hub.state("a"), Succeeded);
}

#[test]
fn what_is_not_where_it_should_be_any_more_does_not_soak() {
    let mut hub = rollout(json!([wave("w", json!({"soak": "1h"}))])).with("w", &["a"]);
    hub.begin();
    hub.arrive("a", Some(10));
    hub.settle();
    hub.see("a", |seen| {
        seen.healthy = true;
        seen.healthy_seconds = 7200;
    });
    hub.settle();
    assert_eq!(hub.state("a"), Verifying);
}

#[test]
fn a_member_that_does_not_arrive_or_does_not_become_healthy_in_time_fails() {
    let mut hub = moving();
    hub.pass_time(hours(6));
    hub.see("a", |_| {});
    hub.settle();
    assert_eq!(hub.state("a"), Failed);
    assert!(hub.message("a").starts_with("has not arrived up to 2026-11-24T18:00Z"), "{}", hub.message("a"));

    let mut hub = moving();
    hub.arrive("a", None);
    hub.settle();
    hub.pass_time(hours(6));
    hub.arrive("a", None);
    hub.settle();
    assert_eq!(hub.state("a"), Verifying, "its deadline is not over");
    hub.pass_time(minutes(1));
    hub.arrive("a", None);
    hub.settle();
    assert_eq!(hub.state("a"), Failed);
}

#[test]
fn a_member_that_is_stuck_fails_at_once_and_its_move_is_halted_until_another_attempt() {
    let mut hub = moving();
    assert!(!hub.cluster("a").current.as_ref().unwrap().halted);
    hub.see("a", |seen| seen.stuck = Some("update-version failed with EniLimitReached".to_owned()));
    hub.settle();
    assert_eq!(hub.state("a"), Failed);
    assert!(hub.message("a").contains("EniLimitReached"), "{}", hub.message("a"));
    let stands = hub.cluster("a").current.clone().unwrap();
    assert_eq!((stands.stage, stands.halted), (MoveStage::Go, true));
    hub.member_spec("a").retry = Some("again".to_owned());
    hub.begin();
    let next = hub.cluster("a").current.clone().unwrap();
    assert_eq!((hub.state("a"), next.stage, next.halted), (Upgrading, MoveStage::Go, false));
    assert_ne!(next.id, stands.id);
}

#[test]
fn a_clock_that_ran_ahead_when_a_member_began_does_not_hide_what_is_seen_of_it() {
    let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a"]);
    hub.pass_time(hours(72));
    hub.begin();
    assert_eq!(hub.state("a"), Upgrading);
    hub.now -= hours(72);
    hub.settle();
    assert_eq!(hub.members["a"].status.started_at, Some(Time(hub.now)), "it is counted from now");
    hub.pass_time(minutes(20));
    hub.succeed("a");
    assert_eq!(hub.state("a"), Succeeded);
}
