//! The main job, end to end, with the built programs on real control planes: one story, told in order.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![expect(unreachable_pub, reason = "the modules of a test are its own")]

mod world;

use std::{fs, path::Path, process::Command};

use local_control_plane::{Assets, Minor};
use serde_json::Value;
use world::{World, root, text, until};

const PLATFORM: &str = "arn:aws:iam::444455556666:role/platform-admin";
const PLATFORM_GENERAL: &str = "arn:aws:iam::111122223333:role/platform-admin";
const TENANT: &str = "arn:aws:iam::444455556666:role/acme-payments-admin";

fn is_ready(tenant: &Value) -> bool {
    tenant["state"] == "ready"
}

#[tokio::test]
async fn a_fleet_is_provisioned_hardened_upgraded_and_deleted_through_crashes() {
    let assets = Assets::ensure(&[Minor::V1_35, Minor::V1_36], &|_| {}).await.unwrap();
    let world = World::new(assets.kubectl().unwrap().to_owned());
    up_and_applied(&world);
    weakening_is_put_back(&world);
    the_tenant_cannot_weaken(&world);
    one_api_server_down_concerns_one_tenant(&world);
    a_restart_writes_nothing(&world);
    an_upgrade_survives_a_kill(&world);
    a_creation_survives_a_kill(&world);
    a_deletion_survives_a_kill(&world);
    a_broken_spec_is_refused(&world);
    down_leaves_nothing(&world);
}

fn up_and_applied(world: &World) {
    world.must(&["sandbox", "up"]);
    let second = world.fleet(&["sandbox", "up"]);
    assert!(text(&second).contains("runs already: pid"), "the holder is not named: {}", text(&second));
    copy(&root().join("fleet/demo"), &world.path("demo"));
    apply(world);
    let status = world.json(&["status"]);
    assert_eq!(status["summary"]["tenants"], 3);
    assert_eq!(status["summary"]["states"]["ready"], 3, "{status:#}");
    assert_eq!(status["summary"]["versions"]["1.36"], 1, "{status:#}");
    let unchanged = world.fleet(&["plan", "-f", world.path("demo").to_str().unwrap(), "--exit-code"]);
    assert_eq!(unchanged.status.code(), Some(0), "{}", text(&unchanged));
}

fn apply(world: &World) {
    world.must(&["apply", "-f", world.path("demo").to_str().unwrap(), "--yes", "--wait", "--timeout", "5m"]);
}

fn weakening_is_put_back(world: &World) {
    let admin = world.enter("acme-payments", PLATFORM);
    world.kubectl_must(&admin, &["delete", "networkpolicy", "-n", "payments", "--all"]);
    world.kubectl_must(&admin, &["delete", "validatingadmissionpolicybinding", "fleet-pod-7"]);
    until("the network policies and the binding are back", || {
        let policies = world.kubectl_must(&admin, &["get", "networkpolicy", "-n", "payments", "-o", "name"]);
        let bindings = world.kubectl_must(&admin, &["get", "validatingadmissionpolicybinding", "-o", "name"]);
        (policies.lines().count() == 3 && bindings.contains("fleet-pod-7\n")).then_some(())
    });
    world.until_tenant("acme-payments", "is ready again", is_ready);
}

