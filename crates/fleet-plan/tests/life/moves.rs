//! Clusters under the moves of rollouts: forward with nodes held back, and back while EKS allows it.

use fleet_api::{
    KubernetesVersion,
    eks::{EksInsight, EksObservation},
    step::Seen,
    v1alpha1::{Evidence, Move, MoveStage},
};
use fleet_plan::cluster::{ClusterPlan, plan};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    hub::{Hub, class, spec},
    run,
};

fn minor(minor: u16) -> KubernetesVersion {
    KubernetesVersion::from_minor(minor)
}

/// A move of a rollout to a minor.
pub fn move_to(stage: MoveStage, target: u16) -> Move {
    Move {
        rollout: "to-136".to_owned(),
        rollout_uid: "uid-rollout".to_owned(),
        seq: 1,
        id: "uid-rollout/acme/1".to_owned(),
        stage,
        version: Some(minor(target)),
        baseline: None,
        addons: Vec::new(),
        hold_nodes_until: None,
        halted: false,
        over: false,
    }
}

/// A cluster at rest at 1.35.
async fn at_rest(auto_mode: bool) -> Hub {
    let mut hub = Hub::new(spec(&class(auto_mode, false), "1.35"));
    hub.settle().await;
    hub
}

/// The same, moved to 1.36 by a rollout that holds the nodes for two days.
async fn moved_with_nodes_held() -> Hub {
    let mut hub = at_rest(false).await;
    let until = hub.clock.now() + SignedDuration::from_hours(48);
    hub.edit(|spec| {
        spec.rollout = Some(Move { hold_nodes_until: Some(Time(until)), ..move_to(MoveStage::Go, 36) });
    });
    hub.settle().await;
    hub
}

/// What is seen of a cluster that is where a move of this stage leads.
fn arrived(stage: MoveStage, hub: &Hub) -> Evidence {
    Evidence {
        move_id: move_to(stage, 36).id,
        stage,
        observed_at: Time(hub.clock.now()),
        blockers: Vec::new(),
        looked: false,
        arrived: true,
        healthy: true,
        healthy_seconds: 0,
        stuck: None,
        message: String::new(),
    }
}

/// The minors of control plane and node groups.
async fn minors(hub: &Hub) -> (u16, Vec<u16>) {
    let seen = hub.look(None).await;
    let nodes =
        seen.nodegroups.present().unwrap().iter().map(|group| group.version.unwrap().minor()).collect();
    (seen.cluster.present().unwrap().version.minor(), nodes)
}

/// The operations since the given number of effects, without the cluster's name.
fn effects_since(hub: &Hub, before: usize) -> Vec<String> {
    let word = |effect: &String| {
        let mut words = effect.split(' ');
        let operation = words.next().unwrap().to_owned();
        let part: Vec<&str> = words.skip(1).collect();
        format!("{operation} {}", part.join(" "))
    };
    hub.eks.effects().iter().skip(before).map(word).collect()
}

fn says<'a>(planned: &'a ClusterPlan, code: &str) -> Option<&'a str> {
    planned.report.iter().find(|entry| entry.code == code).map(|entry| entry.message.as_str())
}

#[test]
fn a_move_that_is_prepared_changes_nothing() {
    run(async {
        let mut hub = at_rest(false).await;
        let before = hub.eks.effects().len();
        hub.edit(|spec| spec.rollout = Some(move_to(MoveStage::Prepare, 36)));
        hub.settle().await;
        assert_eq!(effects_since(&hub, before), Vec::<String>::new());
        let planned = hub.turn(None).await;
        assert!(planned.focus.readiness, "what an upgrade depends on is looked at all the same");
    });
}

#[test]
fn a_move_that_goes_holds_before_the_tenant_is_composed_again() {
    run(async {
        let mut hub = at_rest(true).await;
        hub.edit(|spec| spec.rollout = Some(move_to(MoveStage::Go, 36)));
        hub.settle().await;
        assert_eq!(hub.object.spec.version, minor(35));
        assert_eq!(minors(&hub).await.0, 36);
    });
}

#[test]
fn nodes_stay_for_as_long_as_the_rollout_holds_them_and_move_then() {
    run(async {
        let mut hub = moved_with_nodes_held().await;
        assert_eq!(minors(&hub).await, (36, vec![35]));
        let planned = hub.turn(None).await;
        let held = says(&planned, "NodesHeld").unwrap();
        assert!(held.contains("stays at 1.35") && held.contains("at the latest"), "{held}");
        hub.object.status.as_mut().unwrap().evidence = Some(arrived(MoveStage::Go, &hub));
        let planned = hub.turn(None).await;
        let held = says(&planned, "NodesHeld").unwrap();
        assert!(!held.contains("at the latest"), "its end is known once the rest has arrived: {held}");
        hub.clock.advance(SignedDuration::from_hours(49));
        hub.settle().await;
        assert_eq!(minors(&hub).await, (36, vec![36]));
    });
}

