//! What the tests of this crate share: a bundle, ways to servers, and waiting for a report.

use std::{sync::Arc, time::Duration};

use fleet_api::names::content_hash;
use fleet_exec::{
    baseline::{Engine, EngineConfig, EngineHandle, EngineReport},
    clock::system_clock,
    remote::{Addresses, Endpoint, Identity, Limits, Remote, connect, pem_from_base64},
};
use fleet_render::{Attempt, Bundle, BundleObject, ControlInfo, ControlState, Expect, Persona, Phase, Probe};
use serde_json::{Value, json};

/// Longer than anything takes on a machine that builds beside the test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// One object of a bundle, from its manifest.
pub(crate) fn object(phase: Phase, mut value: Value) -> BundleObject {
    value["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("fleet");
    value["metadata"]["labels"]["tenantfleet.dev/tenant"] = json!("acme");
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    BundleObject {
        control: "T-1".to_owned(),
        phase,
        api_version: text("/apiVersion").unwrap(),
        kind: text("/kind").unwrap(),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name").unwrap(),
        hash: content_hash(&value).unwrap(),
        value,
    }
}

pub(crate) fn control(id: &str) -> ControlInfo {
    ControlInfo {
        id: id.to_owned(),
        title: format!("control {id}"),
        maps: Vec::new(),
        state: ControlState::Active,
        waivers: Vec::new(),
        notes: Vec::new(),
    }
}

/// A bundle of objects, with a revision by its content and nothing to prove.
pub(crate) fn plain(objects: Vec<BundleObject>) -> Arc<Bundle> {
    sealed(Bundle {
        revision: String::new(),
        objects,
        controls: Vec::new(),
        markers: Vec::new(),
        probes: Vec::new(),
    })
}

pub(crate) fn sealed(mut bundle: Bundle) -> Arc<Bundle> {
    bundle.revision = content_hash(&bundle).unwrap();
    Arc::new(bundle)
}

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// A namespace of a tenant with one object of every kind that the catalogue has, and probes for them.
pub(crate) fn hardened(namespace: &str) -> Bundle {
    let named = |name: &str| json!({ "name": name, "namespace": namespace });
    let group =
        |name: &str| json!([{ "kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": name }]);
    let policy = format!("{namespace}-no-forbidden-maps");
    let role = format!("{namespace}-tenant");
    let role_ref = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role });
    let objects = vec![
        object(
            Phase::Namespaces,
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": namespace, "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } }),
        ),
        object(
            Phase::Rbac,
            json!({ "apiVersion": RBAC, "kind": "ClusterRole", "metadata": { "name": role }, "rules": [
            { "apiGroups": [""], "resources": ["configmaps", "pods"], "verbs": ["create", "get", "list"] } ] }),
        ),
        object(
            Phase::Rbac,
            json!({ "apiVersion": RBAC, "kind": "RoleBinding", "metadata": named("probe"),
            "roleRef": role_ref, "subjects": group("tenantfleet.dev:probe") }),
        ),
        object(
            Phase::Rbac,
            json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": named("default"),
            "automountServiceAccountToken": false }),
        ),
        object(
            Phase::Admission,
            json!({ "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy", "metadata": { "name": policy }, "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": { "resourceRules": [{ "apiGroups": [""], "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"] }] },
                "matchConditions": [{ "name": "labelled", "expression": "has(object.metadata.labels)" }],
                "validations": [{ "expression": "!('forbidden' in object.metadata.labels)",
                    "message": "T-1: forbidden" }] } }),
        ),
        object(
            Phase::Admission,
            json!({ "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": policy }, "spec": {
                "policyName": policy, "validationActions": ["Deny"],
                "matchResources": { "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } } } } }),
        ),
        object(
            Phase::Network,
            json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": named("default-deny"), "spec": { "policyTypes": ["Ingress", "Egress"] } }),
        ),
        object(
            Phase::Network,
            json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": named("dns"), "spec": { "policyTypes": ["Egress"], "egress": [{
                "ports": [{ "port": 53, "protocol": "UDP" }, { "port": 53, "protocol": "TCP" }],
                "to": [{ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } } }] }] } }),
        ),
        object(
            Phase::Quota,
            json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": named("quota"),
            "spec": { "hard": { "pods": "10", "limits.cpu": "4", "count/configmaps": "50" } } }),
        ),
        object(
            Phase::Quota,
            json!({ "apiVersion": "v1", "kind": "LimitRange", "metadata": named("limits"),
            "spec": { "limits": [{ "type": "Container", "max": { "cpu": "2" }, "default": { "cpu": "500m" },
                "defaultRequest": { "cpu": "100m" } }] } }),
        ),
        object(
            Phase::TenantAccess,
            json!({ "apiVersion": RBAC, "kind": "RoleBinding", "metadata": named("tenant"),
            "roleRef": role_ref, "subjects": group("acme-admins") }),
        ),
    ];
    let persona = Persona { user: "probe".to_owned(), groups: vec!["tenantfleet.dev:probe".to_owned()] };
    let map = |name: &str, label: &str| Attempt::Create {
        object: json!({ "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": namespace, "labels": { label: "x" } } }),
    };
    let probe = |id: &str, control: &str, attempt: Attempt, expect: Expect| Probe {
        id: id.to_owned(),
        control: control.to_owned(),
        title: id.to_owned(),
        persona: persona.clone(),
        attempt,
        expect,
        twin_of: None,
    };
    let denied = |by: &str| Expect::Denied { by: by.to_owned() };
    Bundle {
        revision: String::new(),
        objects,
        controls: vec![control("T-1"), control("T-2"), control("T-3")],
        markers: vec![probe("T-1/marker", "T-1", map("marker", "forbidden"), denied(&policy))],
        probes: vec![
            probe("T-1/forbidden", "T-1", map("bad", "forbidden"), denied(&policy)),
            probe("T-1/twin", "T-1", map("good", "fine"), Expect::Allowed),
            probe(
                "T-2/access",
                "T-2",
                Attempt::Access {
                    verb: "delete".to_owned(),
                    group: "networking.k8s.io".to_owned(),
                    resource: "networkpolicies".to_owned(),
                    subresource: None,
                    namespace: Some(namespace.to_owned()),
                    name: None,
                },
                denied("RBAC"),
            ),
            probe("T-3/packets", "T-3", Attempt::NotShowable { why: "packets".to_owned() }, Expect::Allowed),
        ],
    }
}