fn the_tenant_cannot_weaken(world: &World) {
    let tenant = world.enter("acme-payments", TENANT);
    let denied = |arguments: &[&str], by: &str| {
        let output = world.kubectl(&tenant, arguments);
        assert!(!output.status.success(), "`kubectl {}` was allowed", arguments.join(" "));
        assert!(
            text(&output).contains(by),
            "`{}` was denied otherwise: {}",
            arguments.join(" "),
            text(&output)
        );
    };
    let overrides = |image: &str, privileged: bool| {
        let restricted = format!(
            r#"{{"allowPrivilegeEscalation":{privileged},"privileged":{privileged},"runAsNonRoot":true,"capabilities":{{"drop":["ALL"]}},"seccompProfile":{{"type":"RuntimeDefault"}}}}"#
        );
        format!(
            r#"--overrides={{"spec":{{"automountServiceAccountToken":false,"containers":[{{"name":"c","image":"{image}","securityContext":{restricted}}}]}}}}"#
        )
    };
    let run = |name: &'static str, image: &'static str, privileged: bool| {
        [
            "run".to_owned(),
            name.to_owned(),
            "-n".to_owned(),
            "payments".to_owned(),
            format!("--image={image}"),
            overrides(image, privileged),
        ]
    };
    let privileged = run("privileged", "registry.k8s.io/pause:3.10", true);
    denied(&privileged.each_ref().map(String::as_str), "violates PodSecurity");
    let elsewhere = run("elsewhere", "docker.io/evil/image:1", false);
    denied(&elsewhere.each_ref().map(String::as_str), "fleet-pod-7");
    denied(&["create", "clusterrolebinding", "x", "--clusterrole=cluster-admin", "--user=me"], "forbidden");
    denied(
        &["create", "rolebinding", "x", "-n", "payments", "--clusterrole=cluster-admin", "--user=me"],
        "forbidden",
    );
    let relabel = "pod-security.kubernetes.io/enforce=privileged";
    denied(&["label", "namespace", "payments", relabel, "--overwrite"], "forbidden");
    world.kubectl_must(&tenant, &["create", "configmap", "mine", "-n", "payments"]);
}

fn one_api_server_down_concerns_one_tenant(world: &World) {
    let cluster = world.tenant("globex-web")["cluster"].as_str().unwrap().to_owned();
    world.emulator("POST", &format!("stop-control-plane/{cluster}"));
    let down = world.until_tenant("globex-web", "is reported", |tenant| !is_ready(tenant));
    assert!(!down["message"].as_str().unwrap().is_empty(), "{down:#}");
    let why = world.fleet(&["why", "globex-web"]);
    assert_eq!(why.status.code(), Some(1), "a tenant that is not ready: {}", text(&why));
    assert!(text(&why).contains("ApiServerUnreachable"), "{}", text(&why));
    assert!(is_ready(&world.tenant("acme-payments")) && is_ready(&world.tenant("initech-batch")));
    world.emulator("POST", &format!("start-control-plane/{cluster}"));
    world.until_tenant("globex-web", "is ready again", is_ready);
}

/// The resource versions of everything that the controller writes for the tenants.
fn written(world: &World) -> Vec<String> {
    let kubeconfig = world.state().join("kubeconfig");
    let all = world.kubectl_must(&kubeconfig, &["get", "tenants,tenantclusters", "-o", "json"]);
    let all: Value = serde_json::from_str(&all).unwrap();
    let items = all["items"].as_array().unwrap().iter();
    items.map(|item| format!("{} {}", item["kind"], item["metadata"]["resourceVersion"])).collect()
}

fn a_restart_writes_nothing(world: &World) {
    // The last repair may still be told: wait until two looks in a row are the same.
    let before = until("the fleet is at rest", || {
        let first = written(world);
        world.must(&["status"]);
        (first == written(world)).then_some(first)
    });
    world.kill_controller();
    let kubeconfig = world.state().join("kubeconfig");
    let lease =
        ["get", "lease", "-n", "fleet-system", "fleet-controller", "-o", "jsonpath={.spec.leaseTransitions}"];
    let transitions = world.kubectl_must(&kubeconfig, &lease);
    until("the new controller leads", || {
        (world.kubectl_must(&kubeconfig, &lease) != transitions).then_some(())
    });
    until("every tenant has been looked at", || {
        let status = world.json(&["sandbox", "status"]);
        let services = status["services"].as_array()?.clone();
        let controller = services.iter().find(|service| service["name"] == "fleet-controller")?;
        let metrics = get(controller["address"].as_str()?, "/metrics")?;
        let reconciled = metrics.lines().find(|line| {
            line.starts_with("fleet_reconciles_total")
                && line.contains("\"TenantCluster\"")
                && line.contains("\"ok\"")
        })?;
        (reconciled.rsplit(' ').next()?.parse::<u64>().ok()? >= 3).then_some(())
    });
    assert_eq!(written(world), before, "a restart wrote to an unchanged tenant");
}