#[test]
fn a_new_launch_template_replaces_held_nodes_at_the_minor_that_they_have() {
    run(async {
        let mut hub = moved_with_nodes_held().await;
        hub.edit(|spec| spec.eks.as_mut().unwrap().node_groups[0].disk_gib += 10);
        let before = hub.eks.effects().len();
        hub.settle().await;
        assert!(
            effects_since(&hub, before).iter().any(|effect| effect.starts_with("UpdateNodegroupVersion"))
        );
        assert_eq!(minors(&hub).await, (36, vec![35]));
    });
}

#[test]
fn the_way_back_takes_nodes_then_add_ons_then_the_control_plane() {
    run(async {
        let mut hub = at_rest(false).await;
        hub.edit(|spec| spec.rollout = Some(move_to(MoveStage::Go, 36)));
        hub.settle().await;
        assert_eq!(minors(&hub).await, (36, vec![36]));
        let before = hub.eks.effects().len();
        // The composed version may still be the newer one.
        hub.edit(|spec| {
            spec.version = minor(36);
            spec.rollout = Some(move_to(MoveStage::Back, 35));
        });
        hub.settle().await;
        assert_eq!(
            effects_since(&hub, before),
            [
                "UpdateNodegroupVersion nodegroup workers",
                "UpdateAddon addon kube-proxy",
                "UpdateClusterVersion cluster"
            ]
        );
        assert_eq!(minors(&hub).await, (35, vec![35]));
        assert_eq!(hub.object.status.as_ref().unwrap().versions.upgrade_completed_at, None);
        assert_eq!(hub.faults, Vec::<String>::new());
    });
}

#[test]
fn the_way_back_waits_for_no_window_and_no_freeze() {
    run(async {
        let mut hub = at_rest(false).await;
        hub.edit(|spec| spec.rollout = Some(move_to(MoveStage::Go, 36)));
        hub.settle().await;
        let began = hub.clock.now();
        hub.edit(|spec| {
            // The clock stands at some hour after noon on a Tuesday; nothing opens before another week.
            spec.maintenance = Some(
                serde_json::from_value(serde_json::json!({
                    "timeZone": "UTC",
                    "windows": [{"days": ["Mon"], "start": "02:00", "duration": "4h"}],
                    "freezes": [{"from": "2026-01-01", "to": "2026-12-31", "reason": "all year"}],
                }))
                .unwrap(),
            );
            spec.rollout = Some(move_to(MoveStage::Back, 35));
        });
        hub.settle().await;
        assert_eq!(minors(&hub).await, (35, vec![35]));
        assert!(
            hub.clock.now().duration_since(began) < SignedDuration::from_hours(24),
            "it sat a window out"
        );
    });
}

#[test]
fn held_nodes_have_no_way_to_go_back() {
    run(async {
        let mut hub = moved_with_nodes_held().await;
        let before = hub.eks.effects().len();
        hub.edit(|spec| spec.rollout = Some(move_to(MoveStage::Back, 35)));
        hub.settle().await;
        let effects = effects_since(&hub, before);
        assert_eq!(effects, ["UpdateAddon addon kube-proxy", "UpdateClusterVersion cluster"]);
        assert_eq!(minors(&hub).await, (35, vec![35]));
    });
}

#[test]
fn a_way_back_that_eks_would_refuse_is_not_begun_and_nodes_stay() {
    type Change = fn(&mut Hub);
    let refused: [(&str, Change); 4] = [
        ("7 days after the upgrade", |hub| hub.clock.advance(SignedDuration::from_hours(7 * 24 + 1))),
        ("it was made at 1.36", |hub| versions(hub).created_at = Some(minor(36))),
        ("nobody saw when it was upgraded", |hub| versions(hub).upgrade_completed_at = None),
        ("EKS goes back by one minor", |hub| {
            hub.object.spec.rollout.as_mut().unwrap().version = Some(minor(34));
        }),
    ];
    for (why, change) in refused {
        run(async {
            let mut hub = at_rest(false).await;
            hub.edit(|spec| spec.rollout = Some(move_to(MoveStage::Go, 36)));
            hub.settle().await;
            hub.edit(|spec| spec.rollout = Some(move_to(MoveStage::Back, 35)));
            change(&mut hub);
            let before = hub.eks.effects().len();
            let planned = hub.turn(None).await;
            assert!(says(&planned, "RollbackImpossible").unwrap().contains(why), "{:?}", planned.report);
            let verdict = planned.verdicts.iter().find(|verdict| verdict.type_ == "UpToDate").unwrap();
            assert_eq!((verdict.status, verdict.reason), (Some(false), "Blocked"));
            assert_eq!(effects_since(&hub, before), Vec::<String>::new(), "{why}");
        });
    }
}

