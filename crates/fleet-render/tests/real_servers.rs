//! Bundles on real API servers: every policy type-checks, every probe bites, every twin passes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

mod support;

use fleet_render::{Bundle, Catalogue, Persona, Phase};
use local_control_plane::Minor;
use serde_json::{Value, json};
use support::{
    Cluster,
    server::{Answer, Server, path, path_of, platform},
};

async fn hardened(minor: Minor, mut cluster: Cluster) -> (Server, Bundle) {
    cluster.version = minor.to_string().parse().unwrap();
    let bundle = cluster.bundle(&Catalogue::builtin().unwrap());
    let server = Server::start(minor).await;
    server.harden(&bundle).await;
    (server, bundle)
}

async fn every_probe_bites(server: &Server, bundle: &Bundle) {
    let mut wrong = Vec::new();
    for probe in &bundle.probes {
        if let Err(seen) = server.judge(probe).await {
            wrong.push(seen);
        }
    }
    assert!(wrong.is_empty(), "{} of {} probes:\n{}", wrong.len(), bundle.probes.len(), wrong.join("\n"));
}

async fn every_policy_type_checks(server: &Server, bundle: &Bundle) {
    for policy in bundle.phase(Phase::Admission).filter(|object| object.kind == "ValidatingAdmissionPolicy") {
        server
            .until(&format!("the type check of {}", policy.name), async || {
                let seen = server.get(&policy.api_version, &policy.kind, None, &policy.name).await;
                match seen.pointer("/status/observedGeneration") == seen.pointer("/metadata/generation") {
                    true => Ok(()),
                    false => Err(seen["status"].to_string()),
                }
            })
            .await;
        let seen = server.get(&policy.api_version, &policy.kind, None, &policy.name).await;
        let warnings = seen.pointer("/status/typeChecking/expressionWarnings").and_then(Value::as_array);
        assert!(warnings.is_none_or(Vec::is_empty), "{}: {warnings:#?}", policy.name);
    }
}

/// What the server keeps of an object is what was sent, so that nothing has to be put back.
async fn applying_again_changes_nothing(server: &Server, bundle: &Bundle) {
    for object in &bundle.objects {
        let first = server.apply(&object.value).await;
        let lost = not_kept(&object.value, &first, String::new());
        assert_eq!(lost, None, "{} {}", object.kind, object.name);
        let second = server.apply(&object.value).await;
        assert_eq!(
            first["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"],
            "{}",
            object.name
        );
    }
}

fn not_kept(sent: &Value, kept: &Value, place: String) -> Option<String> {
    match (sent, kept) {
        (Value::Object(sent), Value::Object(kept)) => sent.iter().find_map(|(key, value)| {
            not_kept(value, kept.get(key).unwrap_or(&Value::Null), format!("{place}/{key}"))
        }),
        (Value::Array(sent), Value::Array(kept)) if sent.len() == kept.len() => sent
            .iter()
            .zip(kept)
            .enumerate()
            .find_map(|(index, (sent, kept))| not_kept(sent, kept, format!("{place}/{index}"))),
        _ => (sent != kept).then(|| format!("{place}: sent {sent}, kept {kept}")),
    }
}

#[tokio::test]
async fn a_regulated_tenants_bundle_bites_on_1_35() {
    let (server, bundle) = hardened(Minor::V1_35, support::regulated()).await;
    every_policy_type_checks(&server, &bundle).await;
    every_probe_bites(&server, &bundle).await;
    applying_again_changes_nothing(&server, &bundle).await;
    the_tenants_own_group_holds_what_its_stand_in_held(&server).await;
    the_controllers_of_the_control_plane_are_not_in_the_way(&server).await;
}

#[tokio::test]
async fn a_regulated_tenants_bundle_bites_on_1_36() {
    let mut cluster = support::regulated();
    cluster.baseline = support::yaml("profile: hipaa");
    cluster.spec.hardening.compliance = Vec::new();
    let (server, bundle) = hardened(Minor::V1_36, cluster).await;
    every_policy_type_checks(&server, &bundle).await;
    every_probe_bites(&server, &bundle).await;
}

