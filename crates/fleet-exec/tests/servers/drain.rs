//! Draining against a real API server.

use std::time::Duration;

use fleet_api::{
    eks::ClusterTarget,
    step::{Action, Expectation, Step},
};
use fleet_exec::{
    drain::{DrainLimits, drain},
    remote::Limits,
    steps::carry_out,
};
use fleet_provider::{
    ErrorClass,
    fake::{FakeEks, ManualClock},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use local_control_plane::{Minor, test_support::TestControlPlane};
use serde_json::json;

use crate::support::remote_from;

#[tokio::test(flavor = "multi_thread")]
async fn load_balancers_and_claims_go_and_what_is_held_is_named_with_its_holder() {
    let plane = TestControlPlane::start(Minor::V1_36).await.expect("a control plane starts");
    let remote = remote_from(&plane.control_plane.admin_kubeconfig(), Limits::default());
    let client = remote.client();
    let services: Api<Service> = Api::default_namespaced(client.clone());
    let claims: Api<PersistentVolumeClaim> = Api::default_namespaced(client);
    let service = |name: &str, kind: &str| {
        serde_json::from_value(json!({ "metadata": { "name": name, "finalizers": ["example.com/cloud"] },
            "spec": { "type": kind, "ports": [{ "port": 80 }] } }))
        .unwrap()
    };
    services.create(&PostParams::default(), &service("public", "LoadBalancer")).await.unwrap();
    services.create(&PostParams::default(), &service("inner", "ClusterIP")).await.unwrap();
    let claim = json!({ "metadata": { "name": "data" }, "spec": { "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": { "storage": "1Gi" } } } });
    claims.create(&PostParams::default(), &serde_json::from_value(claim).unwrap()).await.unwrap();

    let step = Step {
        id: "drain".to_owned(),
        summary: "drain".to_owned(),
        action: Action::DrainWorkloads,
        expects: Expectation::Nothing,
        token: String::new(),
        disruptive: false,
        expected_minutes: 1,
        attempt: 1,
    };
    let limits = DrainLimits { patience: Duration::from_secs(10), between: Duration::from_millis(100) };
    let remaining = drain(&remote, &limits).await.unwrap();
    assert_eq!(remaining.len(), 1, "{remaining:?}");
    assert_eq!(remaining[0].to_string(), "Service default/public (held by example.com/cloud)");

    let provider = FakeEks::new(ManualClock::at(Timestamp::UNIX_EPOCH).reader());
    let target = ClusterTarget {
        owner_uid: "u".to_owned(),
        tenant: "acme".to_owned(),
        cluster_name: "acme-1".to_owned(),
        account: "111122223333".to_owned(),
        region: "eu-central-1".to_owned(),
        role_arn: "arn:aws:iam::111122223333:role/fleet-manager".to_owned(),
        external_id: "u".to_owned(),
    };
    let blind = carry_out(&provider, None, &target, &step).await.unwrap_err();
    assert_eq!(blind.class(), ErrorClass::Transient, "{blind}");

    let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    services.patch("public", &PatchParams::default(), &release).await.unwrap();
    let outcome = carry_out(&provider, Some(&remote), &target, &step).await.unwrap();
    assert_eq!(outcome.still_draining, Some(Vec::new()));
    assert!(services.get_opt("inner").await.unwrap().is_some(), "what costs nothing in the cloud stays");
    assert!(provider.effects().is_empty(), "a drain is none of the provider's business");
}
