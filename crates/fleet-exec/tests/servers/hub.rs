//! The management cluster's reads and writes against a real API server.

use fleet_api::{
    labels,
    receipt::{DeletionReceipt, ReceiptItem},
    v1alpha1::definitions,
};
use fleet_exec::{
    hub::{self, ApplyOptions, Change},
    remote::Limits,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use local_control_plane::{Minor, test_support::TestControlPlane};
use serde_json::{Value, json};

use crate::support::{eventually, remote_from};

async fn hub(plane: &TestControlPlane) -> Client {
    let client = remote_from(&plane.control_plane.admin_kubeconfig(), Limits::default()).client();
    let options = ApplyOptions::new(labels::CLI_MANAGER);
    for definition in definitions() {
        hub::apply(&client, &serde_json::to_value(&definition).unwrap(), &options).await.unwrap();
    }
    eventually("every kind is served", || async { hub::inventory(&client).await.ok() }).await;
    client
}

fn tenant(team: &str) -> Value {
    json!({ "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "Tenant", "metadata": { "name": "acme" },
        "spec": { "owner": { "team": team, "contact": "a@acme.example" }, "class": "eks-standard" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn specs_are_applied_read_back_and_deleted_and_receipts_outlive_them() {
    let plane = TestControlPlane::start(Minor::V1_36).await.expect("a control plane starts");
    let client = hub(&plane).await;
    let options = ApplyOptions::new(labels::CLI_MANAGER);
    let channel = json!({ "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "VersionChannel",
        "metadata": { "name": "stable" }, "spec": { "versions": [{ "version": "1.35" }] } });
    let objects = [tenant("payments"), channel, json!({ "kind": "Tenant" })];
    let results = hub::apply_all(&client, &objects, &options).await;
    let changes: Vec<_> =
        results.iter().map(|result| result.as_ref().ok().map(|applied| applied.change)).collect();
    assert_eq!(changes, [Some(Change::Created), Some(Change::Created), None]);

    let change = async |object: &Value, options: &ApplyOptions| {
        hub::apply(&client, object, options).await.map(|applied| applied.change)
    };
    assert_eq!(change(&tenant("payments"), &options).await.unwrap(), Change::Unchanged);
    let rehearsal = ApplyOptions { dry_run: true, ..options.clone() };
    assert_eq!(change(&tenant("other"), &rehearsal).await.unwrap(), Change::Changed);
    assert_eq!(change(&tenant("other"), &options).await.unwrap(), Change::Changed);
    let meddler = ApplyOptions::new("somebody-else");
    let refused = change(&tenant("third"), &meddler).await.unwrap_err();
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains(labels::CLI_MANAGER), "a conflict names the manager: {cause}");

    let inventory = hub::inventory(&client).await.unwrap();
    assert_eq!(inventory.tenants.len(), 1);
    assert_eq!(inventory.tenants[0].spec.owner.team, "other");
    assert_eq!(inventory.channels.len(), 1);
    assert!(inventory.fleet.is_none() && inventory.unreadable.is_empty());

    hub::delete(&client, "Tenant", "acme", Some("another-uid")).await.unwrap_err();
    hub::delete(&client, "Tenant", "acme", inventory.tenants[0].metadata.uid.as_deref()).await.unwrap();
    hub::delete(&client, "Tenant", "acme", None).await.unwrap();
    assert!(hub::inventory(&client).await.unwrap().tenants.is_empty());

    let namespaces: Api<Namespace> = Api::all(client.clone());
    let system = json!({ "metadata": { "name": labels::SYSTEM_NAMESPACE } });
    namespaces.create(&PostParams::default(), &serde_json::from_value(system).unwrap()).await.unwrap();
    let mut receipt = DeletionReceipt {
        tenant: "acme".to_owned(),
        tenant_uid: "u".to_owned(),
        cluster_name: "acme-12345678".to_owned(),
        account: "111122223333".to_owned(),
        region: "eu-central-1".to_owned(),
        began_at: Timestamp::from_second(1_700_000_000).unwrap(),
        finished_at: None,
        deleted: Vec::new(),
        remaining: Vec::new(),
    };
    hub::write_receipt(&client, &receipt).await.unwrap();
    receipt.deleted.push(ReceiptItem {
        kind: "cluster".to_owned(),
        id: "acme".to_owned(),
        note: "gone".to_owned(),
    });
    hub::write_receipt(&client, &receipt).await.unwrap();
    assert_eq!(hub::read_receipts(&client, Some("acme")).await.unwrap(), [receipt.clone()]);
    assert_eq!(hub::read_receipts(&client, None).await.unwrap(), [receipt]);
    assert!(hub::read_receipts(&client, Some("beta")).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_read_is_named_and_hides_no_other() {
    let plane = TestControlPlane::start(Minor::V1_35).await.expect("a control plane starts");
    let client = hub(&plane).await;
    let options = ApplyOptions::new(labels::CLI_MANAGER);
    hub::apply(&client, &tenant("payments"), &options).await.unwrap();
    // A definition of another version of fleet lets in what this one cannot read.
    let resource = kube::core::ApiResource::erase::<
        k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    >(&());
    let definitions: Api<kube::core::DynamicObject> = Api::all_with(client.clone(), &resource);
    let open = json!([{ "op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema",
        "value": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
        { "op": "remove", "path": "/spec/versions/0/selectableFields" }]);
    let open = Patch::<()>::Json(serde_json::from_value(open).unwrap());
    definitions.patch("tenants.tenantfleet.dev", &PatchParams::default(), &open).await.unwrap();
    let strange = json!({ "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "Tenant",
        "metadata": { "name": "strange" }, "spec": { "owner": 7 } });
    eventually("the definition is open", || async { hub::apply(&client, &strange, &options).await.ok() })
        .await;
    let inventory = hub::inventory(&client).await.unwrap();
    assert_eq!(inventory.tenants.len(), 1);
    assert_eq!((inventory.unreadable.len(), inventory.unreadable[0].name.as_str()), (1, "strange"));
}