#[tokio::test]
async fn a_plain_tenants_bundle_bites_on_1_36_and_a_missing_policy_is_noticed() {
    let (server, bundle) = hardened(Minor::V1_36, support::plain()).await;
    every_policy_type_checks(&server, &bundle).await;
    every_probe_bites(&server, &bundle).await;
    applying_again_changes_nothing(&server, &bundle).await;
    pods_of_a_workload_meet_the_policy_and_its_owner_is_warned(&server).await;
    an_ephemeral_container_meets_the_policy(&server).await;
    a_probe_notices_that_its_policy_is_gone(&server, &bundle).await;
}

#[tokio::test]
async fn a_plain_tenants_bundle_bites_on_1_35_and_waivers_reach_no_further_than_they_say() {
    let mut cluster = support::plain();
    cluster.spec.hardening.namespaces = vec!["strict".to_owned(), "lenient".to_owned()];
    let cluster =
        cluster.waiving("POD-7", &["lenient"], "2026-12-31").waiving("NS-1", &["lenient"], "2026-12-31");
    let (server, bundle) = hardened(Minor::V1_35, cluster).await;
    every_probe_bites(&server, &bundle).await;
    let admin = tenant_admin();
    let foreign = |namespace: &str| pod(namespace, "registry.invalid/tool:1");
    let mut privileged = pod("lenient", "registry.invalid/tool:1");
    privileged["spec"]["containers"][0]["securityContext"] = json!({ "privileged": true });
    server.create(&foreign("lenient"), &admin).await.expect_allowed("a foreign image where it is waived");
    let denied = server.create(&foreign("strict"), &admin).await;
    assert!(denied.refusal().contains("'fleet-pod-7'"), "{denied:?}");
    privileged["metadata"]["name"] = json!("privileged");
    server.create(&privileged, &admin).await.expect_allowed("a privileged pod where it is waived");
}

#[tokio::test]
async fn what_was_there_before_can_still_be_finalized_and_nothing_slips_through_a_deletion() {
    let cluster = support::plain();
    let bundle = cluster.bundle(&Catalogue::builtin().unwrap());
    let server = Server::start(Minor::V1_36).await;
    // From before fleet: a pod with a foreign image, and a binding to everybody.
    server
        .apply(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "initech-batch" } }))
        .await;
    server
        .apply(&json!({ "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": "default", "namespace": "initech-batch" } }))
        .await;
    let mut old_pod = pod("initech-batch", "registry.invalid/old:1");
    old_pod["metadata"]["finalizers"] = json!(["example.com/old"]);
    server.create(&old_pod, &platform()).await.expect_allowed("a pod before the policy");
    let everybody = binding("old", "system:authenticated");
    server.create(&everybody, &platform()).await.expect_allowed("a binding before the policy");
    server.harden(&bundle).await;

    let admin = tenant_admin();
    let merge = "application/merge-patch+json";
    let change = async |object: &Value, patch: Value| -> Answer {
        server.send("PATCH", &path_of(object, true), merge, &patch, &admin).await
    };
    let label = json!({ "metadata": { "labels": { "team": "batch" } } });
    change(&old_pod, label.clone()).await.expect_allowed("a label on the old pod");
    change(&everybody, label).await.expect_allowed("a label on the old binding");
    let other_image = json!([
        { "op": "replace", "path": "/spec/containers/0/image", "value": "registry.invalid/other:1" },
    ]);
    let place = path_of(&old_pod, true);
    let answer = server.send("PATCH", &place, "application/json-patch+json", &other_image, &admin).await;
    assert!(answer.refusal().contains("registry.invalid/other:1"), "{answer:?}");
    change(&old_pod, json!({ "metadata": { "finalizers": null } }))
        .await
        .expect_allowed("finalizing the old pod");

    // A binding that is being deleted still binds: it cannot be turned into one to everybody.
    let mut slow = binding("slow", "tenant-developers");
    slow["metadata"]["finalizers"] = json!(["example.com/slow"]);
    server.create(&slow, &admin).await.expect_allowed("a binding of the tenant's own");
    server
        .send("DELETE", &path_of(&slow, true), merge, &Value::Null, &admin)
        .await
        .expect_allowed("deleting it");
    let answer = change(&slow, json!({ "subjects": everybody["subjects"] })).await;
    assert!(answer.refusal().contains("'fleet-rb-1'"), "{answer:?}");
    change(&slow, json!({ "metadata": { "finalizers": null } }))
        .await
        .expect_allowed("finalizing the binding");
}