fn versions(hub: &mut Hub) -> &mut fleet_api::v1alpha1::VersionStatus {
    &mut hub.object.status.as_mut().unwrap().versions
}

/// A plan for the way back of a cluster without nodes and add-ons, on which the insights say what is given.
async fn plan_back(insights: Seen<Vec<EksInsight>>) -> ClusterPlan {
    let mut hub = at_rest(true).await;
    hub.edit(|spec| spec.rollout = Some(move_to(MoveStage::Go, 36)));
    hub.settle().await;
    hub.edit(|spec| spec.rollout = Some(move_to(MoveStage::Back, 35)));
    let seen = EksObservation { insights, ..hub.look(None).await };
    plan(&hub.object, &seen, hub.clock.now())
}

#[test]
fn an_insight_about_rollbacks_blocks_at_error_and_at_unknown_and_an_old_one_is_looked_at_again() {
    let insight = |category: &str, status: &str, fresh: bool| EksInsight {
        id: "i-1".to_owned(),
        name: "Kubelet version skew".to_owned(),
        category: category.to_owned(),
        status: status.to_owned(),
        kubernetes_version: Some(minor(35)),
        // Later than any clock of these tests, or never.
        refreshed_at: fresh.then_some("2027-01-01T00:00:00Z".parse().unwrap()),
        message: "1 node group is outside of the skew".to_owned(),
        resources: Vec::new(),
        deprecated: Vec::new(),
    };
    let goes = "update-version";
    let table = [
        ("ROLLBACK_READINESS", "PASSING", false, Some(goes)),
        ("ROLLBACK_READINESS", "WARNING", false, Some(goes)),
        ("ROLLBACK_READINESS", "ERROR", true, None),
        ("ROLLBACK_READINESS", "UNKNOWN", true, None),
        ("ROLLBACK_READINESS", "ERROR", false, Some("insights/refresh")),
        ("ROLLBACK_READINESS", "UNKNOWN", false, Some("insights/refresh")),
        ("UPGRADE_READINESS", "ERROR", true, Some(goes)),
    ];
    for (category, status, fresh, step) in table {
        let planned = run(plan_back(Seen::Present(vec![insight(category, status, fresh)])));
        let begins = planned.steps.first().map(|step| step.id.as_str());
        assert_eq!(begins, step, "{category} {status} {fresh}: {:?}", planned.report);
        assert_eq!(says(&planned, "RollbackInsight").is_some(), step != Some(goes), "{category} {status}");
    }
    let planned = run(plan_back(Seen::Unknown { why: "AccessDenied".to_owned() }));
    assert!(planned.steps.is_empty(), "what could not be read passes for nothing");
}

#[test]
fn a_cluster_that_was_back_and_was_upgraded_by_somebody_is_reported_and_not_moved_again() {
    run(async {
        let mut hub = at_rest(true).await;
        hub.edit(|spec| spec.rollout = Some(move_to(MoveStage::Back, 35)));
        hub.eks.edit("acme-12345678", |cluster| cluster.cluster.version = minor(36));
        hub.object.status.as_mut().unwrap().evidence = Some(arrived(MoveStage::Back, &hub));
        let before = hub.eks.effects().len();
        let planned = hub.turn(None).await;
        assert!(says(&planned, "AheadOfSpec").is_some(), "{:?}", planned.report);
        assert_eq!(effects_since(&hub, before), Vec::<String>::new());
    });
}

#[test]
fn a_move_begins_nothing_disruptive_outside_the_tenants_window() {
    run(async {
        let mut hub = at_rest(false).await;
        hub.edit(|spec| {
            // The clock stands at noon on a Tuesday.
            spec.maintenance = Some(
                serde_json::from_value(serde_json::json!({
                    "timeZone": "UTC", "windows": [{"days": ["Wed"], "start": "02:00", "duration": "4h"}],
                }))
                .unwrap(),
            );
            spec.rollout = Some(move_to(MoveStage::Go, 36));
        });
        let planned = hub.turn(None).await;
        assert!(
            planned.steps.is_empty() && says(&planned, "WaitingForWindow").is_some(),
            "{:?}",
            planned.report
        );
        hub.settle().await;
        assert_eq!(minors(&hub).await, (36, vec![36]));
        assert_eq!(hub.faults, Vec::<String>::new());
    });
}
