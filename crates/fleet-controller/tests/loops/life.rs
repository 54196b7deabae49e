//! The whole life of a tenant, under the permissions of the manifests: created, hardened, proven, repaired, upgraded,
//! watched over a restart, deleted with a receipt.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use fleet_api::{
    ClusterName, conditions, labels,
    receipt::DeletionReceipt,
    v1alpha1::{Tenant, TenantCluster, VersionCalendar, VersionChannel},
};
use fleet_provider::fake::FakeEks;
use k8s_openapi::{
    api::{
        authentication::v1::{TokenRequest, TokenRequestSpec},
        core::v1::{ConfigMap, ServiceAccount},
        networking::v1::NetworkPolicy,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleRef, Subject},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use local_control_plane::{ControlPlane, Minor};
use serde_json::json;

use crate::{
    process::{Options, PLAIN, Process},
    support::{Hub, cluster_has, config, fleet, quick_cloud, tenant, tenant_has, until},
};

/// Group, resource and verb.
type Asked = BTreeSet<(String, String, String)>;

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_hardened_watched_and_deleted_with_no_more_than_the_permissions_of_the_manifests() {
    let hub = Hub::start().await;
    let mut plane = hub.plane.etcd.control_plane("tenant", Minor::V1_35).await.unwrap();
    let cloud = quick_cloud();
    hub.apply(&fleet(3)).await;
    hub.apply(&tenant("acme", "eks")).await;
    let cluster_name = stand_behind(&hub, &cloud, &plane).await;

    let asked = Arc::new(Mutex::new(Asked::new()));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::clone(&asked);
    let options = Options {
        lease: true,
        witness: Some(Arc::new(move |method, path, query| {
            seen.lock().unwrap().extend(permission(method, path, query));
        })),
        listener: Some(listener),
    };
    let controller = Process::start(&hub.controller, Arc::new(cloud.clone()), options);
    let ready = hub.tenant_is("acme", "the tenant is ready", is_ready).await;
    assert_eq!(ready.status.as_ref().unwrap().version.unwrap().to_string(), "1.35");
    assert_eq!(get(address, "/readyz").await, "ok\n");
    let metrics = get(address, "/metrics").await;
    assert!(metrics.contains("fleet_leader 1") && metrics.contains("fleet_tenants_ready 1"), "{metrics}");
    let cluster = hub.clusters().get("acme").await.unwrap();
    let status = cluster.status.clone().unwrap();
    assert_eq!(status.baseline.proven_revision, status.baseline.revision);
    assert!(status.baseline.probes.pass > 0 && status.step.is_none(), "{status:?}");
    judges_what_its_people_choose(&hub).await;
    controller.stop().await;

    // After a restart, what is missing is found at the first look, and what goes later is put back at once.
    let again = Process::start(&hub.controller, Arc::new(cloud.clone()), PLAIN);
    let tenant_api = Client::try_from(config(&plane.admin_kubeconfig()).await).unwrap();
    let policies: Api<NetworkPolicy> = Api::namespaced(tenant_api, "acme");
    lose_a_policy(&policies).await;
    hub.tenant_is("acme", "the tenant is ready after the first look", is_ready).await;
    lose_a_policy(&policies).await;
    hub.cluster_is("acme", "the repair is told", |cluster| {
        cluster.status.as_ref().is_some_and(|status| status.baseline.repairs >= 1)
    })
    .await;
    hub.tenant_is("acme", "the tenant is ready after the repair", is_ready).await;

    // The channel moves on, and the tenant with it: proven anew on the next minor.
    let channels: Api<VersionChannel> = Api::all(hub.admin.clone());
    let next = json!({ "spec": { "versions": [{ "version": "1.35" }, { "version": "1.36" }] } });
    channels.patch("stable", &PatchParams::default(), &Patch::Merge(&next)).await.unwrap();
    until("the cloud has the next minor", || async {
        let clusters = cloud.clusters();
        clusters.first().is_some_and(|cluster| cluster.version.to_string() == "1.36").then_some(())
    })
    .await;
    plane.restart_as(Minor::V1_36).await.unwrap();
    let upgraded = hub
        .tenant_is("acme", "the tenant is ready on the next minor", |tenant| {
            let version = tenant.status.as_ref().and_then(|status| status.version);
            is_ready(tenant) && version.is_some_and(|version| version.to_string() == "1.36")
        })
        .await;
    let status = hub
        .cluster_is("acme", "the upgrade is over", |cluster| cluster_has(cluster, conditions::UP_TO_DATE))
        .await
        .status
        .unwrap();
    assert!(status.step.is_none() && status.last_update.is_some(), "{status:?} {upgraded:?}");
    again.stop().await;

    // A restart over an unchanged tenant writes to nobody.
    let before = versions(&hub).await;
    let reads = cloud.reads();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let quiet = Process::start(
        &hub.controller,
        Arc::new(cloud.clone()),
        Options { listener: Some(listener), ..PLAIN },
    );
    until("the quiet controller has looked, entered and told", || async {
        let metrics = get(address, "/metrics").await;
        let told = metrics.lines().any(|line| {
            line.strip_prefix(r#"fleet_reconciles_total{kind="TenantCluster",result="ok"} "#)
                .is_some_and(|count| count.parse::<u32>().is_ok_and(|count| count >= 2))
        });
        (told && cloud.reads() > reads).then_some(())
    })
    .await;
    assert_eq!(versions(&hub).await, before, "an unchanged restart writes to nobody");
    assert!(!get(address, "/metrics").await.contains("fleet_status_writes_total{"));
    quiet.stop().await;

    let seen = Arc::clone(&asked);
    let last = Process::start(
        &hub.controller,
        Arc::new(cloud.clone()),
        Options {
            witness: Some(Arc::new(move |method, path, query| {
                seen.lock().unwrap().extend(permission(method, path, query));
            })),
            ..PLAIN
        },
    );
    hub.tenants().delete("acme", &DeleteParams::default()).await.unwrap();
    hub.tenant_is_gone("acme").await;
    assert!(cloud.clusters().is_empty());
    let receipts: Api<ConfigMap> = Api::namespaced(hub.admin.clone(), labels::SYSTEM_NAMESPACE);
    let map = receipts.get(&format!("receipt-{cluster_name}")).await.unwrap();
    let receipt: DeletionReceipt = serde_json::from_str(&map.data.unwrap()["receipt.json"]).unwrap();
    assert!(receipt.finished_at.is_some(), "{receipt:?}");
    // The logs of a cluster outlive it, and the receipt says so.
    assert!(receipt.remaining.iter().all(|item| item.kind == "log group"), "{receipt:?}");
    assert!(receipt.deleted.iter().any(|item| item.id.contains(&cluster_name)), "{receipt:?}");
    last.stop().await;

    let asked = asked.lock().unwrap().clone();
    let granted = granted(&hub.admin).await;
    let too_little: Vec<_> = asked.difference(&granted).collect();
    assert!(too_little.is_empty(), "asked for, and not granted: {too_little:?}");
    // What only a rare moment asks for: somebody else wrote at the same moment; the same event came twice. Rollouts have
    // a test of their own, under the same Roles.
    let rare = [
        ("tenantfleet.dev", "tenants", "get"),
        ("events.k8s.io", "events", "patch"),
        ("tenantfleet.dev", "rollouts/status", "update"),
        ("tenantfleet.dev", "rolloutmembers/status", "update"),
        ("", "secrets", "get"),
    ]
    .map(|(group, resource, verb)| (group.to_owned(), resource.to_owned(), verb.to_owned()));
    let needed: Asked = asked.union(&rare.into()).cloned().collect();
    let too_much: Vec<_> = granted.difference(&needed).collect();
    assert!(too_much.is_empty(), "granted, and never asked for: {too_much:?}");
}

/// The tenant's people choose inside the bounds, and the region's calendar is there to judge by.
async fn judges_what_its_people_choose(hub: &Hub) {
    // Open at any time: what is tested here is not held up.
    const ALWAYS: &str =
        r#"windows: [{days: [Mon, Tue, Wed, Thu, Fri, Sat, Sun], start: "00:00", duration: 72h}]"#;
    hub.apply(crate::people::NAMESPACE).await;
    hub.apply(&crate::people::preference(ALWAYS)).await;
    hub.cluster_is("acme", "what was chosen is in the cluster's spec", |cluster| {
        let times = cluster.spec.maintenance.as_ref();
        times.and_then(|times| times.chosen.as_ref()).is_some_and(|chosen| chosen.windows.len() == 1)
    })
    .await;
    let calendars: Api<VersionCalendar> = Api::all(hub.admin.clone());
    let calendar = until("the region's calendar is stored", || async {
        calendars.get_opt("eu-central-1").await.unwrap()
    })
    .await;
    assert!(calendar.spec.versions.iter().any(|offer| offer.version.to_string() == "1.36"), "{calendar:?}");
}

pub(crate) fn is_ready(tenant: &Tenant) -> bool {
    tenant_has(tenant, conditions::READY, "True")
}

/// Deletes a network policy, and waits until another one of the same name is there.
async fn lose_a_policy(policies: &Api<NetworkPolicy>) {
    let victim = policies.list(&ListParams::default()).await.unwrap().items.remove(0);
    policies.delete(&victim.name_any(), &DeleteParams::default()).await.unwrap();
    until("a deleted policy is put back", || async {
        let now = policies.get_opt(&victim.name_any()).await.unwrap()?;
        (now.uid() != victim.uid()).then_some(())
    })
    .await;
}

/// Puts a real API server behind the tenant's cluster, and gives the cluster's name.
pub(crate) async fn stand_behind(hub: &Hub, cloud: &FakeEks, plane: &ControlPlane) -> String {
    let tenant = hub.tenants().get("acme").await.unwrap();
    let name = ClusterName::derive(&"acme".parse().unwrap(), &tenant.uid().unwrap()).as_str().to_owned();
    let kubeconfig: serde_yaml::Value = serde_yaml::from_str(&plane.admin_kubeconfig()).unwrap();
    let authority = kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"].as_str().unwrap();
    cloud.set_endpoint(&name, &plane.endpoint(), authority);
    cloud.set_token(&name, &admin_token(plane).await);
    name
}

/// A token that may do everything in a cluster, as the controller's access entry may.
async fn admin_token(plane: &ControlPlane) -> String {
    let client = Client::try_from(config(&plane.admin_kubeconfig()).await).unwrap();
    let named = |name: &str| ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "kube-system");
    let account = ServiceAccount { metadata: named("fleet"), ..ServiceAccount::default() };
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let binding = ClusterRoleBinding {
        metadata: named("fleet"),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "ClusterRole".to_owned(),
            name: "cluster-admin".to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: "fleet".to_owned(),
            namespace: Some("kube-system".to_owned()),
            api_group: None,
        }]),
    };
    Api::<ClusterRoleBinding>::all(client).create(&PostParams::default(), &binding).await.unwrap();
    let request = TokenRequest {
        spec: TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() },
        ..TokenRequest::default()
    };
    let answer = accounts.create_token_request("fleet", &PostParams::default(), &request).await.unwrap();
    answer.status.unwrap().token
}