#[tokio::test]
async fn a_hostile_registry_is_a_literal_to_a_real_server() {
    let mut cluster = support::plain();
    let registries = [
        "a.\") || true || (\"/",
        "a.\\/",
        "a.'/",
        "a.\\\" + \"/",
        "a.a\u{2028}b\n\r\t\u{0}/",
        "a.\u{1F600}/",
        "a.{{ x }}/",
        "a.${x}/",
        "docker.io/library/",
    ];
    cluster.spec.hardening.images.registries = registries.map(str::to_owned).into();
    let (server, bundle) = hardened(Minor::V1_35, cluster).await;
    every_policy_type_checks(&server, &bundle).await;
    let denied = server.create(&pod("initech-batch", "registry.invalid/tool:1"), &tenant_admin()).await;
    assert!(denied.refusal().contains("'fleet-pod-7'"), "{denied:?}");
    let own = pod("initech-batch", "busybox:1");
    server.create(&own, &tenant_admin()).await.expect_allowed("an image from the last registry of the list");
    let policy =
        server.get("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", None, "fleet-pod-7").await;
    let sent = bundle.objects.iter().find(|object| object.name == "fleet-pod-7").unwrap();
    assert_eq!(policy["spec"]["variables"], sent.value["spec"]["variables"]);
}

fn tenant_admin() -> Persona {
    Persona { user: "somebody".to_owned(), groups: vec!["tenantfleet.dev:probe-tenant-admin".to_owned()] }
}

/// A pod that the restricted standard admits.
fn pod(namespace: &str, image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "tool", "namespace": namespace },
        "spec": {
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "main", "image": image,
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    })
}

fn binding(name: &str, group: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": name, "namespace": "initech-batch" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "fleet:tenant-view" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group }],
    })
}

async fn the_tenants_own_group_holds_what_its_stand_in_held(server: &Server) {
    let admin = Persona { user: "ana".to_owned(), groups: vec!["acme-payments-admins".to_owned()] };
    let auditor = Persona { user: "ben".to_owned(), groups: vec!["acme auditors".to_owned()] };
    let own = pod("payments", "444455556666.dkr.ecr.eu-central-1.amazonaws.com/payments/ledger:1");
    server.create(&own, &admin).await.expect_allowed("a pod of the tenant's own");
    let answer = server.create(&own, &auditor).await;
    assert!(answer.refusal().contains("cannot create resource \"pods\""), "{answer:?}");
    let pods = path("v1", "Pod", Some("payments"), None);
    server
        .send("GET", &pods, "application/json", &Value::Null, &auditor)
        .await
        .expect_allowed("reading pods");
    let elsewhere = path("v1", "Pod", Some("kube-system"), None);
    let answer = server.send("GET", &elsewhere, "application/json", &Value::Null, &admin).await;
    assert!(answer.refusal().contains("cannot list resource"), "{answer:?}");
}

