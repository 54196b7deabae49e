//! Deletions that begin at any moment of a life: nothing is left, and nothing is made again.

use fleet_api::KubernetesVersion;
use fleet_provider::fake::{Fault, FaultRule};

use crate::{
    hub::{Crash, Hub, class, spec},
    run,
};

/// A life up to the given step, where the process ends as told; whether it came that far. The spec wants an upgrade
/// and other settings once the cluster is up.
async fn lived_until(auto_mode: bool, at: usize, crash: Crash) -> Option<Hub> {
    let mut hub = Hub::new(spec(&class(auto_mode, true), "1.35"));
    hub.crash = Some((at, crash));
    if hub.settle_unless(|hub| hub.crashed).await.is_none() {
        return Some(hub);
    }
    hub.edit(|spec| {
        spec.version = KubernetesVersion::from_minor(36);
        spec.eks.as_mut().unwrap().logging.truncate(2);
    });
    hub.settle_unless(|hub| hub.crashed).await.is_none().then_some(hub)
}

/// Deletes it, with another crash on the way, and looks that nothing is left. Gives the number of steps that took.
async fn deleted(mut hub: Hub, crash: Option<(usize, Crash)>, told: &str) -> usize {
    let begun = hub.begun;
    hub.crash = crash.map(|(at, crash)| (begun + at, crash));
    hub.delete();
    let last = hub.settle().await;
    assert!(last.deleted, "{told}: {:?}", last.report);
    assert_eq!(hub.eks.clusters().len(), 0, "{told}");
    assert_eq!(hub.eks.launch_templates(), 0, "{told}");
    assert!(hub.count("CreateCluster") <= 1, "{told}");
    assert_eq!(hub.faults, Vec::<String>::new(), "{told}");
    let status = hub.object.status.as_ref().unwrap();
    assert_eq!(status.step, None, "{told}: a step is left of a cluster that is gone");
    hub.begun - begun
}

fn at_any_step(auto_mode: bool) {
    run(async {
        let mut stages = 0;
        loop {
            stages += 1;
            if lived_until(auto_mode, stages, Crash::AfterRecord).await.is_none() {
                break;
            }
            for crash in Crash::ALL {
                let told = format!("{crash:?} at step {stages}");
                let hub = lived_until(auto_mode, stages, crash).await.unwrap();
                let steps = deleted(hub, None, &told).await;
                // One crash more on the way out; which one moves with the stage, so that all are met.
                if steps > 0 {
                    let again = (stages % steps + 1, Crash::ALL[stages / steps % 3]);
                    let told = format!("{told}, then {again:?}");
                    let hub = lived_until(auto_mode, stages, crash).await.unwrap();
                    deleted(hub, Some(again), &told).await;
                }
            }
        }
        assert!(stages > 6, "{stages} stages are no life");
    });
}

#[test]
fn a_deletion_that_begins_after_any_step_with_node_groups_leaves_nothing() {
    at_any_step(false);
}

#[test]
fn a_deletion_that_begins_after_any_step_in_auto_mode_leaves_nothing() {
    at_any_step(true);
}

#[test]
fn a_crash_at_every_step_of_a_deletion_leaves_nothing() {
    run(async {
        for auto_mode in [false, true] {
            let whole = lived_until(auto_mode, usize::MAX, Crash::AfterCall).await;
            assert!(whole.is_none(), "there is no such step");
            let mut hub = Hub::new(spec(&class(auto_mode, true), "1.35"));
            hub.settle().await;
            let steps = deleted(hub, None, "no crash").await;
            for at in 1..=steps {
                for crash in Crash::ALL {
                    let mut hub = Hub::new(spec(&class(auto_mode, true), "1.35"));
                    hub.settle().await;
                    deleted(hub, Some((at, crash)), &format!("{crash:?} at step {at} of the deletion")).await;
                }
            }
        }
    });
}

#[test]
fn an_update_that_is_under_way_ends_before_anything_is_taken_down() {
    run(async {
        let mut hub = Hub::new(spec(&class(false, true), "1.35"));
        hub.settle().await;
        hub.edit(|spec| spec.version = KubernetesVersion::from_minor(36));
        hub.settle_unless(|hub| hub.count("UpdateClusterVersion") == 1).await;
        hub.delete();
        let planned = hub.turn(None).await;
        assert_eq!(planned.steps, []);
        assert!(planned.report.iter().any(|entry| entry.code == "WaitingForUpdate"), "{:?}", planned.report);
        deleted(hub, None, "during an upgrade").await;
    });
}

#[test]
fn a_creation_that_no_look_shows_yet_is_waited_for_and_taken_down() {
    run(async {
        for crash in [Crash::AfterCall, Crash::AfterRecord] {
            let mut hub = Hub::new(spec(&class(true, false), "1.35"));
            hub.eks.inject(FaultRule::once("CreateCluster", Fault::StaleReads { reads: 4 }));
            hub.crash = Some((1, crash));
            hub.settle_unless(|hub| hub.crashed).await;
            hub.delete();
            let planned = hub.turn(None).await;
            assert!(
                planned.report.iter().any(|entry| entry.code == "WaitingForRead"),
                "{:?}",
                planned.report
            );
            assert_eq!(
                deleted(hub, None, "a creation that does not show").await,
                1,
                "the cluster is deleted"
            );
        }
    });
}

#[test]
fn a_cluster_that_is_still_being_made_is_deleted_when_it_is_up() {
    run(async {
        let mut hub = Hub::new(spec(&class(false, true), "1.35"));
        hub.settle_unless(|hub| hub.count("CreateCluster") == 1).await;
        hub.delete();
        let planned = hub.turn(None).await;
        assert_eq!(planned.steps, []);
        assert!(planned.report.iter().any(|entry| entry.code == "WaitingForCluster"), "{:?}", planned.report);
        deleted(hub, None, "during the creation").await;
    });
}