/// The resource versions of everything that the controller writes.
async fn versions(hub: &Hub) -> Vec<Option<String>> {
    let tenant: Tenant = hub.tenants().get("acme").await.unwrap();
    let cluster: TenantCluster = hub.clusters().get("acme").await.unwrap();
    vec![tenant.resource_version(), cluster.resource_version()]
}

/// One GET over plain HTTP: the body.
pub(crate) async fn get(address: std::net::SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// What RBAC judges a request by; `None` for a request that no rule is about.
fn permission(method: &str, path: &str, query: &str) -> Vec<(String, String, String)> {
    let mut parts = path.trim_matches('/').split('/');
    let group = match parts.next() {
        Some("api") => String::new(),
        Some("apis") => parts.next().unwrap().to_owned(),
        _ => return Vec::new(),
    };
    let mut rest: Vec<&str> = parts.skip(1).collect();
    if rest.first() == Some(&"namespaces") && rest.len() > 2 {
        rest.drain(..2);
    }
    let Some(resource) = rest.first() else { return Vec::new() };
    let resource = match rest.get(2) {
        Some(subresource) => format!("{resource}/{subresource}"),
        None => (*resource).to_owned(),
    };
    let named = rest.len() > 1;
    let verbs: &[&str] = match method {
        "GET" if named => &["get"],
        "GET" if query.contains("watch=true") => &["watch"],
        "GET" => &["list"],
        "POST" => &["create"],
        "PUT" => &["update"],
        // Server-side apply of what is not there yet creates it.
        "PATCH" if query.contains("fieldManager") => &["create", "patch"],
        "PATCH" => &["patch"],
        _ => &["delete"],
    };
    verbs.iter().map(|verb| (group.clone(), resource.clone(), (*verb).to_owned())).collect()
}

/// What the Roles of the manifests grant, as they are stored.
async fn granted(admin: &Client) -> Asked {
    let mut rules =
        Api::<ClusterRole>::all(admin.clone()).get("fleet-controller").await.unwrap().rules.unwrap();
    for namespace in [labels::SYSTEM_NAMESPACE, "default"] {
        let role = Api::<Role>::namespaced(admin.clone(), namespace).get("fleet-controller").await.unwrap();
        rules.extend(role.rules.unwrap());
    }
    let mut granted = Asked::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                granted.extend(rule.verbs.iter().map(|verb| (group.clone(), resource.clone(), verb.clone())));
            }
        }
    }
    granted
}
