//! What counts as evidence.

use fleet_api::v1alpha1::{Evidence, TenantCluster};
use fleet_plan::{
    cluster::preflight::Preflight,
    evidence::{Look, evidence},
    report::{Code, Who, entry_with_hint},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{READY, a_move, cluster, condition};

fn at(seconds: i64) -> Timestamp {
    "2026-11-24T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// Looks once every minute.
fn look(cluster: &TenantCluster, seconds: i64) -> Look<'_> {
    Look { cluster, live: true, preflight: None, every: SignedDuration::from_secs(60), now: at(seconds) }
}

/// Looks at the cluster and stores what came of it.
fn observe(cluster: &mut TenantCluster, seconds: i64) -> Evidence {
    let found = evidence(&look(cluster, seconds)).unwrap();
    cluster.status.as_mut().unwrap().evidence = Some(found.clone());
    found
}

fn moved() -> TenantCluster {
    cluster(Some(a_move("Go", &json!({}))), "1.36", READY)
}

#[test]
fn the_look_that_sees_it_arrive_does_not_see_it_healthy_yet() {
    let mut cluster = moved();
    let first = observe(&mut cluster, 0);
    assert_eq!((first.arrived, first.healthy, first.healthy_seconds), (true, false, 0));
    let second = observe(&mut cluster, 60);
    assert_eq!(
        (second.healthy, second.healthy_seconds),
        (true, 0),
        "time counts from the first healthy look"
    );
    assert_eq!(observe(&mut cluster, 120).healthy_seconds, 60);
}

#[test]
fn nothing_has_arrived_that_is_elsewhere_unsettled_or_of_an_older_spec() {
    let go = || Some(a_move("Go", &json!({})));
    let mut older = moved();
    older.metadata.generation = Some(4);
    let mut nodes = moved();
    nodes.status.as_mut().unwrap().versions.nodes[0].version = "1.35".to_owned();
    let mut unnamed = moved();
    unnamed.status.as_mut().unwrap().versions.nodes[0].version = "unknown".to_owned();
    let addons = json!([{"name": "metrics-server", "version": "v0.9.0"}]);
    let table = [
        (cluster(go(), "1.35", READY), "control plane is at 1.35"),
        (cluster(go(), "1.37", READY), "control plane is at 1.37"),
        (cluster(go(), "1.36", &["Ready"]), "UpToDate is not known"),
        (older, "UpToDate is not known"),
        (nodes, "node group workers is at 1.35"),
        (unnamed, "node group workers is at unknown"),
        (cluster(Some(a_move("Go", &json!({"version": null, "addons": addons}))), "1.36", READY), "v0.8.0"),
        (
            cluster(
                Some(a_move("Go", &json!({"version": null, "baseline": "strict"}))),
                "1.36",
                &["UpToDate"],
            ),
            "Hardened is not known",
        ),
    ];
    for (mut cluster, why) in table {
        let found = observe(&mut cluster, 0);
        assert!(!found.arrived && found.message.contains(why), "{why}: {}", found.message);
        assert!(!observe(&mut cluster, 120).healthy, "{why}");
    }
}

#[test]
fn held_nodes_are_not_waited_for_and_the_end_of_their_hold_is_no_regress() {
    let mut cluster = holding();
    assert!(observe(&mut cluster, 0).arrived);
    for minute in 1..=5 {
        assert!(observe(&mut cluster, minute * 60).healthy);
    }
    // The hold has ended, and no window is open in which the nodes might follow.
    let before = 24 * 60 * 60;
    let soaked = observe(&mut cluster, before).healthy_seconds;
    assert!(soaked > 240, "{soaked}");
    set(&mut cluster, "UpToDate", "False", "InProgress", "nodes of workers wait for a window");
    let after = observe(&mut cluster, before + 60);
    assert_eq!((after.arrived, after.healthy, after.stuck), (true, true, None), "{}", after.message);
    assert_eq!(after.healthy_seconds, soaked + 60);
}

#[test]
fn nodes_that_were_never_held_or_are_held_no_longer_when_the_rest_arrives_are_waited_for() {
    let mut cluster = holding();
    let late = observe(&mut cluster, 25 * 60 * 60);
    assert!(!late.arrived && late.message.contains("node group workers is at 1.35"), "{}", late.message);
}

#[test]
fn nodes_that_cannot_follow_after_their_hold_are_told() {
    let mut cluster = holding();
    observe(&mut cluster, 0);
    set(&mut cluster, "UpToDate", "False", "Blocked", "an update of the class is refused");
    assert!(
        !observe(&mut cluster, 60).arrived,
        "while nodes are held, everything else has to be as it is wanted"
    );
    set(&mut cluster, "UpToDate", "True", "AsWanted", "");
    observe(&mut cluster, 120);
    set(&mut cluster, "UpToDate", "False", "Blocked", "PodEvictionFailure: ledger-0");
    let found = observe(&mut cluster, 25 * 60 * 60);
    assert!(found.arrived, "{}", found.message);
    assert_eq!(found.stuck.as_deref(), Some("PodEvictionFailure: ledger-0"));
    cluster.status.as_mut().unwrap().versions.nodes[0].version = "1.36".to_owned();
    set(&mut cluster, "UpToDate", "True", "AsWanted", "");
    assert_eq!(observe(&mut cluster, 26 * 60 * 60).stuck, None);
}

/// A cluster whose control plane has moved, and whose nodes are held back for a day.
fn holding() -> TenantCluster {
    let held = json!({"holdNodesUntil": "2026-11-25T12:00:00Z"});
    let mut cluster = cluster(Some(a_move("Go", &held)), "1.36", READY);
    cluster.status.as_mut().unwrap().versions.nodes[0].version = "1.35".to_owned();
    cluster
}

fn set(cluster: &mut TenantCluster, type_: &str, status: &str, reason: &str, message: &str) {
    let conditions = &mut cluster.status.as_mut().unwrap().conditions;
    conditions.retain(|condition| condition.type_ != type_);
    conditions.push(serde_json::from_value(condition(type_, status, reason, message)).unwrap());
}

#[test]
fn a_regress_sets_the_time_back_to_nothing() {
    let mut cluster = moved();
    for minute in 0..=5 {
        observe(&mut cluster, minute * 60);
    }
    let well = cluster.clone();
    let ready = |cluster: &mut TenantCluster, status: &str| {
        let conditions = &mut cluster.status.as_mut().unwrap().conditions;
        conditions.retain(|condition| condition.type_ != "Ready");
        conditions.push(
            serde_json::from_value(condition("Ready", status, "ProbeFailed", "NET-1 does not bite")).unwrap(),
        );
    };
    for status in ["False", "Unknown"] {
        let mut cluster = well.clone();
        ready(&mut cluster, status);
        let found = observe(&mut cluster, 310);
        assert_eq!((found.arrived, found.healthy, found.healthy_seconds), (true, false, 0), "{status}");
        assert!(found.message.contains("NET-1"), "{}", found.message);
        ready(&mut cluster, "True");
        assert_eq!(observe(&mut cluster, 320).healthy_seconds, 0, "it begins again");
        assert_eq!(observe(&mut cluster, 380).healthy_seconds, 60);
    }
}

#[test]
fn blind_times_and_clocks_that_are_set_add_nothing() {
    let healthy = |before: i64, after: i64| {
        let mut cluster = moved();
        observe(&mut cluster, -120);
        observe(&mut cluster, before);
        observe(&mut cluster, after).healthy_seconds
    };
    assert_eq!(healthy(0, 60), 60);
    assert_eq!(healthy(0, 100_000), 120, "at most two intervals");
    assert_eq!(healthy(0, -100_000), 0, "a clock that was set back");
}

#[test]
fn a_look_that_saw_nothing_leaves_the_evidence_as_old_as_it_is() {
    let mut cluster = moved();
    let stored = observe(&mut cluster, 0);
    let blind = Look { live: false, ..look(&cluster, 600) };
    assert_eq!(evidence(&blind), Some(stored));
    let nothing = Look { live: false, ..look(&moved(), 0) }.live;
    assert!(!nothing);
    assert_eq!(evidence(&Look { live: false, ..look(&moved(), 0) }), None);
}

#[test]
fn evidence_of_another_attempt_or_stage_counts_for_nothing() {
    for other in [json!({"id": "m-2"}), json!({"stage": "Back", "version": "1.36"})] {
        let mut cluster = moved();
        observe(&mut cluster, 0);
        assert!(observe(&mut cluster, 60).healthy);
        let mut next = a_move("Go", &other);
        next["seq"] = json!(9);
        cluster.spec.rollout = serde_json::from_value(next).unwrap();
        let found = observe(&mut cluster, 120);
        assert_eq!((found.healthy, found.healthy_seconds), (false, 0), "{other}");
        assert_eq!(found.move_id, cluster.spec.rollout.as_ref().unwrap().id);
    }
}

#[test]
fn close_looks_are_taken_together_unless_they_see_something_else() {
    let mut cluster = moved();
    observe(&mut cluster, 0);
    let healthy = observe(&mut cluster, 1);
    assert!(healthy.healthy, "a change is told at once");
    assert_eq!(observe(&mut cluster, 10), healthy);
    assert_eq!(observe(&mut cluster, 61).healthy_seconds, 60, "what was not written is not lost");
}

#[test]
fn a_move_that_needs_somebody_is_stuck_and_says_why() {
    let mut cluster = cluster(Some(a_move("Go", &json!({}))), "1.35", &[]);
    let blocked = condition("UpToDate", "False", "Blocked", "update-version failed 5 times");
    cluster.status.as_mut().unwrap().conditions.push(serde_json::from_value(blocked).unwrap());
    assert_eq!(observe(&mut cluster, 0).stuck.as_deref(), Some("update-version failed 5 times"));
}

#[test]
fn what_is_tried_again_or_waits_is_not_stuck() {
    for reason in ["Retrying", "Waiting", "InProgress"] {
        let mut cluster = cluster(Some(a_move("Go", &json!({}))), "1.35", &[]);
        let told = condition("UpToDate", "False", reason, "again at noon");
        cluster.status.as_mut().unwrap().conditions.push(serde_json::from_value(told).unwrap());
        assert_eq!(observe(&mut cluster, 0).stuck, None, "{reason}");
    }
}

#[test]
fn who_can_act_on_what_is_stuck_is_told_with_it() {
    let mut cluster = cluster(Some(a_move("Go", &json!({}))), "1.35", &[]);
    let status = cluster.status.as_mut().unwrap();
    let told = "update-version failed with EniLimitReached: no interface is left";
    status.conditions.push(serde_json::from_value(condition("UpToDate", "False", "Blocked", told)).unwrap());
    let hint = "have the quota raised";
    status.report.push(entry_with_hint(Code::ClusterUnhealthy, Who::Tenant, "something else", "look"));
    status.report.push(entry_with_hint(Code::FailedForGood, Who::Operator, told, hint));
    assert_eq!(
        observe(&mut cluster, 0).stuck.unwrap(),
        format!("{told} (who can act: operator; what to do: {hint})")
    );
}

#[test]
fn what_was_stuck_stays_so_for_its_attempt_until_the_cluster_is_there_after_all() {
    let stuck = || {
        let mut cluster = cluster(Some(a_move("Go", &json!({}))), "1.35", &[]);
        let blocked = condition("UpToDate", "False", "Blocked", "an insight is at ERROR");
        cluster.status.as_mut().unwrap().conditions.push(serde_json::from_value(blocked).unwrap());
        observe(&mut cluster, 0);
        cluster.status.as_mut().unwrap().conditions.clear();
        cluster
    };
    let mut same = stuck();
    assert_eq!(observe(&mut same, 60).stuck.as_deref(), Some("an insight is at ERROR"));
    let mut other = stuck();
    other.spec.rollout = serde_json::from_value(a_move("Go", &json!({"id": "m-2"}))).unwrap();
    assert_eq!(observe(&mut other, 60).stuck, None);
    let mut there = cluster(Some(a_move("Go", &json!({}))), "1.36", READY);
    there.status.as_mut().unwrap().evidence = stuck().status.unwrap().evidence;
    let found = observe(&mut there, 60);
    assert_eq!((found.arrived, found.stuck), (true, None));
}

#[test]
fn a_cluster_that_was_back_stays_so_in_the_evidence_though_somebody_moved_it_on() {
    let mut cluster = cluster(Some(a_move("Back", &json!({"version": "1.35"}))), "1.35", READY);
    assert!(observe(&mut cluster, 0).arrived);
    assert!(observe(&mut cluster, 60).healthy);
    cluster.status.as_mut().unwrap().versions.control_plane = Some("1.36".parse().unwrap());
    let found = observe(&mut cluster, 120);
    assert_eq!((found.arrived, found.healthy), (true, false));
}

#[test]
fn a_prepared_move_carries_what_stands_in_the_way_and_nothing_else() {
    let mut cluster = cluster(Some(a_move("Prepare", &json!({}))), "1.35", READY);
    assert_eq!(evidence(&look(&cluster, 0)), None, "without a preflight there is nothing to say");
    let clear = Preflight { looked: true, blockers: Vec::new() };
    let found = evidence(&Look { preflight: Some(&clear), ..look(&cluster, 0) }).unwrap();
    assert!(found.looked && !found.arrived && !found.healthy);
    assert_eq!(found.message, "nothing stands in the way");
    cluster.status.as_mut().unwrap().evidence = Some(found);
    let blind = Preflight::default();
    let found = evidence(&Look { preflight: Some(&blind), ..look(&cluster, 60) }).unwrap();
    assert!(!found.looked);
}
