//! The built-in catalogue through the engine, on both minors: what is rendered arrives, bites and is proven.

use std::{sync::Arc, time::Instant};

use fleet_api::v1alpha1::{BaselineSpec, TenantClusterSpec};
use fleet_exec::{
    baseline::{EngineReport, Stage},
    probes::Verdict,
    remote::Limits,
};
use fleet_render::{Bundle, Catalogue, Phase, RenderInput, render};
use kube::{Api, api::DeleteParams, core::DynamicObject};
use local_control_plane::{Minor, test_support::TestControlPlane};

use crate::support::{engine, remote_from, report};

const REGULATED: &str = r"
tenant: acme-payments
tenantUid: 3f6d8f0e-6d0b-4e0e-9b5c-7f1f7e6a1c01
owner: {team: payments, contact: payments@acme.example}
class: eks-regulated
clusterName: acme-payments-8b1c9a2d
version: '1.35'
hardening:
  baseline: regulated
  compliance: [pci]
  namespaces: [payments, payments-jobs]
  capacity: {cpu: '40', memory: 80Gi, pods: 500}
  network: {egress: [{cidr: 203.0.113.0/24, ports: [443]}]}
  images: {registries: [444455556666.dkr.ecr.eu-central-1.amazonaws.com/payments/]}
  access: [{group: acme-payments-admins, role: admin}, {group: 'acme auditors', role: view}]
eks:
  account: '444455556666'
  region: eu-central-1
  roleArn: arn:aws:iam::444455556666:role/fleet-manager
  clusterRoleArn: arn:aws:iam::444455556666:role/eks-cluster
  network: {subnetIds: [subnet-0aa000000000000a4, subnet-0bb000000000000b4], serviceCidr: 172.20.0.0/16}
";

fn bundle(version: &str) -> Arc<Bundle> {
    let spec: TenantClusterSpec = serde_saphyr::from_str(REGULATED).unwrap();
    let baseline: BaselineSpec = serde_saphyr::from_str("profile: pci").unwrap();
    let catalogue = Catalogue::builtin().unwrap();
    let input = RenderInput {
        spec: &spec,
        baseline: &baseline,
        exceptions: &[],
        version: version.parse().unwrap(),
        today: "2026-11-24".parse().unwrap(),
    };
    Arc::new(render(&catalogue, &input).unwrap())
}

async fn the_whole_catalogue_is_applied_proven_and_kept(minor: Minor, version: &str) {
    let plane = TestControlPlane::start(minor).await.expect("a control plane starts");
    let way = || remote_from(&plane.control_plane.admin_kubeconfig(), Limits::default());
    let remote = way();
    let bundle = bundle(version);
    let engine = engine(&remote);
    let begun = Instant::now();
    engine.set_target(Arc::clone(&bundle));
    let seen = report(&engine, "everything is proven and handed over", |report| {
        report.stage == Stage::Watching && report.hardened() && report.proven() && report.access_handed_over
    })
    .await;
    eprintln!(
        "{version}: {} objects and {} probes in {:?}, {} requests",
        seen.objects,
        bundle.probes.len(),
        begun.elapsed(),
        remote.traffic().requests()
    );
    for verdict in seen.verdicts.iter() {
        assert!(matches!(verdict.verdict, Verdict::Pass | Verdict::NotProven), "{verdict:?}");
    }
    assert_eq!(seen.verdicts.len(), bundle.controls.len());
    assert!(seen.counts.pass > 0 && seen.counts.not_proven > 0, "{:?}", seen.counts);

    // Our own writes, and what the server's controllers do after them, leave no object to look at again.
    let quiet = remote.traffic().requests();
    engine.set_target(Arc::clone(&bundle));
    let other = way().client();
    let victims = bundle.objects.iter().filter(|object| object.phase != Phase::Namespaces);
    let mut repairs = 0;
    for object in victims {
        let resource = resource(&object.api_version, &object.kind);
        let api: Api<DynamicObject> = match &object.namespace {
            Some(namespace) => Api::namespaced_with(other.clone(), namespace, &resource),
            None => Api::all_with(other.clone(), &resource),
        };
        api.delete(&object.name, &DeleteParams::default()).await.unwrap();
        repairs += 1;
        let what = format!("{} {} is back", object.kind, object.name);
        report(&engine, &what, |report: &EngineReport| {
            report.repairs == repairs && report.applied == report.objects
        })
        .await;
    }
    let spent = remote.traffic().requests() - quiet;
    eprintln!("{version}: {repairs} deletions were put back with {spent} requests");
    engine.stop().await;

    let again = way();
    let restarted = crate::support::engine(&again);
    restarted.set_target(bundle);
    report(&restarted, "the restart is steady", |report| report.stage == Stage::Watching).await;
    assert_eq!(again.traffic().writes.load(std::sync::atomic::Ordering::Relaxed), 0);
    restarted.stop().await;
}

fn resource(api_version: &str, kind: &str) -> kube::core::ApiResource {
    let types = kube::core::TypeMeta { api_version: api_version.to_owned(), kind: kind.to_owned() };
    kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::try_from(types).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_holds_on_the_older_minor() {
    the_whole_catalogue_is_applied_proven_and_kept(Minor::V1_35, "1.35").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_holds_on_the_newer_minor() {
    the_whole_catalogue_is_applied_proven_and_kept(Minor::V1_36, "1.36").await;
}