/// The body of a plain GET.
fn get(address: &str, path: &str) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn an_upgrade_survives_a_kill(world: &World) {
    let admin = world.enter("initech-batch", PLATFORM_GENERAL);
    world.kubectl_must(&admin, &["create", "configmap", "kept", "-n", "initech-batch", "--from-literal=a=b"]);
    let spec = world.path("demo/tenants/initech-batch.yaml");
    let changed = fs::read_to_string(&spec).unwrap().replace("version: \"1.35\"", "version: \"1.36\"");
    fs::write(&spec, changed).unwrap();
    world.must(&["apply", "-f", world.path("demo").to_str().unwrap(), "--yes"]);
    world.until_tenant("initech-batch", "is being upgraded", |tenant| !is_ready(tenant));
    world.kill_controller();
    world.until_tenant("initech-batch", "is ready at 1.36", |tenant| {
        is_ready(tenant) && tenant["version"] == "1.36"
    });
    let version = world.kubectl_must(&admin, &["version", "-o", "json"]);
    let version: Value = serde_json::from_str(&version).unwrap();
    assert_eq!(version["serverVersion"]["minor"], "36");
    world.kubectl_must(&admin, &["get", "configmap", "kept", "-n", "initech-batch"]);
}

fn a_creation_survives_a_kill(world: &World) {
    let text = fs::read_to_string(world.path("demo/tenants/initech-batch.yaml")).unwrap();
    let text = text.replace("initech-batch", "hooli-edge");
    fs::write(world.path("demo/tenants/hooli-edge.yaml"), text).unwrap();
    world.must(&["apply", "-f", world.path("demo").to_str().unwrap(), "--yes"]);
    until("the cloud makes the cluster", || {
        world.clusters().iter().any(|name| name.starts_with("hooli-edge-")).then_some(())
    });
    world.kill_controller();
    world.until_tenant("hooli-edge", "is ready", is_ready);
    let made = world.clusters().iter().filter(|name| name.starts_with("hooli-edge-")).count();
    assert_eq!(made, 1, "{:?}", world.clusters());
}

fn a_deletion_survives_a_kill(world: &World) {
    world.must(&["delete", "initech-batch", "--confirm", "initech-batch"]);
    world.until_tenant("initech-batch", "is being deleted", |tenant| tenant["state"] == "deleting");
    world.kill_controller();
    until("the cluster is gone", || {
        (!world.clusters().iter().any(|name| name.starts_with("initech-batch-"))).then_some(())
    });
    world.until_tenant("initech-batch", "is gone", Value::is_null);
    let receipt = world.must(&["receipt", "initech-batch"]);
    assert!(receipt.contains("cluster/initech-batch-") && receipt.contains("finished"), "{receipt}");
}

fn a_broken_spec_is_refused(world: &World) {
    let spec = world.path("demo/tenants/acme-payments.yaml");
    let text_before = fs::read_to_string(&spec).unwrap();
    fs::write(&spec, text_before.replace("class: eks-regulated", "class: eks-regulatd")).unwrap();
    let refused = world.fleet(&["apply", "-f", world.path("demo").to_str().unwrap(), "--yes"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(text(&refused).contains("acme-payments.yaml:"), "{}", text(&refused));
    assert!(text(&refused).contains("did you mean `eks-regulated`"), "{}", text(&refused));
    fs::write(&spec, text_before).unwrap();
    world.until_tenant("acme-payments", "is as it was", is_ready);
}

fn down_leaves_nothing(world: &World) {
    world.must(&["sandbox", "down"]);
    assert!(!world.state().exists(), "{} is still there", world.state().display());
    let folder = world.state().display().to_string();
    let processes = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let left: Vec<String> =
        text(&processes).lines().filter(|line| line.contains(&folder)).map(str::to_owned).collect();
    assert_eq!(left, Vec::<String>::new());
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
