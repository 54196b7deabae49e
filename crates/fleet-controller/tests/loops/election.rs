//! Two replicas and one lease, on a real API server.

use std::time::Duration;

use fleet_controller::{
    clock::SystemClock,
    lease::{Elector, LeaseError, LeaseSettings},
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::support::{Hub, PATIENCE};

fn settings(identity: &str, duration: Duration) -> LeaseSettings {
    LeaseSettings {
        namespace: "fleet-system".to_owned(),
        name: "fleet-controller".to_owned(),
        identity: identity.to_owned(),
        duration,
        every: Duration::from_millis(200),
        margin: Duration::from_millis(500),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_leads_and_the_other_follows_when_it_gives_up_or_falls_silent() {
    let hub = Hub::start().await;
    let client = Client::try_from(hub.controller.clone()).unwrap();
    let long = Duration::from_secs(600);
    let mut first = Elector::new(client.clone(), settings("first", long), SystemClock);
    let mut second = Elector::new(client.clone(), settings("second", long), SystemClock);
    assert!(first.fence().check().is_err());
    tokio::time::timeout(PATIENCE, first.acquire()).await.unwrap();
    assert!(first.fence().check().is_ok());

    let waits = tokio::time::timeout(Duration::from_secs(1), second.acquire()).await;
    assert!(waits.is_err() && second.fence().check().is_err(), "two replicas lead");

    first.release().await;
    assert!(first.fence().check().is_err());
    tokio::time::timeout(PATIENCE, second.acquire()).await.unwrap();
    assert!(second.fence().check().is_ok());

    // Somebody writes the lease over: the holder notices, and closes its fence.
    let leases: Api<Lease> = Api::namespaced(hub.admin.clone(), "fleet-system");
    let stolen = json!({ "spec": { "holderIdentity": "thief", "leaseDurationSeconds": 1 } });
    leases.patch("fleet-controller", &PatchParams::default(), &Patch::Merge(&stolen)).await.unwrap();
    let lost = tokio::time::timeout(PATIENCE, second.hold()).await.unwrap();
    assert!(matches!(lost, LeaseError::TakenAway { ref holder, .. } if holder == "thief"), "{lost:?}");
    assert!(second.fence().check().is_err());

    // A holder that falls silent is replaced once it has been silent for as long as its lease says.
    tokio::time::timeout(PATIENCE, first.acquire()).await.unwrap();
    assert!(first.fence().check().is_ok());
    let lease = leases.get("fleet-controller").await.unwrap().spec.unwrap();
    assert_eq!(lease.holder_identity.as_deref(), Some("first"));
    assert_eq!(lease.lease_transitions, Some(2));
}