/// Role aggregation writes a rule that RB-3 refuses to others; namespace deletion removes what RES-4 protects.
async fn the_controllers_of_the_control_plane_are_not_in_the_way(server: &Server) {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": "widgets", "labels": { "rbac.authorization.k8s.io/aggregate-to-view": "true" } },
        "rules": [{ "apiGroups": ["widgets.example.com"], "resources": ["*"], "verbs": ["get"] }],
    });
    server.create(&role, &platform()).await.expect_allowed("a role that is aggregated");
    server
        .until("aggregation", async || {
            let view =
                server.get("rbac.authorization.k8s.io/v1", "ClusterRole", None, "view").await.to_string();
            if view.contains("widgets.example.com") { Ok(()) } else { Err("no rule for widgets".to_owned()) }
        })
        .await;

    let namespace = path("v1", "Namespace", None, Some("payments-jobs"));
    let nobody = &Value::Null;
    server
        .send("DELETE", &namespace, "application/json", nobody, &platform())
        .await
        .expect_allowed("deletion");
    server
        .until("the end of the namespace", async || {
            match server.send("GET", &namespace, "application/json", nobody, &platform()).await {
                Answer::Refused { code: 404, .. } => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
}

async fn pods_of_a_workload_meet_the_policy_and_its_owner_is_warned(server: &Server) {
    let template = |image: &str| {
        let mut template = pod("initech-batch", image);
        template["metadata"] = json!({ "labels": { "app": "tool" } });
        json!({ "metadata": template["metadata"], "spec": template["spec"] })
    };
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "tool", "namespace": "initech-batch" },
        "spec": { "selector": { "matchLabels": { "app": "tool" } }, "template": template("registry.invalid/tool:1") },
    });
    let warnings = server.warnings(&deployment, &tenant_admin()).await;
    assert!(warnings.iter().any(|warning| warning.contains("fleet-pod-7-templates")), "{warnings:?}");
    let cron_job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "tool", "namespace": "initech-batch" },
        "spec": { "schedule": "0 0 * * *", "jobTemplate": { "spec": { "template": {
            "spec": { "restartPolicy": "Never", "containers": [{ "name": "main", "image": "elsewhere/tool:1" }] } } } } },
    });
    let warnings = server.warnings(&cron_job, &tenant_admin()).await;
    assert!(warnings.iter().any(|warning| warning.contains("docker.io/elsewhere/tool:1")), "{warnings:?}");
    server
        .until("the refusal of the workload's pods", async || {
            let sets = path("apps/v1", "ReplicaSet", Some("initech-batch"), None);
            let sets = server.send("GET", &sets, "application/json", &Value::Null, &platform()).await;
            let seen = sets.expect_allowed("replica sets").to_string();
            if seen.contains("'fleet-pod-7' with binding 'fleet-pod-7' denied request") {
                Ok(())
            } else {
                Err(seen)
            }
        })
        .await;
}

async fn an_ephemeral_container_meets_the_policy(server: &Server) {
    let own = pod("initech-batch", "busybox:1");
    server.create(&own, &tenant_admin()).await.expect_allowed("a pod of the tenant's own");
    let place = format!("{}/ephemeralcontainers", path_of(&own, true));
    let attach = async |image: &str| {
        let security = &own["spec"]["containers"][0]["securityContext"];
        let container = json!({ "name": "debug", "image": image, "securityContext": security });
        let patch = json!({ "spec": { "ephemeralContainers": [container] } });
        server.send("PATCH", &place, "application/strategic-merge-patch+json", &patch, &tenant_admin()).await
    };
    let answer = attach("registry.invalid/debug:1").await;
    assert!(answer.refusal().contains("'fleet-pod-7'"), "{answer:?}");
    attach("busybox:2").await.expect_allowed("an ephemeral container from an allowed registry");
}

/// Deletes the bindings one after the other: the probes of each policy have to see it.
async fn a_probe_notices_that_its_policy_is_gone(server: &Server, bundle: &Bundle) {
    for marker in &bundle.markers {
        let fleet_render::Expect::Denied { by } = &marker.expect else { continue };
        let Some(policy) =
            by.strip_prefix("ValidatingAdmissionPolicy '").and_then(|name| name.strip_suffix('\''))
        else {
            continue;
        };
        let place =
            path("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", None, Some(policy));
        let answer = server.send("DELETE", &place, "application/json", &Value::Null, &platform()).await;
        answer.expect_allowed(policy);
        server
            .until(&format!("the probe's sight of the missing {policy}"), async || {
                match server.judge(marker).await {
                    Ok(()) => Err("it still bites".to_owned()),
                    Err(_) => Ok(()),
                }
            })
            .await;
    }
}
