//! Looking into a tenant's cluster before an upgrade, and running a gate's Job there, against a real API server.

use std::time::Duration;

use fleet_api::inside::Budget;
use fleet_exec::{
    gates::{JobRun, JobState, run_job},
    inside::look_inside,
    remote::{Limits, Remote},
};
use jiff::Timestamp;
use k8s_openapi::api::{
    admissionregistration::v1::ValidatingWebhookConfiguration,
    batch::v1::CronJob,
    batch::v1::Job,
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use local_control_plane::{Minor, test_support::TestControlPlane};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::{PATIENCE, remote_from};

fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A validating webhook for pods with a Service behind it.
fn webhook(name: &str, policy: &str, selectors: &Value) -> ValidatingWebhookConfiguration {
    typed(json!({ "metadata": { "name": name }, "webhooks": [{
        "name": format!("{name}.example.com"), "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "failurePolicy": policy, "clientConfig": { "service": { "namespace": "default", "name": name } },
        "namespaceSelector": selectors["namespace"], "objectSelector": selectors["object"],
        "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] }],
    }] }))
}

async fn post<K>(client: &Client, value: Value)
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + DeserializeOwned,
{
    Api::<K>::default_namespaced(client.clone()).create(&PostParams::default(), &typed(value)).await.unwrap();
}

/// Makes a pod once its namespace has the account that pods run as.
async fn unserved_pod(client: &Client, pod: Value) {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let made = async {
        while let Err(error) = pods.create(&PostParams::default(), &typed(pod.clone())).await {
            assert!(error.to_string().contains("serviceaccount"), "{error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, made).await.expect("the pod is made");
}

/// Looks until what is seen is as wanted.
async fn seen(
    remote: &Remote,
    wanted: impl Fn(&fleet_api::inside::Inside) -> bool,
) -> fleet_api::inside::Inside {
    let looking = async {
        loop {
            let inside = look_inside(remote).await.unwrap();
            if wanted(&inside) {
                return inside;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("it is seen in the end")
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_without_room_and_webhooks_without_anybody_behind_them_are_seen() {
    let plane = TestControlPlane::start(Minor::V1_36).await.expect("a control plane starts");
    let remote = remote_from(&plane.control_plane.admin_kubeconfig(), Limits::default());
    let client = remote.client();
    assert_eq!(look_inside(&remote).await.unwrap(), fleet_api::inside::Inside::default());

    let budget = json!({ "metadata": { "name": "web" },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "web" } } } });
    post::<PodDisruptionBudget>(&client, budget).await;
    // No disruption controller runs here: the budget stays as the API server stores a new one, with zeros that say
    // nothing, and what may be harmless is found by looking for its pods.
    assert_eq!(look_inside(&remote).await.unwrap().budgets, []);
    // Pods that nobody schedules, which no webhook keeps from being made as there is none yet.
    let pod = json!({ "metadata": { "name": "web", "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "web", "image": "registry.k8s.io/pause:3.10" }] } });
    unserved_pod(&client, pod).await;
    let unjudged = look_inside(&remote).await.unwrap().budgets;
    assert_eq!(unjudged, [Budget { name: "default/web".to_owned(), allowed: None, pods: 1 }]);
    // The budget's status is written as its controller would with three pods.
    let budgets: Api<PodDisruptionBudget> = Api::default_namespaced(client.clone());
    let status = json!({ "status": { "observedGeneration": 1, "disruptionsAllowed": 0, "expectedPods": 3,
        "currentHealthy": 1, "desiredHealthy": 1 } });
    let inside = {
        let writing = async {
            loop {
                budgets.patch_status("web", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
                let inside = look_inside(&remote).await.unwrap();
                if inside.budgets.iter().any(|budget| budget.allowed == Some(0) && budget.pods == 3) {
                    return inside;
                }
            }
        };
        tokio::time::timeout(PATIENCE, writing).await.expect("the budget is seen")
    };
    assert_eq!(inside.budgets[0].name, "default/web");

    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let here = json!({ "matchLabels": { "kubernetes.io/metadata.name": "default" } });
    let web = json!({ "matchLabels": { "app": "web" } });
    let nobody = json!({ "matchLabels": { "never": "there" } });
    for (name, policy, selectors) in [
        ("alone", "Fail", json!({ "namespace": here, "object": web })),
        ("served", "Fail", json!({ "namespace": here, "object": {} })),
        ("lenient", "Ignore", json!({ "namespace": here, "object": {} })),
        ("elsewhere", "Fail", json!({ "namespace": nobody, "object": {} })),
        ("others", "Fail", json!({ "namespace": here, "object": nobody })),
    ] {
        configurations.create(&PostParams::default(), &webhook(name, policy, &selectors)).await.unwrap();
        let service = json!({ "metadata": { "name": name }, "spec": { "ports": [{ "port": 443 }] } });
        post::<Service>(&client, service).await;
    }
    let slice = json!({ "metadata": { "name": "served-1", "labels": { "kubernetes.io/service-name": "served" } },
        "addressType": "IPv4", "endpoints": [{ "addresses": ["10.0.0.9"], "conditions": { "ready": true } }],
        "ports": [{ "port": 8443 }] });
    post::<EndpointSlice>(&client, slice).await;
    let inside = seen(&remote, |inside| inside.webhooks.len() == 2).await;
    let told: Vec<(&str, bool)> = inside
        .webhooks
        .iter()
        .map(|webhook| (webhook.service.as_deref().unwrap(), webhook.answers))
        .collect();
    assert_eq!(told, [("default/alone", false), ("default/served", true)]);
    assert!(!inside.cut_off);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gates_job_is_made_once_from_its_cron_job_and_judged_by_how_it_ends() {
    let plane = TestControlPlane::start(Minor::V1_36).await.expect("a control plane starts");
    let remote = remote_from(&plane.control_plane.admin_kubeconfig(), Limits::default());
    let client = remote.client();
    let run = JobRun {
        namespace: "default".to_owned(),
        cron_job: "smoke".to_owned(),
        name: "fleet-gate-0123456789abcdef".to_owned(),
        deadline: Duration::from_secs(600),
    };
    let now = Timestamp::now();
    let missing = run_job(&remote, &run, now).await.unwrap_err();
    assert!(missing.is_not_found(), "{missing}");

    let cron_job = json!({ "metadata": { "name": "smoke" }, "spec": { "schedule": "0 0 1 1 *", "suspend": true,
        "jobTemplate": { "spec": { "backoffLimit": 0, "template": { "spec": { "restartPolicy": "Never",
            "containers": [{ "name": "smoke", "image": "registry.k8s.io/pause:3.10" }] } } } } } });
    post::<CronJob>(&client, cron_job).await;
    assert_eq!(run_job(&remote, &run, now).await.unwrap(), JobState::Running);
    assert_eq!(run_job(&remote, &run, now).await.unwrap(), JobState::Running);
    let jobs: Api<Job> = Api::default_namespaced(client);
    let made = jobs.list(&Default::default()).await.unwrap().items;
    assert_eq!(made.len(), 1, "it is made once");
    assert_eq!(made[0].spec.as_ref().unwrap().active_deadline_seconds, Some(600));
    let late = now.checked_add(jiff::SignedDuration::from_mins(11)).unwrap();
    assert!(matches!(run_job(&remote, &run, late).await.unwrap(), JobState::Failed(_)));
}
