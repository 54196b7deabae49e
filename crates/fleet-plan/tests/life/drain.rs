//! Draining before a deletion: when it is done, when it is left out, and when somebody is asked.

use fleet_api::{
    conditions::{self, Verdict, reason},
    labels,
    v1alpha1::{DeletionStatus, DrainStatus, TenantCluster},
};
use fleet_plan::cluster::{ClusterPlan, plan};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    hub::{Hub, class, spec},
    run,
};

/// The plan of a deletion in which only the workloads stand before the parts of the cluster.
fn planned(change: impl FnOnce(&mut TenantCluster, &mut DrainStatus, Timestamp)) -> ClusterPlan {
    run(async {
        let mut hub = Hub::new(spec(&class(true, false), "1.35"));
        hub.settle().await;
        hub.delete();
        // The tenant's people are shut out first.
        let first = hub.turn(None).await;
        assert!(first.steps.iter().all(|step| step.id.starts_with("access-entry/")), "{:?}", first.steps);
        let seen = hub.look(None).await;
        let mut cluster = hub.object.clone();
        let now = hub.clock.now();
        let mut drain = DrainStatus::default();
        change(&mut cluster, &mut drain, now);
        cluster.status.as_mut().unwrap().deletion =
            Some(DeletionStatus { began_at: Time(now), there: Vec::new(), drain, gone_at: None });
        plan(&cluster, &seen, now)
    })
}

fn ids(planned: &ClusterPlan) -> Vec<&str> {
    planned.steps.iter().map(|step| step.id.as_str()).collect()
}

fn skipped(planned: &ClusterPlan) -> Option<String> {
    planned.deletion.as_ref().unwrap().drain.skipped.clone()
}

fn annotate(cluster: &mut TenantCluster, value: &str) {
    cluster
        .metadata
        .annotations
        .get_or_insert_default()
        .insert(labels::SKIP_DRAIN.to_owned(), value.to_owned());
}

fn unreachable_since(cluster: &mut TenantCluster, now: Timestamp, minutes: i64) {
    let since = now - SignedDuration::from_mins(minutes);
    let verdict = Verdict::fails(conditions::REACHABLE, reason::UNREACHABLE, "connection refused");
    conditions::set(&mut cluster.status.as_mut().unwrap().conditions, &verdict, Some(1), since);
}

#[test]
fn what_was_handed_over_is_drained_before_any_part_of_it_goes() {
    let planned = planned(|_, _, _| ());
    assert_eq!(ids(&planned), ["drain"]);
    assert!(planned.report.iter().any(|entry| entry.code == "Draining"));
    assert_eq!(skipped(&planned), None);
}

#[test]
fn a_drain_that_is_not_finished_says_what_is_left() {
    let planned = planned(|_, drain, _| drain.remaining = vec!["Service shop/web".to_owned()]);
    assert_eq!(ids(&planned), ["drain"]);
    let said = planned.report.iter().find(|entry| entry.code == "Draining").unwrap();
    assert_eq!(said.message, "still to be drained: Service shop/web");
    assert!(planned.look_again_after <= SignedDuration::from_secs(10));
}

#[test]
fn a_finished_drain_is_not_begun_again() {
    let planned = planned(|_, drain, now| drain.finished_at = Some(Time(now)));
    assert!(!ids(&planned).contains(&"drain"));
    assert!(ids(&planned).contains(&"pod-identity/kube-system/ebs/delete"), "{:?}", ids(&planned));
}

#[test]
fn a_cluster_that_was_never_handed_over_has_nothing_to_drain() {
    let planned = planned(|cluster, _, _| cluster.status.as_mut().unwrap().baseline.proven_at = None);
    assert!(!ids(&planned).contains(&"drain"));
    let why = "the cluster was never handed over, so no workload ran in it";
    assert_eq!(skipped(&planned).as_deref(), Some(why));
    assert!(planned.report.iter().any(|entry| entry.code == "DrainSkipped"));
}

#[test]
fn an_operator_can_leave_the_drain_out_with_the_one_word_that_counts() {
    let skip = planned(|cluster, _, _| annotate(cluster, "true"));
    assert!(!ids(&skip).contains(&"drain"));
    assert!(skipped(&skip).unwrap().contains(labels::SKIP_DRAIN));
    for other in ["yes", "True", "", "false"] {
        let kept = planned(|cluster, _, _| annotate(cluster, other));
        assert_eq!(ids(&kept), ["drain"], "{other:?}");
    }
}

#[test]
fn what_was_left_out_once_stays_so_for_the_receipt() {
    let planned = planned(|_, drain, _| drain.skipped = Some("an operator said so".to_owned()));
    assert!(!ids(&planned).contains(&"drain"));
    assert_eq!(skipped(&planned).as_deref(), Some("an operator said so"));
}

#[test]
fn an_api_server_that_stays_away_makes_somebody_decide_and_is_tried_on() {
    let blocked = |minutes: i64| {
        let planned = planned(|cluster, _, now| unreachable_since(cluster, now, minutes));
        assert_eq!(ids(&planned), ["drain"], "it is tried on");
        planned.report.iter().find(|entry| entry.code == "DrainBlocked").cloned()
    };
    assert_eq!(blocked(15), None);
    let entry = blocked(16).unwrap();
    assert_eq!(entry.who, "operator");
    assert!(entry.message.contains("connection refused"), "{}", entry.message);
    assert!(entry.hint.unwrap().contains(labels::SKIP_DRAIN));
}
