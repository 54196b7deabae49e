//! The baseline engine against real API servers with their controllers.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use fleet_exec::{
    baseline::{Engine, EngineConfig, EngineHandle, KnownProof, Reach, Stage},
    clock::system_clock,
    probes::Verdict,
    remote::{Limits, Remote},
};
use fleet_render::{Expect, Phase};
use k8s_openapi::api::{
    admissionregistration::v1::ValidatingAdmissionPolicy,
    core::v1::{LimitRange, Namespace, Pod, ResourceQuota},
    networking::v1::NetworkPolicy,
    rbac::v1::RoleBinding,
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use local_control_plane::{Minor, test_support::TestControlPlane};
use serde_json::{Value, json};

use crate::support::{engine, eventually, hardened, object, remote_from, report, sealed};

async fn start(minor: Minor) -> (TestControlPlane, Remote) {
    let plane = TestControlPlane::start(minor).await.expect("a control plane starts");
    let remote = remote_from(&plane.control_plane.admin_kubeconfig(), Limits::default());
    (plane, remote)
}

/// Everything that was sent but watches, and the writes of it.
fn sent(remote: &Remote) -> (u64, u64) {
    (remote.traffic().requests(), remote.traffic().writes.load(Ordering::Relaxed))
}

async fn handed_over(engine: &EngineHandle) {
    report(engine, "access is handed over", |report| {
        report.stage == Stage::Watching && report.access_handed_over && report.hardened() && report.proven()
    })
    .await;
}

fn merge(patch: Value) -> Patch<Value> {
    Patch::Merge(patch)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_cluster_is_hardened_proven_and_only_then_handed_over() {
    let (plane, remote) = start(Minor::V1_35).await;
    let client = another(&plane).client();
    let mut bundle = hardened("acme");
    // A policy that does not bite: the probe that must be denied is let through.
    let biting = bundle.probes[0].clone();
    bundle.probes[0].expect = Expect::Denied { by: "a policy that is not there".to_owned() };
    let engine = engine(&remote);
    let begun = Instant::now();
    engine.set_target(sealed(bundle.clone()));
    let seen = report(&engine, "access is withheld", |report| report.stage == Stage::AccessWithheld).await;
    eprintln!("hardened {} objects in {:?}", seen.applied, begun.elapsed());
    assert!(seen.hardened() && !seen.proven() && !seen.access_handed_over);
    assert_eq!((seen.applied, seen.objects), (bundle.objects.len() - 1, bundle.objects.len()));
    let access: Api<RoleBinding> = Api::namespaced(client.clone(), "acme");
    assert!(access.get_opt("tenant").await.unwrap().is_none(), "nobody gets in before the proof");
    let verdict = |seen: &fleet_exec::baseline::EngineReport, control: &str| {
        seen.verdicts.iter().find(|verdict| verdict.control == control).unwrap().verdict
    };
    assert_eq!(verdict(&seen, "T-1"), Verdict::Fail);
    assert_eq!(verdict(&seen, "T-2"), Verdict::Pass);
    assert_eq!(verdict(&seen, "T-3"), Verdict::NotProven);

    bundle.probes[0] = biting;
    let before = sent(&remote);
    engine.set_target(sealed(bundle.clone()));
    handed_over(&engine).await;
    assert_eq!(sent(&remote).1 - before.1, 1, "of the whole bundle only the access had to be written");
    assert!(access.get_opt("tenant").await.unwrap().is_some());
    let seen = engine.report().borrow().clone();
    assert_eq!(verdict(&seen, "T-1"), Verdict::Pass);
    assert_eq!(seen.counts.not_proven, 1);
    assert!(seen.observed_at.is_some());

    // The quota was live before anybody was let in.
    let quotas: Api<ResourceQuota> = Api::namespaced(client, "acme");
    let quota = quotas.get("quota").await.unwrap();
    assert_eq!(quota.spec.unwrap().hard, quota.status.unwrap().hard);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_cluster_is_sent_nothing_and_a_restart_writes_nothing() {
    let (plane, remote) = start(Minor::V1_36).await;
    let client = another(&plane).client();
    let mut bundle = hardened("acme");
    let first = sealed(bundle.clone());
    let started = engine(&remote);
    started.set_target(Arc::clone(&first));
    handed_over(&started).await;
    eventually("every kind is watched", || async {
        (remote.traffic().watches.load(Ordering::Relaxed) >= 9).then_some(())
    })
    .await;

    // The same target again, and what moves in a cluster that is used: pods come, and quotas count them.
    let before = sent(&remote);
    started.set_target(Arc::clone(&first));
    let busy = another(&plane).client();
    let pods: Api<Pod> = Api::namespaced(busy.clone(), "acme");
    pods.create(&PostParams::default(), &harmless_pod("one")).await.unwrap();
    let quotas: Api<ResourceQuota> = Api::namespaced(busy.clone(), "acme");
    eventually("the quota counts the pod", || async {
        let used = quotas.get("quota").await.unwrap().status?.used?.get("pods")?.0.clone();
        (used == "1").then_some(())
    })
    .await;
    // A change to another object of ours arrives after the one of the quota, on a watch of the same connection.
    let limits: Api<LimitRange> = Api::namespaced(busy.clone(), "acme");
    limits.delete("limits", &DeleteParams::default()).await.unwrap();
    report(&started, "the limits are back", |report| report.repairs == 1 && report.applied == report.objects)
        .await;
    let after = sent(&remote);
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1), "one apply for the deletion, nothing else");
    let proof = started.report().borrow().clone();
    started.stop().await;

    // A restart that remembers the proof reads each kind once and writes nothing, not even as a rehearsal.
    let again = another(&plane);
    let mut config = EngineConfig::new("test", system_clock());
    config.proof = Some(KnownProof {
        revision: proof.proven_revision.clone().unwrap(),
        at: proof.proven_at.unwrap(),
        counts: proof.counts,
    });
    let restarted = Engine::spawn(again.clone(), config);
    restarted.set_target(Arc::clone(&first));
    handed_over(&restarted).await;
    assert_eq!(again.traffic().writes.load(Ordering::Relaxed), 0);
    assert_eq!(again.traffic().rehearsals.load(Ordering::Relaxed), 0);
    assert_eq!(again.traffic().reads.load(Ordering::Relaxed), 11, "one list for each kind of the catalogue");

    // A new revision writes what differs, deletes what is gone, and leaves the namespaces.
    bundle.objects.retain(|object| object.name != "dns");
    bundle.objects.push(object(
        Phase::Network,
        json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": "web", "namespace": "acme" }, "spec": { "policyTypes": ["Ingress"] } }),
    ));
    let foreign: Api<NetworkPolicy> = Api::namespaced(client.clone(), "acme");
    let theirs = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {
        "name": "theirs", "labels": { "app.kubernetes.io/managed-by": "fleet" } }, "spec": {} });
    foreign.create(&PostParams::default(), &serde_json::from_value(theirs).unwrap()).await.unwrap();
    restarted.set_target(sealed(bundle.clone()));
    handed_over(&restarted).await;
    eventually("what is not wanted is gone", || async {
        foreign.get_opt("dns").await.unwrap().is_none().then_some(())
    })
    .await;
    assert!(foreign.get_opt("web").await.unwrap().is_some());
    assert!(foreign.get_opt("theirs").await.unwrap().is_some(), "our label alone makes nothing ours");
    assert_eq!(again.traffic().writes.load(Ordering::Relaxed), 2, "one apply and one deletion");

    let mut elsewhere = hardened("beta");
    elsewhere.probes.clear();
    restarted.set_target(sealed(elsewhere));
    let seen =
        report(&restarted, "the old namespace is kept", |report| !report.kept_namespaces.is_empty()).await;
    assert_eq!(seen.kept_namespaces, ["acme"]);
    let namespaces: Api<Namespace> = Api::all(client);
    assert!(namespaces.get("acme").await.unwrap().metadata.deletion_timestamp.is_none());
    restarted.stop().await;
}

