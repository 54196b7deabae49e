//! What is refused and what waits: a spec that does not hold together, a protected cluster, and the brake.

use std::sync::Arc;

use fleet_api::{conditions, labels};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::{
    process::{PLAIN, Process},
    support::{Hub, class, fleet, is_provisioned, message, quick_cloud, tenant, tenant_has},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_spec_that_does_not_hold_together_waits_for_what_it_lacks() {
    let hub = Hub::start().await;
    let cloud = quick_cloud();
    hub.apply(&fleet(3)).await;
    hub.apply(&tenant("acme", "ekss")).await;
    let controller = Process::start(&hub.controller, Arc::new(cloud.clone()), PLAIN);
    let refused =
        hub.tenant_is("acme", "it is refused", |one| tenant_has(one, conditions::ACCEPTED, "False")).await;
    let told = message(&refused, conditions::ACCEPTED);
    assert!(told.contains("`ekss`") && told.contains("did you mean `eks`?"), "{told}");
    assert!(tenant_has(&refused, conditions::READY, "False"));
    assert!(hub.clusters().get_opt("acme").await.unwrap().is_none() && cloud.effects().is_empty());

    hub.apply(&class("ekss", true)).await;
    hub.cluster_is("acme", "the cluster is made once the class is there", is_provisioned).await;
    let taken = hub.tenants().get("acme").await.unwrap();
    assert!(tenant_has(&taken, conditions::ACCEPTED, "True"));

    // Without the tenant's name once more, a protected cluster stays.
    let unconfirmed = json!({ "metadata": { "annotations": { labels::CONFIRM_DELETION: null } } });
    hub.tenants().patch("acme", &PatchParams::default(), &Patch::Merge(&unconfirmed)).await.unwrap();
    hub.tenants().delete("acme", &DeleteParams::default()).await.unwrap();
    hub.cluster_is("acme", "the deletion waits for its confirmation", |cluster| {
        let report = cluster.status.as_ref().map(|status| status.report.as_slice()).unwrap_or_default();
        report.iter().any(|entry| entry.code == "DeletionUnconfirmed" && entry.who == "operator")
    })
    .await;
    assert_eq!(cloud.clusters().len(), 1);
    let confirmed = json!({ "metadata": { "annotations": { labels::CONFIRM_DELETION: "acme" } } });
    hub.tenants().patch("acme", &PatchParams::default(), &Patch::Merge(&confirmed)).await.unwrap();
    hub.tenant_is_gone("acme").await;
    assert!(cloud.clusters().is_empty());
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brake_lets_one_tenant_go_and_holds_the_next_until_an_operator_raises_it() {
    let hub = Hub::start().await;
    let cloud = quick_cloud();
    hub.apply(&fleet(1)).await;
    hub.apply(&tenant("first", "eks")).await;
    hub.apply(&tenant("second", "eks")).await;
    let controller = Process::start(&hub.controller, Arc::new(cloud.clone()), PLAIN);
    hub.cluster_is("first", "the first is provisioned", is_provisioned).await;
    hub.cluster_is("second", "the second is provisioned", is_provisioned).await;
    hub.tenants().delete("first", &DeleteParams::default()).await.unwrap();
    hub.tenant_is_gone("first").await;

    // A restart does not forget what went: the receipt counts.
    controller.stop().await;
    let controller = Process::start(&hub.controller, Arc::new(cloud.clone()), PLAIN);
    hub.tenants().delete("second", &DeleteParams::default()).await.unwrap();
    let held = hub
        .tenant_is("second", "the brake holds", |one| {
            message(one, conditions::READY).contains("1 tenants may be deleted within an hour")
        })
        .await;
    assert!(message(&held, conditions::READY).contains("maxDeletionsPerHour"));
    let cluster = hub.clusters().get("second").await.unwrap();
    assert!(cluster.metadata.deletion_timestamp.is_none());

    // Nor can the cluster be deleted past the tenant.
    hub.clusters().delete("second", &DeleteParams::default()).await.unwrap();
    hub.cluster_is("second", "the brake holds the cluster as well", |cluster| {
        let report = cluster.status.as_ref().map(|status| status.report.as_slice()).unwrap_or_default();
        report.iter().any(|entry| entry.code == "Braked")
    })
    .await;
    assert_eq!(cloud.clusters().len(), 1);

    let raised = json!({ "spec": { "brakes": { "maxDeletionsPerHour": 5 } } });
    hub.fleets().patch("fleet", &PatchParams::default(), &Patch::Merge(&raised)).await.unwrap();
    hub.tenant_is_gone("second").await;
    assert!(cloud.clusters().is_empty());
    assert!(hub.classes().get_opt("eks").await.unwrap().is_some());
    controller.stop().await;
}
