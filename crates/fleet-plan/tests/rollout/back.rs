//! Rules 5 and 11: the way back, within its limits, in its order, and nodes that stay behind meanwhile.

use fleet_api::text::Minutes;
use fleet_api::{
    KubernetesVersion,
    v1alpha1::{MemberState::*, MoveStage, OnFailure, RolloutPhase, Run},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::hub::{Hub, at, hours, rollout, start, wave};

/// Members of two waves that have all succeeded.
fn done() -> Hub {
    let mut hub = rollout(json!([wave("first", json!({})), wave("second", json!({"maxConcurrent": 2}))]))
        .with("first", &["a", "b"])
        .with("second", &["c", "d"]);
    hub.begin();
    for name in ["a", "b", "c", "d"] {
        hub.look();
        hub.settle();
        hub.succeed(name);
    }
    assert_eq!(hub.phase(), RolloutPhase::Completed);
    hub
}

#[test]
fn a_whole_rollout_goes_back_in_reverse_under_the_same_caps() {
    let mut hub = done();
    hub.run(Run::RollingBack);
    assert_eq!(hub.phase(), RolloutPhase::RollingBack);
    assert_eq!(hub.states(), [Succeeded, Succeeded, RollingBack, RollingBack]);
    assert_eq!(hub.stage("d"), Some(MoveStage::Back));
    let back = hub.cluster("d").current.clone().unwrap();
    assert_eq!(back.version, Some(KubernetesVersion::from_minor(35)));
    hub.succeed("d");
    assert_eq!(hub.states(), [Succeeded, Succeeded, RollingBack, RolledBack], "the last wave comes first");
    hub.succeed("c");
    assert_eq!(
        hub.states(),
        [Succeeded, RollingBack, RolledBack, RolledBack],
        "and one of the first at a time"
    );
    hub.succeed("b");
    hub.succeed("a");
    assert_eq!(hub.phase(), RolloutPhase::RolledBack);
    assert_eq!(hub.tick().wake_at, None);
}

#[test]
fn a_way_back_is_open_for_seven_days_and_never_below_the_version_that_a_cluster_was_made_with() {
    for (passed, born, code) in [
        (hours(7 * 24 - 1), Some(34), None),
        (hours(7 * 24 - 1), Some(35), None),
        (hours(7 * 24 - 1), None, None),
        (hours(7 * 24), Some(34), Some("RollbackTooLate")),
        (hours(1), Some(36), Some("RollbackBelowBirth")),
    ] {
        let mut hub = done();
        hub.cluster("a").versions.created_at = born.map(KubernetesVersion::from_minor);
        hub.pass_time(passed);
        hub.member_spec("a").rollback = true;
        hub.settle();
        assert_eq!(
            hub.state("a"),
            if code.is_some() { Succeeded } else { RollingBack },
            "{passed}, {born:?}"
        );
        if let Some(code) = code {
            assert!(hub.codes().contains(&code), "{:?}", hub.status.report);
        }
        assert_eq!(hub.members["a"].status.rollback_until.as_ref().unwrap().0, start() + hours(7 * 24));
    }
}

#[test]
fn a_way_back_is_promised_only_when_it_is_known_when_the_cluster_was_upgraded() {
    for (have, ended, until) in [
        (35, None, Some("2026-12-01T12:00:00Z")),
        (36, Some("2026-11-20T12:00:00Z"), Some("2026-11-27T12:00:00Z")),
        (36, None, None),
    ] {
        let mut hub = rollout(json!([wave("w", json!({"soak": "24h"}))])).with("w", &["a"]);
        let versions = &mut hub.cluster("a").versions;
        versions.control_plane = Some(KubernetesVersion::from_minor(have));
        versions.upgrade_completed_at = ended.map(|ended| Time(at(ended)));
        hub.begin();
        hub.pass_time(hours(1));
        let versions = &mut hub.cluster("a").versions;
        versions.control_plane = Some(KubernetesVersion::from_minor(36));
        hub.arrive("a", Some(1));
        hub.settle();
        let promised = hub.members["a"].status.rollback_until.as_ref().map(|until| until.0);
        assert_eq!(promised, until.map(at), "at 1.{have}, upgraded {ended:?}");
        hub.member_spec("a").rollback = true;
        hub.settle();
        assert_eq!(hub.state("a"), if until.is_some() { RollingBack } else { Soaking });
        assert_eq!(hub.codes().contains(&"RollbackUnclear"), until.is_none());
    }
}

#[test]
fn nothing_is_promised_of_a_member_that_is_back_or_that_was_skipped() {
    for skipped in [false, true] {
        let mut hub = done();
        hub.member_spec("a").rollback = true;
        hub.settle();
        assert!(hub.members["a"].status.rollback_until.is_some(), "it can still fail, and be tried again");
        hub.succeed("a");
        assert_eq!(hub.state("a"), RolledBack);
        assert_eq!(hub.members["a"].status.rollback_until, None);
        hub.member_spec("a").skip = skipped;
        hub.settle();
        // Somebody upgrades it by hand, which is no matter of this rollout.
        let now = hub.now;
        let versions = &mut hub.cluster("a").versions;
        versions.control_plane = Some(KubernetesVersion::from_minor(36));
        versions.upgrade_completed_at = Some(Time(now));
        hub.settle();
        assert_eq!(hub.state("a"), if skipped { Skipped } else { RolledBack });
        assert_eq!(hub.members["a"].status.rollback_until, None);
    }
}

#[test]
fn a_cluster_that_is_not_where_the_rollout_brought_it_is_not_moved_back() {
    for have in [None, Some(35), Some(37)] {
        let mut hub = done();
        hub.cluster("a").versions.control_plane = have.map(KubernetesVersion::from_minor);
        hub.member_spec("a").rollback = true;
        hub.settle();
        assert_eq!(hub.state("a"), Succeeded, "{have:?}");
    }
}

#[test]
fn a_wave_goes_back_by_itself_when_the_plan_says_so() {
    let mut hub = rollout(json!([wave("first", json!({})), wave("second", json!({"maxConcurrent": 3}))]))
        .with("first", &["a"])
        .with("second", &["b", "c", "d", "e"]);
    hub.spec.on_failure = OnFailure::Rollback;
    hub.begin();
    hub.succeed("a");
    hub.look();
    hub.settle();
    hub.arrive("b", Some(1));
    hub.arrive("c", None);
    // The third fails when its control plane has moved.
    hub.arrive("d", None);
    hub.see("d", |seen| seen.stuck = Some("PodEvictionFailure".to_owned()));
    hub.settle();
    assert_eq!(hub.states(), [Succeeded, RollingBack, RollingBack, RollingBack, Preflight]);
    assert_eq!(hub.phase(), RolloutPhase::RollingBack);
    for name in ["b", "c", "d"] {
        hub.succeed(name);
    }
    assert_eq!(hub.states(), [Succeeded, RolledBack, RolledBack, RolledBack, Preflight]);
    assert_eq!(hub.phase(), RolloutPhase::Stopped, "what went back stands for failures until somebody looks");
}

#[test]
fn a_wave_does_not_go_back_by_itself_while_somebody_has_paused_it() {
    let mut hub = rollout(json!([wave("w", json!({"maxConcurrent": 2}))])).with("w", &["a", "b"]);
    hub.spec.on_failure = OnFailure::Rollback;
    hub.begin();
    hub.run(Run::Paused);
    hub.succeed("a");
    hub.get_stuck("b");
    assert_eq!((hub.states(), hub.phase()), (vec![Succeeded, Failed], RolloutPhase::Paused));
    hub.member_spec("a").rollback = true;
    hub.settle();
    assert_eq!(hub.state("a"), RollingBack, "whoever asks for a member gets it");
    hub.succeed("a");
    hub.run(Run::Running);
    assert_eq!(
        (hub.states(), hub.phase()),
        (vec![RolledBack, Failed], RolloutPhase::Stopped),
        "b had not moved"
    );
}

#[test]
fn what_runs_is_left_to_arrive_before_it_goes_back() {
    let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a"]);
    hub.begin();
    hub.run(Run::RollingBack);
    assert_eq!((hub.state("a"), hub.phase()), (Upgrading, RolloutPhase::RollingBack));
    hub.arrive("a", None);
    hub.settle();
    assert_eq!(hub.state("a"), RollingBack);
    hub.succeed("a");
    assert_eq!((hub.state("a"), hub.phase()), (RolledBack, RolloutPhase::RolledBack));
}

#[test]
fn a_member_that_failed_on_its_way_back_is_tried_again_only_when_somebody_says_so() {
    for aborted in [false, true] {
        let mut hub = rollout(json!([wave("w", json!({"maxConcurrent": 2}))])).with("w", &["a", "b"]);
        hub.begin();
        hub.succeed("a");
        if aborted {
            hub.run(Run::Aborted);
        }
        hub.succeed("b");
        hub.member_spec("a").rollback = true;
        hub.settle();
        hub.get_stuck("a");
        assert_eq!((hub.state("a"), hub.stage("a")), (Failed, Some(MoveStage::Back)), "aborted: {aborted}");
        hub.member_spec("a").retry = Some("1".to_owned());
        hub.settle();
        assert_eq!(hub.state("a"), RollingBack, "aborted: {aborted}");
        assert_eq!(hub.cluster("a").current.as_ref().unwrap().id, "r1-2");
        hub.succeed("a");
        assert_eq!(hub.state("a"), RolledBack, "aborted: {aborted}");
    }
}

#[test]
fn nothing_but_a_way_back_is_tried_again_after_an_abort() {
    let mut hub = rollout(json!([wave("w", json!({"maxFailures": 1}))])).with("w", &["a"]);
    hub.begin();
    hub.get_stuck("a");
    hub.run(Run::Aborted);
    hub.member_spec("a").retry = Some("1".to_owned());
    hub.settle();
    assert_eq!((hub.state("a"), hub.phase()), (Failed, RolloutPhase::Aborted));
}

#[test]
fn what_is_to_be_tried_again_when_its_rollout_ends_leaves_with_a_move_that_is_over() {
    let mut hub =
        rollout(json!([wave("w", json!({"maxConcurrent": 2, "maxFailures": 1}))])).with("w", &["a", "b"]);
    hub.begin();
    hub.get_stuck("a");
    // It has not moved, so that no way back begins; its record stands for no attempt any more.
    hub.member_spec("a").rollback = true;
    hub.member_spec("a").retry = Some("1".to_owned());
    hub.settle();
    assert!(!hub.cluster("a").current.as_ref().unwrap().over);
    hub.succeed("b");
    assert_eq!((hub.states(), hub.phase()), (vec![Failed, Succeeded], RolloutPhase::Completed));
    for name in ["a", "b"] {
        assert!(hub.cluster(name).current.as_ref().unwrap().over, "{name}");
    }
}

#[test]
fn a_member_that_is_to_go_back_and_never_moved_does_not_begin() {
    let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a"]);
    hub.member_spec("a").rollback = true;
    hub.begin();
    assert_eq!((hub.state("a"), hub.message("a")), (Preflight, "it is to be rolled back, and has not moved"));
    hub.member_spec("a").skip = true;
    hub.settle();
    assert_eq!(hub.phase(), RolloutPhase::Completed);
}

#[test]
fn a_member_that_is_back_can_be_skipped_so_that_it_is_no_failure_any_more() {
    let mut hub = rollout(json!([wave("w", json!({"maxConcurrent": 2}))])).with("w", &["a", "b"]);
    hub.begin();
    hub.succeed("a");
    hub.member_spec("a").rollback = true;
    hub.settle();
    hub.succeed("a");
    hub.succeed("b");
    assert_eq!((hub.states(), hub.phase()), (vec![RolledBack, Succeeded], RolloutPhase::Stopped));
    hub.member_spec("a").skip = true;
    hub.settle();
    assert_eq!(hub.phase(), RolloutPhase::Completed);
}

#[test]
fn a_baseline_and_addons_go_back_to_what_they_were_at_any_time() {
    for target in [json!({"baseline": "new"}), json!({"addons": [{"name": "coredns", "version": "v2"}]})] {
        let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a"]);
        hub.spec.target = serde_json::from_value(target).unwrap();
        hub.begin();
        let there = hub.cluster("a").current.clone().unwrap();
        assert_eq!((there.version, there.hold_nodes_until), (None, None));
        hub.cluster("a").versions.addons[0].version = "v2".to_owned();
        hub.succeed("a");
        assert_eq!(hub.phase(), RolloutPhase::Completed);
        hub.pass_time(hours(30 * 24));
        hub.run(Run::RollingBack);
        let back = hub.cluster("a").current.clone().unwrap();
        assert_eq!(back.stage, MoveStage::Back);
        if there.baseline.is_some() {
            assert_eq!((there.baseline.as_deref(), back.baseline.as_deref()), (Some("new"), Some("old")));
        } else {
            assert_eq!(back.addons[0].version.as_deref(), Some("v1"));
        }
        hub.succeed("a");
        assert_eq!(hub.phase(), RolloutPhase::RolledBack);
    }
}

#[test]
fn nodes_stay_behind_for_as_long_as_the_plan_says() {
    let mut hub = rollout(json!([wave("w", json!({"soak": "1h"}))])).with("w", &["a"]);
    hub.spec.hold_nodes = Some(Minutes(48 * 60));
    hub.begin();
    let held = |hub: &mut Hub| hub.cluster("a").current.as_ref().unwrap().hold_nodes_until.clone().unwrap().0;
    let deadline = hub.spec.step_deadline.to_duration();
    assert_eq!(
        held(&mut hub),
        at("2026-11-26T12:00:00Z") + deadline,
        "nobody knows yet when the rest arrives"
    );
    hub.pass_time(hours(1));
    hub.arrive("a", Some(1));
    hub.settle();
    assert_eq!(
        held(&mut hub),
        at("2026-11-26T13:00:00Z"),
        "it is counted from the arrival once that was seen"
    );
    hub.succeed("a");
    assert_eq!(held(&mut hub), at("2026-11-26T13:00:00Z"));
    hub.run(Run::RollingBack);
    assert_eq!(hub.cluster("a").current.as_ref().unwrap().hold_nodes_until, None);
}

#[test]
fn nodes_are_held_until_the_rest_has_arrived_however_short_their_hold_is() {
    let mut hub = rollout(json!([wave("w", json!({}))])).with("w", &["a"]);
    hub.spec.hold_nodes = Some(Minutes(60));
    let held = |hub: &mut Hub| hub.cluster("a").current.as_ref().unwrap().hold_nodes_until.clone().unwrap().0;
    hub.begin();
    hub.get_stuck("a");
    hub.settle();
    hub.member_spec("a").retry = Some("mended".to_owned());
    hub.settle();
    hub.look();
    hub.settle();
    assert_eq!(hub.state("a"), Upgrading);
    // The control plane has moved by this attempt, and an add-on waits for the next window.
    hub.pass_time(hours(1));
    let moved = hub.now;
    let versions = &mut hub.cluster("a").versions;
    versions.control_plane = Some("1.36".parse().unwrap());
    versions.upgrade_completed_at = Some(Time(moved));
    hub.pass_time(hours(4));
    hub.see("a", |_| {});
    hub.settle();
    assert!(held(&mut hub) > hub.now, "the nodes would move before the rest has arrived");
    hub.arrive("a", Some(1));
    hub.settle();
    assert_eq!(held(&mut hub), hub.now + hours(1));
}