fn harmless_pod(name: &str) -> Pod {
    serde_json::from_value(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": {
        "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{ "name": "c", "image": "registry.example.com/c:1", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } } }] } }))
    .unwrap()
}

/// Another way to the same server, whose requests are not counted with the engine's.
fn another(plane: &TestControlPlane) -> Remote {
    remote_from(&plane.control_plane.admin_kubeconfig(), Limits::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_deleted_changed_or_added_is_put_back() {
    let (plane, remote) = start(Minor::V1_35).await;
    let bundle = sealed(hardened("acme"));
    let engine = engine(&remote);
    engine.set_target(Arc::clone(&bundle));
    handed_over(&engine).await;
    let other = another(&plane).client();
    let all_well = |repairs: u64| {
        move |report: &fleet_exec::baseline::EngineReport| {
            report.repairs == repairs && report.applied == report.objects && report.hardened()
        }
    };

    let mut repairs = 0;
    for wanted in bundle.objects.iter().filter(|object| object.phase > Phase::Namespaces) {
        let group = kube::core::GroupVersionKind::try_from(kube::core::TypeMeta {
            api_version: wanted.api_version.clone(),
            kind: wanted.kind.clone(),
        })
        .unwrap();
        let resource = kube::core::ApiResource::from_gvk(&group);
        let api: Api<kube::core::DynamicObject> = match &wanted.namespace {
            Some(namespace) => Api::namespaced_with(other.clone(), namespace, &resource),
            None => Api::all_with(other.clone(), &resource),
        };
        api.delete(&wanted.name, &DeleteParams::default()).await.unwrap();
        repairs += 1;
        report(&engine, &format!("{} {} is back", wanted.kind, wanted.name), all_well(repairs)).await;
        assert!(api.get_opt(&wanted.name).await.unwrap().is_some(), "{}", wanted.name);
    }

    let policies: Api<NetworkPolicy> = Api::namespaced(other.clone(), "acme");
    let manager = PatchParams { field_manager: Some("meddler".to_owned()), ..PatchParams::default() };
    let before = sent(&remote);
    policies.patch("dns", &manager, &merge(json!({ "spec": { "egress": [{}] } }))).await.unwrap();
    repairs += 1;
    report(&engine, "the change is undone", all_well(repairs)).await;
    let after = sent(&remote);
    assert_eq!((after.0 - before.0, after.1 - before.1), (2, 1), "one read and one apply");

    // An addition that a server-side apply would leave where it is.
    policies.patch("default-deny", &manager, &merge(json!({ "spec": { "egress": [{}] } }))).await.unwrap();
    repairs += 1;
    report(&engine, "the addition is undone", all_well(repairs)).await;
    assert_eq!(policies.get("default-deny").await.unwrap().spec.unwrap().egress, None);

    let admission: Api<ValidatingAdmissionPolicy> = Api::all(other.clone());
    let skip = json!([{ "op": "add", "path": "/spec/matchConditions/-",
        "value": { "name": "never", "expression": "false" } }]);
    admission
        .patch("acme-no-forbidden-maps", &manager, &Patch::<()>::Json(serde_json::from_value(skip).unwrap()))
        .await
        .unwrap();
    repairs += 1;
    report(&engine, "the condition is gone", all_well(repairs)).await;
    let spec = admission.get("acme-no-forbidden-maps").await.unwrap().spec.unwrap();
    assert_eq!(spec.match_conditions.unwrap().len(), 1);

    // Without its label an object is out of the watch's sight, and comes back into it.
    let unlabel = json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": null } } });
    let limits: Api<LimitRange> = Api::namespaced(other.clone(), "acme");
    limits.patch("limits", &manager, &merge(unlabel)).await.unwrap();
    repairs += 1;
    report(&engine, "the label is back", all_well(repairs)).await;

    // A binding that leads elsewhere cannot be changed, only made anew.
    let bindings: Api<RoleBinding> = Api::namespaced(other.clone(), "acme");
    let mut elsewhere = bindings.get("probe").await.unwrap();
    elsewhere.role_ref.name = "cluster-admin".to_owned();
    elsewhere.metadata.resource_version = None;
    elsewhere.metadata.uid = None;
    elsewhere.metadata.managed_fields = None;
    engine.set_paused(true);
    report(&engine, "it is paused", |report| report.stage == Stage::Paused).await;
    bindings.delete("probe", &DeleteParams::default()).await.unwrap();
    bindings.create(&PostParams::default(), &elsewhere).await.unwrap();
    let seen = report(&engine, "the loss is seen", |report| report.applied < report.objects).await;
    assert_eq!(seen.repairs, repairs, "a paused engine changes nothing");
    engine.set_paused(false);
    repairs += 1;
    report(&engine, "the binding leads where it should", all_well(repairs)).await;
    assert_eq!(bindings.get("probe").await.unwrap().role_ref.name, "acme-tenant");

    // The whole namespace, with everything in it.
    let namespaces: Api<Namespace> = Api::all(other.clone());
    namespaces.delete("acme", &DeleteParams::default()).await.unwrap();
    report(&engine, "the namespace is missed", |report| report.applied < report.objects).await;
    report(&engine, "the namespace is back with everything in it", |report| {
        report.hardened() && report.applied == report.objects
    })
    .await;
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_forger_hid_while_nobody_watched_is_found_by_a_full_check() {
    let (plane, remote) = start(Minor::V1_36).await;
    let bundle = sealed(hardened("acme"));
    let first = engine(&remote);
    first.set_target(Arc::clone(&bundle));
    handed_over(&first).await;
    first.stop().await;

    // An administrator of the cluster opens the policy, and then takes its name off the change.
    let policies: Api<NetworkPolicy> = Api::namespaced(another(&plane).client(), "acme");
    let honest = policies.get("default-deny").await.unwrap().metadata.managed_fields;
    let manager = PatchParams { field_manager: Some("meddler".to_owned()), ..PatchParams::default() };
    policies.patch("default-deny", &manager, &merge(json!({ "spec": { "egress": [{}] } }))).await.unwrap();
    let forged = merge(json!({ "metadata": { "managedFields": honest } }));
    policies.patch("default-deny", &manager, &forged).await.unwrap();
    let entries = policies.get("default-deny").await.unwrap().metadata.managed_fields.unwrap();
    assert!(entries.iter().all(|entry| entry.manager.as_deref() != Some("meddler")), "the forgery took");

    let again = another(&plane);
    let second = engine(&again);
    second.set_target(bundle);
    handed_over(&second).await;
    assert_eq!(again.traffic().writes.load(Ordering::Relaxed), 0, "a restart takes what it finds on trust");
    let rehearsed = || again.traffic().rehearsals.load(Ordering::Relaxed);
    let before = rehearsed();
    second.request_check();
    report(&second, "the addition is undone", |report| report.repairs == 1 && report.hardened()).await;
    assert_eq!(policies.get("default-deny").await.unwrap().spec.unwrap().egress, None);

    // The next check finds everything verified, and rehearses nothing. Namespaces and service accounts are shared.
    eventually("all nine are verified", || async { (rehearsed() == before + 9).then_some(()) }).await;
    let reads = again.traffic().reads.load(Ordering::Relaxed);
    second.request_check();
    eventually("every kind was read again", || async {
        (again.traffic().reads.load(Ordering::Relaxed) >= reads + 11).then_some(())
    })
    .await;
    report(&second, "all is well", |report| report.stage == Stage::Watching && report.hardened()).await;
    assert_eq!(rehearsed(), before + 9);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_fought_over_is_reported_with_the_other_manager_and_left() {
    let (plane, remote) = start(Minor::V1_36).await;
    let engine = engine(&remote);
    engine.set_target(sealed(hardened("acme")));
    handed_over(&engine).await;
    let other = another(&plane).client();
    let quotas: Api<ResourceQuota> = Api::namespaced(other, "acme");
    let manager = PatchParams { field_manager: Some("quota-operator".to_owned()), ..PatchParams::default() };
    let lift = merge(json!({ "spec": { "hard": { "pods": "1000" } } }));
    for round in 1..=3 {
        quotas.patch("quota", &manager, &lift).await.unwrap();
        report(&engine, "it is put back", |report| {
            report.repairs == round && report.applied == report.objects
        })
        .await;
    }
    quotas.patch("quota", &manager, &lift).await.unwrap();
    let seen = report(&engine, "there is a fight", |report| !report.fights.is_empty()).await;
    assert_eq!(seen.fights[0].other, "quota-operator");
    assert_eq!(seen.fights[0].object, "ResourceQuota acme/quota");
    assert_eq!(seen.repairs, 3);
    assert!(!seen.hardened());
    let pods = quotas.get("quota").await.unwrap().spec.unwrap().hard.unwrap()["pods"].0.clone();
    assert_eq!(pods, "1k", "it is left as the other wants it");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_is_reported_and_drift_of_that_time_is_put_back_when_it_returns() {
    let (mut plane, _) = start(Minor::V1_35).await;
    let limits =
        Limits { connect: Duration::from_secs(1), attempt: Duration::from_secs(5), ..Limits::default() };
    let remote = remote_from(&plane.control_plane.admin_kubeconfig(), limits);
    let engine = engine(&remote);
    engine.set_target(sealed(hardened("acme")));
    handed_over(&engine).await;
    let written = sent(&remote).1;
    plane.control_plane.restart_as(Minor::V1_36).await.unwrap();
    report(&engine, "the server is back", |report| report.reach == Reach::Up && report.hardened()).await;
    let other = another(&plane).client();
    let policies: Api<NetworkPolicy> = Api::namespaced(other, "acme");
    policies.delete("default-deny", &DeleteParams::default()).await.unwrap();
    report(&engine, "the policy is back", |report| report.repairs == 1 && report.applied == report.objects)
        .await;
    assert_eq!(sent(&remote).1 - written, 1);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_repaired_and_the_figures_are_told() {
    let (plane, remote) = start(Minor::V1_36).await;
    let mut bundle = hardened("acme");
    bundle.probes.clear();
    for number in 0..40 {
        bundle.objects.push(object(
            Phase::Network,
            json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": { "name": format!("extra-{number}"), "namespace": "acme" },
                "spec": { "policyTypes": ["Ingress"] } }),
        ));
    }
    let bundle = sealed(bundle);
    let engine = engine(&remote);
    let begun = Instant::now();
    engine.set_target(Arc::clone(&bundle));
    handed_over(&engine).await;
    let took = begun.elapsed();
    eprintln!("first bundle: {} objects in {took:?}, {:?} requests", bundle.objects.len(), sent(&remote));
    let other = another(&plane).client();
    let policies: Api<NetworkPolicy> = Api::namespaced(other, "acme");
    let mut times = Vec::new();
    for number in 0..40_u64 {
        let begun = Instant::now();
        policies.delete(&format!("extra-{number}"), &DeleteParams::default()).await.unwrap();
        report(&engine, "it is back", |report| {
            report.repairs == number + 1 && report.applied == report.objects
        })
        .await;
        times.push(begun.elapsed());
    }
    times.sort();
    eprintln!(
        "drift to repair over 40 deletions: p50 {:?}, p95 {:?}, worst {:?}",
        times[20], times[38], times[39]
    );
    engine.stop().await;
}
