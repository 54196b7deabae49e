//! A real API server behind a cluster: token and access entries, an upgrade over the same data, nothing left.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::{path::Path, process::Command, time::Duration};

use aws_credential_types::Credentials;
use aws_sdk_eks::{
    Client,
    types::{AccessScope, AccessScopeType, Cluster, ClusterStatus, UpdateStatus},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::{ACCOUNT, CONTROLLER, Fixture, OPERATOR, REGION, create, token, until_over, until_status};
use eks_emulator::{Backend, Config, Durations};
use local_control_plane::test_support::TestEtcd;

const STS: &str = "https://sts.eu-central-1.amazonaws.com";

/// kubectl against a cluster, with a token.
struct Kubectl<'k> {
    program: &'k Path,
    dir: &'k Path,
    server: String,
}

impl<'k> Kubectl<'k> {
    fn new(program: &'k Path, dir: &'k Path, cluster: &Cluster) -> Self {
        let ca = cluster.certificate_authority().unwrap().data().unwrap();
        std::fs::write(dir.join("ca.pem"), STANDARD.decode(ca).unwrap()).unwrap();
        Self { program, dir, server: cluster.endpoint().unwrap().to_owned() }
    }

    fn run(&self, token: &str, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(self.program)
            .args([
                "--kubeconfig=/dev/null",
                "--server",
                &self.server,
                "--certificate-authority",
                self.dir.join("ca.pem").to_str().unwrap(),
                "--token",
                token,
                "--cache-dir",
                self.dir.join("cache").to_str().unwrap(),
            ])
            .args(arguments)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    fn ok(&self, token: &str, arguments: &[&str]) -> String {
        let (ok, text) = self.run(token, arguments);
        assert!(ok, "{arguments:?}: {text}");
        text
    }
}

fn real(etcd: &TestEtcd) -> impl FnOnce(&mut Config) + use<> {
    let endpoint = etcd.endpoint();
    move |config| {
        config.durations = Durations::instant();
        let Backend::Real { minors, .. } = Backend::real() else { unreachable!() };
        config.backend = Backend::Real { etcd: Some(endpoint), minors };
    }
}

async fn enter(eks: &Client, principal: &str, policy: Option<(&str, AccessScope)>) {
    eks.create_access_entry().cluster_name("one").principal_arn(principal).send().await.unwrap();
    if let Some((policy, scope)) = policy {
        let call = eks.associate_access_policy().cluster_name("one").principal_arn(principal);
        let arn = format!("arn:aws:eks::aws:cluster-access-policy/{policy}");
        call.policy_arn(arn).access_scope(scope).send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_lives_on_a_real_api_server_from_creation_to_deletion() {
    let etcd = TestEtcd::start().await.unwrap();
    let fixture = Fixture::start(real(&etcd)).await;
    let eks = fixture.eks().await;
    create(&eks, "one", "1.35").send().await.unwrap();
    let cluster = until_status(&eks, "one", ClusterStatus::Active).await;
    let dir = tempfile::tempdir().unwrap();
    let kubectl = Kubectl::new(etcd.assets.kubectl().unwrap(), dir.path(), &cluster);

    // Without an access entry even the fleet's own role is nobody.
    let manager = fixture.assume(CONTROLLER, ACCOUNT, "fleet-manager").await;
    let manager_token = token(&manager, "one", STS);
    let (ok, text) = kubectl.run(&manager_token, &["get", "namespaces"]);
    assert!(!ok && text.contains("logged in"), "{text}");

    let everywhere = AccessScope::builder().r#type(AccessScopeType::Cluster).build();
    let manager_arn = "arn:aws:iam::111122223333:role/fleet-manager";
    enter(&eks, manager_arn, Some(("AmazonEKSClusterAdminPolicy", everywhere))).await;
    let tenant_arn = "arn:aws:iam::111122223333:role/globex-web-admin";
    let in_web = AccessScope::builder().r#type(AccessScopeType::Namespace).namespaces("web").build();
    enter(&eks, tenant_arn, Some(("AmazonEKSEditPolicy", in_web))).await;
    // The API server believes the refusal for a second.
    until_ok(&kubectl, &manager_token, &["get", "namespaces"]).await;

    let identity = kubectl.ok(&manager_token, &["auth", "whoami"]);
    assert!(identity.contains("arn:aws:sts::111122223333:assumed-role/fleet-manager/test"), "{identity}");
    assert!(kubectl.ok(&manager_token, &["version"]).contains("Server Version: v1.35"));
    kubectl.ok(&manager_token, &["create", "namespace", "web"]);
    kubectl.ok(&manager_token, &["create", "configmap", "kept", "--namespace=web", "--from-literal=a=b"]);

    // The tenant edits in its namespace, and there only.
    let tenant = fixture.assume(OPERATOR, ACCOUNT, "globex-web-admin").await;
    let local = token(&tenant, "one", &fixture.running.endpoint_url());
    kubectl.ok(&local, &["create", "configmap", "theirs", "--namespace=web", "--from-literal=a=b"]);
    for refused in [&["get", "configmaps", "--namespace=default"][..], &["create", "namespace", "x"]] {
        let (ok, text) = kubectl.run(&local, refused);
        assert!(!ok && text.contains("forbidden"), "{text}");
    }
    // Nobody else's cluster, key or host.
    let foreign = Credentials::new(
        tenant.access_key_id(),
        "wrong",
        tenant.session_token().map(str::to_owned),
        None,
        "x",
    );
    for wrong in [
        token(&tenant, "two", STS),
        token(&foreign, "one", STS),
        token(&tenant, "one", "https://sts.eu-central-1.amazonaws.com.example.org"),
    ] {
        assert!(!kubectl.run(&wrong, &["get", "configmaps", "--namespace=web"]).0);
    }

    // The next minor over the same data, at the same place.
    let update =
        eks.update_cluster_version().name("one").version("1.36").send().await.unwrap().update.unwrap();
    let over = until_over(&eks, "one", update.id().unwrap()).await;
    assert_eq!(over.status, Some(UpdateStatus::Successful));
    let after = until_status(&eks, "one", ClusterStatus::Active).await;
    assert_eq!(after.endpoint, cluster.endpoint);
    assert!(kubectl.ok(&manager_token, &["version"]).contains("Server Version: v1.36"));
    kubectl.ok(&manager_token, &["get", "configmap", "kept", "--namespace=web"]);

    // And back.
    let update =
        eks.update_cluster_version().name("one").version("1.35").send().await.unwrap().update.unwrap();
    until_over(&eks, "one", update.id().unwrap()).await;
    assert!(kubectl.ok(&manager_token, &["version"]).contains("Server Version: v1.35"));
    kubectl.ok(&manager_token, &["get", "configmap", "kept", "--namespace=web"]);

    // A restart of the emulator finds its clusters again.
    let fixture = fixture.restart(real(&etcd)).await;
    let eks = fixture.eks().await;
    until_ok(&kubectl, &manager_token, &["get", "configmap", "kept", "--namespace=web"]).await;
    until_state(&fixture, |state| state.contains(r#""serving":"1.35""#) && state.contains("rssBytes")).await;

    // A test stops one tenant's API server: EKS does not notice.
    fixture.http.send("POST", "/_emulator/stop-control-plane/one", "").await;
    until_state(&fixture, |state| !state.contains(r#""serving":"1.35""#)).await;
    assert!(!kubectl.run(&manager_token, &["get", "namespaces"]).0);
    until_status(&eks, "one", ClusterStatus::Active).await;
    fixture.http.send("POST", "/_emulator/start-control-plane/one", "").await;
    until_state(&fixture, |state| state.contains(r#""serving":"1.35""#)).await;
    until_ok(&kubectl, &manager_token, &["get", "namespaces"]).await;

    kubectl.ok(
        &manager_token,
        &["create", "service", "loadbalancer", "front", "--tcp=80:80", "--namespace=web"],
    );
    eks.delete_cluster().name("one").send().await.unwrap();
    until_state(&fixture, |state| state.contains(r#""clusters":[]"#)).await;
    assert!(!kubectl.run(&manager_token, &["get", "namespaces"]).0);
    let folder = fixture.state.path().join("control-planes").join(ACCOUNT).join(REGION).join("one");
    assert!(!folder.exists());
    // What nobody cleaned up is found by its tags.
    let (_, left) = fixture.http.send("GET", "/_emulator/leftovers", "").await;
    assert!(left.contains("load-balancer") && left.contains("web/front"), "{left}");
    // The same name again is a new cluster without the data of the old one.
    create(&eks, "one", "1.36").send().await.unwrap();
    let cluster = until_status(&eks, "one", ClusterStatus::Active).await;
    let kubectl = Kubectl::new(etcd.assets.kubectl().unwrap(), dir.path(), &cluster);
    let everywhere = AccessScope::builder().r#type(AccessScopeType::Cluster).build();
    enter(&eks, manager_arn, Some(("AmazonEKSClusterAdminPolicy", everywhere))).await;
    until_ok(&kubectl, &manager_token, &["get", "namespaces"]).await;
    let (ok, text) = kubectl.run(&manager_token, &["get", "namespace", "web"]);
    assert!(!ok && text.contains("not found"), "{text}");
    fixture.running.stop().await;
}

async fn until_ok(kubectl: &Kubectl<'_>, token: &str, arguments: &[&str]) {
    let started = std::time::Instant::now();
    loop {
        let (ok, text) = kubectl.run(token, arguments);
        if ok {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{arguments:?}: {text}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn until_state(fixture: &Fixture, done: impl Fn(&str) -> bool) {
    let started = std::time::Instant::now();
    loop {
        let (_, state) = fixture.http.send("GET", "/_emulator/state", "").await;
        if done(&state) {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{state}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
