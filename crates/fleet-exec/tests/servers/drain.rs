//! Draining against a real API server.

use std::time::Duration;

use fleet_exec::{
    drain::{DrainLimits, drain},
    remote::Limits,
};
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

    let limits = DrainLimits { patience: Duration::from_secs(10), between: Duration::from_millis(100) };
    let remaining = drain(&remote, &limits).await.unwrap();
    assert_eq!(remaining.len(), 1, "{remaining:?}");
    assert_eq!(remaining[0].to_string(), "Service default/public (held by example.com/cloud)");

    let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    services.patch("public", &PatchParams::default(), &release).await.unwrap();
    assert!(drain(&remote, &limits).await.unwrap().is_empty());
    assert!(services.get_opt("inner").await.unwrap().is_some(), "what costs nothing in the cloud stays");
}
