//! A rollout on a real management cluster, under the permissions of the manifests: a condition, a Prometheus server that
//! asks for a token, a member that is looked at, moved, seen healthy and done, over a kill; and what the tenant's loop
//! leaves alone meanwhile.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::http::{HeaderMap, StatusCode};
use fleet_api::{
    labels,
    v1alpha1::{MemberState, MoveStage, Rollout, RolloutMember, RolloutPhase, TenantCluster},
};
use fleet_plan::rollout::plan::stored_hash;
use fleet_provider::fake::{FakeEks, Fault, FaultRule};
use k8s_openapi::api::{authentication::v1::SelfSubjectReview, core::v1::Secret};
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use local_control_plane::{ControlPlane, Minor};
use serde_json::{Value, json};

use crate::{
    admission::rollout,
    life::{get, is_ready, stand_behind},
    process::{Options, PLAIN, Process},
    support::{Hub, fleet, quick_cloud, tenant, until},
};

fn member(cluster: &TenantCluster) -> RolloutMember {
    serde_json::from_value(json!({
        "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "RolloutMember", "metadata": { "name": "to-136-acme" },
        "spec": {
            "rollout": "to-136", "tenant": "acme", "cluster": "acme", "clusterUid": cluster.uid(), "wave": "canary",
            "from": "1.35", "slot": "2026-01-01T00:00:00Z",
        },
    }))
    .unwrap()
}

async fn member_is(hub: &Hub, what: &str, wanted: impl Fn(&RolloutMember) -> bool) -> RolloutMember {
    let api: Api<RolloutMember> = Api::all(hub.admin.clone());
    until(what, || async { api.get_opt("to-136-acme").await.unwrap().filter(|member| wanted(member)) }).await
}

fn state(member: &RolloutMember) -> MemberState {
    member.status.as_ref().map(|status| status.state).unwrap_or_default()
}

/// A Prometheus server for whoever has the token: its URL, and how many asked with it.
async fn prometheus(token: &'static str) -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let answer = move |headers: HeaderMap| {
        let may = headers.get("authorization").is_some_and(|given| given == &format!("Bearer {token}"));
        counted.fetch_add(usize::from(may), Ordering::SeqCst);
        let body = json!({ "status": "success", "data": { "resultType": "scalar", "result": [1.0, "1"] } });
        let status = if may { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        std::future::ready((status, body.to_string()))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/platform", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/platform/api/v1/query", axum::routing::get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, asked)
}

/// Allows the server in the Fleet, and stores its token.
async fn allow(hub: &Hub, url: &str, token: &str) {
    let list = json!({ "spec": { "prometheus": [{ "url": url, "tokenKey": "platform" }] } });
    hub.fleets().patch("fleet", &PatchParams::default(), &Patch::Merge(&list)).await.unwrap();
    let secret = serde_json::from_value(json!({
        "metadata": { "name": labels::PROMETHEUS_SECRET }, "stringData": { "platform": token },
    }));
    let secrets: Api<Secret> = Api::namespaced(hub.admin.clone(), labels::SYSTEM_NAMESPACE);
    secrets.create(&PostParams::default(), &secret.unwrap()).await.unwrap();
}

/// Stores a rollout of one member as whoever the admin is, and starts it.
async fn start(hub: &Hub, wave: &Value, cluster: &TenantCluster) -> Rollout {
    let reviews: Api<SelfSubjectReview> = Api::all(hub.admin.clone());
    let me = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.unwrap();
    let me = me.status.unwrap().user_info.unwrap().username.unwrap();
    let mut rollout = rollout(&me, wave);
    rollout.spec.plan_hash = stored_hash("to-136", &rollout.spec, [&member(cluster).spec]);
    let rollouts: Api<Rollout> = Api::all(hub.admin.clone());
    let written = rollouts.create(&PostParams::default(), &rollout).await.unwrap();
    let members: Api<RolloutMember> = Api::all(hub.admin.clone());
    let mut member = member(cluster);
    member.metadata.owner_references = Some(vec![written.controller_owner_ref(&()).unwrap()]);
    members.create(&PostParams::default(), &member).await.unwrap();
    written
}

