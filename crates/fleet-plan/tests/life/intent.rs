//! The stored step: it stays until what it was to bring about was seen, and not a look longer.

use fleet_api::{
    conditions,
    eks::{EksClusterStatus, EksObservation, EksUpdate, EksUpdateStatus, PartStatus},
    step::Seen,
    v1alpha1::{StepStatus, TenantCluster},
};
use fleet_plan::cluster::{ClusterPlan, begin, note_refusal, plan};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    hub::{Hub, class, spec},
    run,
};

const TENANT: &str = "arn:aws:iam::444455556666:role/acme";

/// A cluster at rest but for the proof of its baseline, which the tenant's access waits for.
fn unproven() -> (TenantCluster, EksObservation, Timestamp) {
    run(async {
        let mut hub = Hub::new(spec(&class(false, false), "1.35"));
        hub.settle().await;
        let mut seen = hub.look(None).await;
        let mut cluster = hub.object.clone();
        let status = cluster.status.as_mut().unwrap();
        status.conditions.retain(|condition| condition.type_ != conditions::PROVEN);
        if let Seen::Present(entries) = &mut seen.access_entries {
            entries.retain(|entry| entry.principal_arn != TENANT);
        }
        (cluster, seen, hub.clock.now())
    })
}

/// The plan of a cluster whose status holds a step of this id.
fn planned(
    step: &str,
    update_id: Option<&str>,
    change: impl FnOnce(&mut TenantCluster, &mut EksObservation),
) -> ClusterPlan {
    let (mut cluster, mut seen, now) = unproven();
    change(&mut cluster, &mut seen);
    cluster.status.as_mut().unwrap().step = Some(StepStatus {
        id: step.to_owned(),
        summary: format!("do {step}"),
        update_id: update_id.map(str::to_owned),
        started_at: Time(now - SignedDuration::from_mins(3)),
        attempts: 1,
    });
    plan(&cluster, &seen, now)
}

/// Whether the status goes on holding the step.
fn keeps(step: &str, change: impl FnOnce(&mut TenantCluster, &mut EksObservation)) -> bool {
    let planned = planned(step, None, change);
    let unfinished = planned.verdicts.iter().any(|verdict| verdict.status != Some(true));
    assert!(unfinished, "{step}: with all at rest no step is kept, and the test shows nothing");
    planned.in_flight.is_some_and(|kept| kept.id == step)
}

fn keeps_update(change: impl FnOnce(&mut EksObservation)) -> bool {
    let planned = planned("addon/coredns/update", Some("update-7"), |_, seen| change(seen));
    planned.in_flight.is_some_and(|kept| kept.update_id.as_deref() == Some("update-7"))
}

fn addon(seen: &mut EksObservation, name: &str, status: PartStatus) {
    if let Seen::Present(addons) = &mut seen.addons {
        addons.iter_mut().filter(|addon| addon.name == name).for_each(|addon| addon.status = status.clone());
    }
}

fn group(seen: &mut EksObservation, status: PartStatus) {
    if let Seen::Present(groups) = &mut seen.nodegroups {
        groups.iter_mut().for_each(|group| group.status = status.clone());
    }
}

fn cluster(seen: &mut EksObservation, status: EksClusterStatus) {
    if let Seen::Present(cluster) = &mut seen.cluster {
        cluster.status = status;
    }
}

fn update(status: EksUpdateStatus) -> Seen<EksUpdate> {
    Seen::Present(EksUpdate {
        id: "update-7".to_owned(),
        kind: "AddonUpdate".to_owned(),
        part: Some("addon coredns".to_owned()),
        status,
        created_at: None,
        errors: Vec::new(),
    })
}

fn unread<T>() -> Seen<T> {
    Seen::Unknown { why: "the connection broke".to_owned() }
}

#[test]
fn a_step_is_dropped_as_soon_as_what_it_made_is_up_while_the_proof_is_still_to_come() {
    for step in [
        "create-cluster",
        "addon/coredns/create",
        "addon/vpc-cni/create",
        "nodegroup/workers/create",
        "launch-template/acme-12345678-workers/create",
        "access-entry/arn:aws:iam::444455556666:role/platform/create",
        "access-entry/arn:aws:iam::444455556666:role/platform/associate/AmazonEKSViewPolicy",
        "pod-identity/kube-system/ebs/create",
    ] {
        assert!(!keeps(step, |_, _| {}), "{step}");
    }
}

#[test]
fn a_step_stays_until_its_effect_was_seen() {
    assert!(keeps("create-cluster", |_, seen| cluster(seen, EksClusterStatus::Creating)));
    assert!(keeps("create-cluster", |cluster, seen| {
        cluster.status.as_mut().unwrap().versions.created_at = None;
        seen.cluster = Seen::Absent;
    }));
    assert!(keeps("create-cluster", |_, seen| seen.cluster = unread()));
    assert!(keeps("addon/coredns/create", |_, seen| addon(seen, "coredns", PartStatus::Creating)));
    assert!(keeps("addon/coredns/create", |_, seen| seen.addons = Seen::Present(Vec::new())));
    assert!(keeps("addon/coredns/create", |_, seen| seen.addons = unread()));
    assert!(keeps("addon/coredns/create", |_, seen| seen.cluster = unread()));
    assert!(keeps("nodegroup/workers/create", |_, seen| group(seen, PartStatus::Creating)));
    assert!(keeps("nodegroup/workers/create", |_, seen| seen.nodegroups = Seen::Present(Vec::new())));
    let entry = format!("access-entry/{TENANT}/create");
    assert!(keeps(&entry, |_, _| {}));
    assert!(keeps("pod-identity/kube-system/ebs/create", |_, seen| seen.pod_identities = unread()));
}