/// The way to a server of this machine, with a client certificate from a kubeconfig.
pub(crate) fn remote_from(kubeconfig: &str, limits: Limits) -> Remote {
    let config = kube::config::Kubeconfig::from_yaml(kubeconfig).unwrap();
    let cluster = config.clusters[0].cluster.clone().unwrap();
    let user = serde_json::to_value(config.auth_infos[0].auth_info.clone().unwrap()).unwrap();
    let pem = |field: &str| pem_from_base64(user[field].as_str().unwrap()).unwrap();
    let identity =
        Identity::Certificate { certificate: pem("client-certificate-data"), key: pem("client-key-data") };
    let ca = pem_from_base64(&cluster.certificate_authority_data.unwrap()).unwrap();
    let endpoint = Endpoint::parse(&cluster.server.unwrap(), Addresses::LOCAL).unwrap();
    connect(endpoint, &ca, identity, limits, system_clock()).unwrap()
}

pub(crate) fn engine(remote: &Remote) -> EngineHandle {
    Engine::spawn(remote.clone(), EngineConfig::new("test", system_clock()))
}

/// Waits until an engine's report is as told.
pub(crate) async fn report(
    engine: &EngineHandle,
    what: &str,
    wanted: impl FnMut(&EngineReport) -> bool,
) -> EngineReport {
    let mut reports = engine.report();
    let seen = tokio::time::timeout(PATIENCE, reports.wait_for(wanted)).await;
    match seen {
        Ok(report) => report.unwrap().clone(),
        Err(_) => panic!("the engine never reported that {what}: {:#?}", *engine.report().borrow()),
    }
}

/// Waits until something is so.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
