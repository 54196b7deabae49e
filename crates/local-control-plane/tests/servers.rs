//! Control planes of both minors, for real.
#![expect(clippy::unwrap_used, reason = "what the tests share panics as they do")]

use std::{
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use local_control_plane::{
    ControlPlane, Controllers, Error, Minor, ProcessIdentity, Webhook,
    test_support::{TestControlPlane, TestEtcd},
};

fn kubectl(control_plane: &ControlPlane, etcd: &TestEtcd, args: &[&str]) -> Output {
    let kubeconfig = etcd.dir().join("kubectl.kubeconfig");
    std::fs::write(&kubeconfig, control_plane.admin_kubeconfig()).unwrap();
    kubectl_as(&kubeconfig, etcd, args)
}

fn kubectl_as(kubeconfig: &Path, etcd: &TestEtcd, args: &[&str]) -> Output {
    Command::new(etcd.assets.kubectl().unwrap())
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(args)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn a_control_plane_of_each_minor_tells_its_version_and_objects_survive_an_upgrade_and_a_rollback() {
    let etcd = TestEtcd::start().await.unwrap();
    let mut older = etcd.control_plane("older", Minor::V1_35).await.unwrap();
    let newer = etcd.control_plane("newer", Minor::V1_36).await.unwrap();
    assert_eq!(older.version().await.unwrap(), etcd.assets.servers(Minor::V1_35).unwrap().version);
    assert_eq!(newer.version().await.unwrap(), etcd.assets.servers(Minor::V1_36).unwrap().version);
    for report in [older.report(), newer.report()] {
        println!(
            "{} {} ready after {} ms, {} MB",
            report.name,
            report.version,
            report.ready_after_millis,
            report.rss_bytes() / 1_000_000
        );
    }

    text(&kubectl(&older, &etcd, &["create", "namespace", "payments"]));
    let names = text(&kubectl(&newer, &etcd, &["get", "namespaces", "-o", "name"]));
    assert!(!names.contains("payments"), "control planes share an etcd, never data: {names}");

    let (endpoint, ca) = (older.endpoint(), older.ca_pem().to_owned());
    older.restart_as(Minor::V1_36).await.unwrap();
    assert!(older.version().await.unwrap().starts_with("v1.36."));
    assert_eq!((older.endpoint(), older.ca_pem()), (endpoint, ca.as_str()));
    println!("upgraded, ready after {} ms", older.report().ready_after_millis);
    text(&kubectl(&older, &etcd, &["get", "namespace", "payments"]));

    older.restart_as(Minor::V1_35).await.unwrap();
    assert!(older.version().await.unwrap().starts_with("v1.35."));
    text(&kubectl(&older, &etcd, &["get", "namespace", "payments"]));
}

#[tokio::test]
async fn a_tenants_controllers_do_what_tenants_rely_on() {
    let test = TestControlPlane::start(Minor::V1_35).await.unwrap();
    let run = |args: &[&str]| text(&kubectl(&test.control_plane, &test.etcd, args));
    run(&["create", "namespace", "shop"]);
    run(&["-n", "shop", "create", "quota", "pods", "--hard=pods=1"]);
    run(&["-n", "shop", "wait", "--for=jsonpath={.status.hard.pods}=1", "quota/pods", "--timeout=60s"]);
    run(&["-n", "shop", "wait", "--for=create", "configmap/kube-root-ca.crt", "--timeout=60s"]);
    let edit = run(&["get", "clusterrole", "edit", "-o", "jsonpath={.rules}"]);
    assert!(edit.contains("deployments"), "aggregated roles are filled: {edit}");
    run(&["-n", "shop", "create", "deployment", "web", "--image=example.test/web:1", "--replicas=2"]);
    let wait = "--for=jsonpath={.status.conditions[?(@.type==\"ReplicaFailure\")].status}=True";
    run(&["-n", "shop", "wait", wait, "deployment/web", "--timeout=60s"]);
    run(&["delete", "namespace", "shop", "--timeout=60s"]);
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_lets_nobody_in_and_leaves_the_admin_alone() {
    let test = TestControlPlane::start_with(Minor::V1_36, |spec| {
        let webhook = Webhook { url: "http://127.0.0.1:1/review".to_owned(), cache: Duration::from_secs(1) };
        spec.token_webhook = Some(webhook.clone());
        spec.authorization_webhook = Some(webhook);
        spec.controllers = Controllers::Management;
    })
    .await
    .unwrap();
    text(&kubectl(&test.control_plane, &test.etcd, &["get", "namespaces"]));

    let someone = test.etcd.dir().join("someone.kubeconfig");
    std::fs::write(&someone, test.control_plane.kubeconfig_for("someone", Some("people")).unwrap()).unwrap();
    let refused = kubectl_as(&someone, &test.etcd, &["get", "namespaces"]);
    assert!(!refused.status.success());
    assert!(refused.stdout.is_empty(), "{refused:?}");

    let token_file = test.etcd.dir().join("token");
    std::fs::write(&token_file, "k8s-aws-v1.unknown").unwrap();
    let bearer = test.etcd.dir().join("bearer.kubeconfig");
    std::fs::write(&bearer, test.control_plane.kubeconfig_with_token_file(&token_file)).unwrap();
    assert!(!kubectl_as(&bearer, &test.etcd, &["get", "namespaces"]).status.success());
}

#[tokio::test]
async fn a_killed_api_server_is_reported_and_can_be_started_again_over_its_data() {
    let mut test = TestControlPlane::start_with(Minor::V1_36, |spec| spec.controllers = Controllers::None)
        .await
        .unwrap();
    text(&kubectl(&test.control_plane, &test.etcd, &["create", "namespace", "kept"]));
    let api_server = test.control_plane.report().processes.remove(0).identity;
    assert!(api_server.signal(rustix::process::Signal::KILL).unwrap());
    let exit = test.control_plane.wait_exit().await;
    assert_eq!((exit.process.as_str(), exit.signal), ("kube-apiserver", Some(9)));
    assert_eq!(test.control_plane.exited(), Some(exit));

    test.control_plane.restart_as(Minor::V1_36).await.unwrap();
    assert_eq!(test.control_plane.exited(), None);
    text(&kubectl(&test.control_plane, &test.etcd, &["get", "namespace", "kept"]));
}

#[tokio::test]
async fn a_server_that_cannot_start_is_reported_with_the_end_of_its_log() {
    let wrong = TestControlPlane::start_with(Minor::V1_35, |spec| {
        spec.extra_args = vec!["--no-such-flag=1".to_owned()];
    });
    let error = wrong.await.unwrap_err();
    assert!(matches!(&error, Error::Exited(exit) if exit.code == Some(1)), "{error:?}");
    assert!(error.to_string().contains("no-such-flag"), "{error}");
}

#[tokio::test]
async fn nothing_is_left_when_a_test_is_over() {
    let test = TestControlPlane::start(Minor::V1_36).await.unwrap();
    let report = test.control_plane.report();
    let identities: Vec<ProcessIdentity> =
        report.processes.into_iter().map(|process| process.identity).collect();
    assert_eq!(identities.len(), 2);
    assert!(identities.iter().all(ProcessIdentity::is_alive));
    let dir = test.etcd.dir().to_path_buf();
    drop(test);
    assert!(!identities.iter().any(ProcessIdentity::is_alive));
    assert!(!dir.exists());
}