#[test]
fn a_change_stays_while_it_is_wanted_or_in_motion() {
    let truncate = |cluster: &mut TenantCluster, _: &mut EksObservation| {
        cluster.spec.eks.as_mut().unwrap().logging.truncate(1);
    };
    assert!(keeps("config/logging", truncate), "the cluster still has the old logging");
    assert!(keeps("config/logging", |_, seen| cluster(seen, EksClusterStatus::Updating)));
    assert!(!keeps("config/logging", |_, _| {}));
    let old = |_: &mut TenantCluster, seen: &mut EksObservation| {
        if let Seen::Present(groups) = &mut seen.nodegroups {
            groups.iter_mut().for_each(|group| group.version = "1.34".parse().ok());
        }
    };
    assert!(keeps("nodegroup/workers/version", old));
    assert!(keeps("nodegroup/workers/version", |_, seen| group(seen, PartStatus::Updating)));
    assert!(!keeps("nodegroup/workers/version", |_, _| {}));
    assert!(!keeps("addon/coredns/update", |_, _| {}));
    assert!(!keeps("update-version", |_, _| {}), "the cluster is at the wanted version");
    assert!(keeps("update-version", |cluster, _| cluster.spec.version = "1.36".parse().unwrap()));
}

#[test]
fn the_removal_of_a_part_ends_when_the_part_is_gone() {
    assert!(keeps("addon/coredns/delete", |_, seen| addon(seen, "coredns", PartStatus::Deleting)));
    assert!(!keeps("addon/gone/delete", |_, _| {}));
    assert!(!keeps("nodegroup/gone/delete", |_, _| {}));
    assert!(!keeps("launch-template/gone/delete", |_, _| {}));
    assert!(keeps("addon/gone/delete", |_, seen| seen.addons = unread()));
}

#[test]
fn an_update_is_followed_until_it_was_seen_to_end() {
    assert!(keeps_update(|seen| seen.update = update(EksUpdateStatus::InProgress)));
    assert!(keeps_update(|seen| seen.update = update(EksUpdateStatus::Other("Cancelling".to_owned()))));
    assert!(keeps_update(|seen| seen.update = unread()));
    // A look that failed says nothing of the update, and its id is the only way back to it.
    assert!(keeps_update(|seen| seen.cluster = unread()));
    for ended in [EksUpdateStatus::Successful, EksUpdateStatus::Failed, EksUpdateStatus::Cancelled] {
        assert!(!keeps_update(|seen| seen.update = update(ended)));
    }
    assert!(!keeps_update(|seen| seen.update = Seen::Absent));
}

#[test]
fn the_end_of_an_update_is_not_missed_while_a_deletion_waits_for_its_confirmation() {
    let deleting = |cluster: &mut TenantCluster, seen: &mut EksObservation, status| {
        cluster.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        cluster.spec.deletion_confirmed = false;
        cluster.spec.eks.as_mut().unwrap().deletion_protection = true;
        seen.update = update(status);
    };
    let running = planned("addon/coredns/update", Some("update-7"), |cluster, seen| {
        deleting(cluster, seen, EksUpdateStatus::InProgress);
    });
    assert_eq!(running.in_flight.unwrap().update_id.as_deref(), Some("update-7"));
    assert!(running.report.iter().any(|entry| entry.code == "DeletionUnconfirmed"));
    let failed = planned("addon/coredns/update", Some("update-7"), |cluster, seen| {
        deleting(cluster, seen, EksUpdateStatus::Failed);
    });
    assert_eq!(failed.in_flight, None);
    assert_eq!(failed.last_update.as_deref(), Some("update-7"));
    assert_eq!(failed.failures[0].step, "addon/coredns/update");
}

#[test]
fn an_upgrade_that_the_cluster_showed_before_its_update_ended_is_not_waited_for() {
    let waits = |moved_at: &str| {
        let planned = planned("update-version", Some("update-7"), |cluster, seen| {
            cluster.spec.version = "1.37".parse().unwrap();
            let versions = &mut cluster.status.as_mut().unwrap().versions;
            versions.upgrade_completed_at = Some(Time(moved_at.parse().unwrap()));
            seen.update = update(EksUpdateStatus::Successful);
        });
        planned.report.iter().any(|entry| entry.code == "WaitingForRead")
    };
    // The step began on the 24th: what moved a day before it was an earlier hop.
    assert!(waits("2026-11-23T12:00:00Z"));
    assert!(!waits("2026-11-25T12:00:00Z"));
}

#[test]
fn a_step_that_was_refused_is_no_longer_under_way() {
    let (mut cluster, mut seen, now) = unproven();
    cluster.spec.eks.as_mut().unwrap().logging.truncate(1);
    let first = plan(&cluster, &seen, now).steps.pop().unwrap();
    let mut status = cluster.status.clone().unwrap();
    begin(&mut status, &first, now);
    assert_eq!(status.step.as_ref().map(|step| step.id.as_str()), Some("config/logging"));
    note_refusal(&cluster, &mut status, &first, "Denied", "not allowed", now);
    assert_eq!(status.step, None);
    cluster.status = Some(status);
    seen.update = Seen::Absent;
    let next = plan(&cluster, &seen, now);
    assert_eq!((next.steps.len(), next.in_flight), (0, None));
    assert!(next.report.iter().any(|entry| entry.code == "Retrying"), "{:?}", next.report);
}