/// A ready tenant at 1.35, of a channel that offers 1.36 and leaves it to rollouts.
async fn tenant_of_rollouts(hub: &Hub, cloud: &FakeEks, plane: &ControlPlane) -> Process {
    hub.apply(&fleet(3)).await;
    let channel = json!({ "spec": { "versions": [{ "version": "1.35" }], "upgrades": "Rollout" } });
    let channels: Api<fleet_api::v1alpha1::VersionChannel> = Api::all(hub.admin.clone());
    channels.patch("stable", &PatchParams::default(), &Patch::Merge(&channel)).await.unwrap();
    hub.apply(&tenant("acme", "eks")).await;
    stand_behind(hub, cloud, plane).await;
    let controller = Process::start(&hub.controller, Arc::new(cloud.clone()), PLAIN);
    hub.tenant_is("acme", "the tenant is ready", is_ready).await;
    // The channel moves on, and the tenant stays.
    let next = json!({ "spec": { "versions": [{ "version": "1.35" }, { "version": "1.36" }] } });
    channels.patch("stable", &PatchParams::default(), &Patch::Merge(&next)).await.unwrap();
    controller
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_moves_a_tenant_by_its_evidence_and_survives_a_kill() {
    let hub = Hub::start().await;
    let mut plane = hub.plane.etcd.control_plane("tenant", Minor::V1_35).await.unwrap();
    let cloud = quick_cloud();
    let controller = tenant_of_rollouts(&hub, &cloud, &plane).await;
    let (url, asked) = prometheus("s3cret").await;
    allow(&hub, &url, "s3cret").await;
    let cluster = hub.clusters().get("acme").await.unwrap();
    let wave = json!({
        "name": "canary", "selector": {},
        "before": [
            { "name": "proven", "condition": "cluster.status.baseline.probes.fail == 0" },
            { "name": "quiet", "prometheus": { "url": url, "query": "up" } },
        ],
    });
    let written = start(&hub, &wave, &cluster).await;
    let rollouts: Api<Rollout> = Api::all(hub.admin.clone());
    let members: Api<RolloutMember> = Api::all(hub.admin.clone());
    member_is(&hub, "the member begins", |member| state(member) == MemberState::Upgrading).await;
    until("the cloud has the next minor", || async {
        let clusters = cloud.clusters();
        clusters.first().is_some_and(|cluster| cluster.version.to_string() == "1.36").then_some(())
    })
    .await;
    // Killed in the middle, and another process takes over.
    controller.kill();
    plane.restart_as(Minor::V1_36).await.unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let again = Process::start(
        &hub.controller,
        Arc::new(cloud.clone()),
        Options { listener: Some(listener), ..PLAIN },
    );
    let done = member_is(&hub, "the member is done", |member| state(member) == MemberState::Succeeded).await;
    assert_eq!(done.status.as_ref().unwrap().attempt, 1, "{:?}", done.status);
    let over = until("the rollout is complete", || async {
        let rollout = rollouts.get("to-136").await.unwrap();
        let phase = rollout.status.as_ref().map(|status| status.phase);
        (phase == Some(RolloutPhase::Completed)).then_some(rollout)
    })
    .await;
    let status = over.status.as_ref().unwrap();
    assert_eq!((status.counts.succeeded, status.counts.members), (1, 1), "{status:?}");
    assert!(status.waves[0].gates.iter().all(|gate| gate.opened_at.is_some()), "{status:?}");
    assert!(asked.load(Ordering::SeqCst) > 0 && !format!("{over:?}").contains("s3cret"), "{status:?}");

    let cluster = hub
        .cluster_is("acme", "the tenant was composed at its new minor", |cluster| {
            cluster.spec.version.to_string() == "1.36"
        })
        .await;
    let wanted = cluster.spec.rollout.as_ref().unwrap();
    assert_eq!((wanted.stage, Some(&wanted.rollout_uid)), (MoveStage::Go, written.uid().as_ref()));
    let evidence = cluster.status.as_ref().unwrap().evidence.as_ref().unwrap();
    assert!(evidence.arrived && evidence.healthy && evidence.move_id == wanted.id, "{evidence:?}");
    let owners: Vec<String> = cluster
        .managed_fields()
        .iter()
        .filter(|entry| entry.subresource.is_none())
        .filter(|entry| {
            let fields = serde_json::to_value(&entry.fields_v1).unwrap();
            fields.pointer("/f:spec/f:rollout").is_some()
        })
        .filter_map(|entry| entry.manager.clone())
        .collect();
    assert_eq!(owners, [labels::ROLLOUT_MANAGER], "one manager owns the move");
    let metrics = get(address, "/metrics").await;
    assert!(metrics.contains(r#"fleet_rollouts{phase="Completed"} 1"#), "{metrics}");
    assert!(!metrics.contains("fleet_rollout_members{"), "what is over is told of no longer");

    // At rest nothing is written any more, by whichever loop.
    let versions = || async {
        let rollout = rollouts.get("to-136").await.unwrap().resource_version();
        let member = members.get("to-136-acme").await.unwrap().resource_version();
        let cluster = hub.clusters().get("acme").await.unwrap().resource_version();
        (rollout, member, cluster)
    };
    hub.tenant_is("acme", "the tenant is ready on its new minor", is_ready).await;
    again.stop().await;
    let before = versions().await;
    let reads = cloud.reads();
    let quiet = Process::start(&hub.controller, Arc::new(cloud.clone()), PLAIN);
    until("the quiet controller has looked", || async { (cloud.reads() > reads).then_some(()) }).await;
    quiet.stop().await;
    assert_eq!(versions().await, before, "a rollout that is over costs nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_tried_again_moves_when_it_may_and_one_of_a_deleted_rollout_never() {
    let hub = Hub::start().await;
    let plane = hub.plane.etcd.control_plane("tenant", Minor::V1_35).await.unwrap();
    let cloud = quick_cloud();
    let controller = tenant_of_rollouts(&hub, &cloud, &plane).await;
    let fails = Fault::FailedUpdate { code: "EniLimitReached".to_owned() };
    cloud.inject(FaultRule::once("UpdateClusterVersion", fails));
    let cluster = hub.clusters().get("acme").await.unwrap();
    start(&hub, &json!({ "name": "canary", "selector": {} }), &cluster).await;
    member_is(&hub, "its update fails", |member| state(member) == MemberState::Failed).await;

    // A member that is to be tried again, and not yet, is looked at, and no more.
    let rollouts: Api<Rollout> = Api::all(hub.admin.clone());
    let members: Api<RolloutMember> = Api::all(hub.admin.clone());
    let tomorrow = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    let retry = json!({ "spec": { "retry": "now", "notBefore": tomorrow } });
    members.patch("to-136-acme", &PatchParams::default(), &Patch::Merge(&retry)).await.unwrap();
    let looked_at = |cluster: &TenantCluster| {
        let evidence = cluster.status.as_ref()?.evidence.as_ref()?;
        (evidence.stage == MoveStage::Prepare && evidence.move_id.ends_with("-2"))
            .then_some(evidence.observed_at.0)
    };
    let first = hub.cluster_is("acme", "it is looked at again", |cluster| looked_at(cluster).is_some()).await;
    let first = looked_at(&first);
    let effects = cloud.effects();
    let seen = hub.cluster_is("acme", "and once more", |cluster| looked_at(cluster) > first).await;
    assert_eq!(seen.spec.version.to_string(), "1.35", "what was not seen there is not kept");
    assert_eq!(seen.status.as_ref().unwrap().step, None);
    assert_eq!(cloud.effects(), effects, "nothing was asked of the cloud");

    // Nobody else ends the move of a rollout that is gone.
    rollouts.delete("to-136", &DeleteParams::default()).await.unwrap();
    let left = hub
        .cluster_is("acme", "its move is ended", |cluster| {
            cluster.spec.rollout.as_ref().is_some_and(|wanted| wanted.over)
        })
        .await;
    assert_eq!(left.spec.version.to_string(), "1.35");
    // The tenant's own spec holds again.
    let pin = json!({ "spec": { "kubernetes": { "channel": null, "version": "1.36" } } });
    hub.tenants().patch("acme", &PatchParams::default(), &Patch::Merge(&pin)).await.unwrap();
    until("its pin is followed", || async {
        let clusters = cloud.clusters();
        clusters.first().is_some_and(|cluster| cluster.version.to_string() == "1.36").then_some(())
    })
    .await;
    controller.stop().await;
}
