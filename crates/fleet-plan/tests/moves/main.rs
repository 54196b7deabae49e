//! What rollouts leave in specs, what stands in their way, and what counts as evidence, case by case.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod compose;
mod evidence;

use fleet_api::v1alpha1::{TenantClass, TenantCluster, TenantClusterSpec};
use serde_json::{Value, json};

/// An object of a kind.
fn object<T: serde::de::DeserializeOwned>(kind: &str, name: &str, spec: &Value) -> T {
    serde_json::from_value(json!({
        "apiVersion": "tenantfleet.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "uid": "uid-1", "generation": 3},
        "spec": spec,
    }))
    .unwrap()
}

/// A move to 1.36, with other fields put over it.
fn a_move(stage: &str, more: &Value) -> Value {
    let mut value = json!({
        "rollout": "to-136", "rolloutUid": "uid-rollout", "seq": 1, "id": "m-1", "stage": stage, "version": "1.36",
    });
    for (key, field) in more.as_object().unwrap() {
        if field.is_null() {
            value.as_object_mut().unwrap().remove(key);
        } else {
            value[key] = field.clone();
        }
    }
    value
}

fn class() -> TenantClass {
    object("TenantClass", "eks", &json!({ "baseline": "standard", "eks": eks() }))
}

fn eks() -> Value {
    json!({
        "account": "444455556666", "region": "eu-central-1",
        "roleArn": "arn:aws:iam::444455556666:role/fleet-manager",
        "clusterRoleArn": "arn:aws:iam::444455556666:role/eks-cluster",
        "network": {"subnetIds": ["subnet-a", "subnet-b"]},
        "autoMode": {"nodeRoleArn": "arn:aws:iam::444455556666:role/node", "nodePools": ["system"]},
        "addons": [{"name": "metrics-server", "configuration": "{}"}],
    })
}

fn spec(rollout: Option<Value>) -> TenantClusterSpec {
    let mut spec = json!({
        "tenant": "acme", "tenantUid": "uid-1", "owner": {"team": "acme", "contact": "acme@acme.example"},
        "class": "eks", "clusterName": "acme-12345678", "version": "1.35",
        "hardening": {"baseline": "standard", "namespaces": ["acme"]},
        "eks": eks(),
    });
    if let Some(rollout) = rollout {
        spec["rollout"] = rollout;
    }
    serde_json::from_value(spec).unwrap()
}

/// A cluster that was seen at a minor, with these conditions true for its generation.
fn cluster(rollout: Option<Value>, have: &str, conditions: &[&str]) -> TenantCluster {
    let conditions: Vec<Value> =
        conditions.iter().map(|type_| condition(type_, "True", "AsWanted", "")).collect();
    let mut cluster: TenantCluster =
        object("TenantCluster", "acme", &serde_json::to_value(spec(rollout)).unwrap());
    cluster.status = serde_json::from_value(json!({
        "conditions": conditions,
        "versions": {"controlPlane": have, "nodes": [{"name": "workers", "version": have}],
                     "addons": [{"name": "metrics-server", "version": "v0.8.0"}]},
        "baseline": {"revision": "r2", "appliedRevision": "r2"},
    }))
    .unwrap();
    cluster
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": 3,
           "lastTransitionTime": "2026-11-24T12:00:00Z"})
}

const READY: &[&str] = &["Ready", "Reachable", "Provisioned", "Hardened", "Proven", "UpToDate"];
