//! The main job, end to end, with the built programs on real control planes: one story, told in order.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on may panic")]
#![expect(unreachable_pub, reason = "the modules of a test are its own")]

mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use fleet_tests::world::{World, copy, root, text, until};
use local_control_plane::{Assets, Minor};
use serde_json::Value;
use watch::Watch;

const PLATFORM: &str = "arn:aws:iam::444455556666:role/platform-admin";
const PLATFORM_GENERAL: &str = "arn:aws:iam::111122223333:role/platform-admin";
const TENANT: &str = "arn:aws:iam::444455556666:role/acme-payments-admin";

/// The tenants of the demo.
const TENANTS: [&str; 3] = ["acme-payments", "globex-web", "initech-batch"];

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
    let policies = || uids(world, &admin, &["networkpolicy", "-n", "payments"]);
    let bindings = || uids(world, &admin, &["validatingadmissionpolicybinding"]);
    let (policies_before, bindings_before) = (policies(), bindings());
    assert_eq!(policies_before.len(), 3, "{policies_before:?}");
    world.kubectl_must(&admin, &["delete", "networkpolicy", "-n", "payments", "--all"]);
    world.kubectl_must(&admin, &["delete", "validatingadmissionpolicybinding", "fleet-pod-7", "fleet-rb-1"]);
    let all_are_new = |before: &BTreeMap<String, String>, now: &BTreeMap<String, String>| {
        before.keys().eq(now.keys()) && before.iter().all(|(name, uid)| now[name] != *uid)
    };
    until("the network policies are back", || all_are_new(&policies_before, &policies()).then_some(()));
    until("the bindings are back", || {
        let deleted = |name: &String| name == "fleet-pod-7" || name == "fleet-rb-1";
        let only = |mut all: BTreeMap<String, String>| {
            all.retain(|name, _| deleted(name));
            all
        };
        all_are_new(&only(bindings_before.clone()), &only(bindings())).then_some(())
    });
    world.until_tenant("acme-payments", "is ready again", is_ready);
}

/// The objects of a kind by name, each with the id by which it is told apart from one that was made again.
fn uids(world: &World, kubeconfig: &Path, what: &[&str]) -> BTreeMap<String, String> {
    let all = ["get", "-o", r#"jsonpath={range .items[*]}{.metadata.name} {.metadata.uid}{"\n"}{end}"#];
    let listed = world.kubectl_must(kubeconfig, &[&all[..1], what, &all[1..]].concat());
    listed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .collect()
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
    let run = |name: &str, image: &str, privileged: bool| {
        let restricted = format!(
            r#"{{"allowPrivilegeEscalation":{privileged},"privileged":{privileged},"runAsNonRoot":true,"capabilities":{{"drop":["ALL"]}},"seccompProfile":{{"type":"RuntimeDefault"}}}}"#
        );
        let overrides = format!(
            r#"--overrides={{"spec":{{"automountServiceAccountToken":false,"containers":[{{"name":"c","image":"{image}","securityContext":{restricted}}}]}}}}"#
        );
        ["run", name, "-n", "payments", &format!("--image={image}"), &overrides].map(str::to_owned)
    };
    let allowed = "444455556666.dkr.ecr.eu-central-1.amazonaws.com/app:1";
    let pod = |arguments: [String; 6], by: &str| denied(&arguments.each_ref().map(String::as_str), by);
    pod(run("privileged", allowed, true), "violates PodSecurity \"restricted:");
    pod(run("elsewhere", "docker.io/evil/image:1", false), "ValidatingAdmissionPolicy 'fleet-pod-7'");
    // The twin of both: what is neither privileged nor from elsewhere runs.
    world.kubectl_must(&tenant, &run("plain", allowed, false).each_ref().map(String::as_str));

    let bind = |kind: &str, role: &str, to: &str| {
        let mut arguments = vec!["create".to_owned(), kind.to_owned(), "x".to_owned()];
        arguments.extend([format!("--clusterrole={role}"), to.to_owned()]);
        if kind == "rolebinding" {
            arguments.extend(["-n".to_owned(), "payments".to_owned()]);
        }
        arguments
    };
    let binding = |arguments: Vec<String>, by: &str| {
        denied(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), by);
    };
    let cluster_wide = "cannot create resource \"clusterrolebindings\"";
    binding(bind("clusterrolebinding", "cluster-admin", "--user=me"), cluster_wide);
    let escalation = "attempting to grant RBAC permissions not currently held";
    binding(bind("rolebinding", "cluster-admin", "--user=me"), escalation);
    let everybody = bind("rolebinding", "fleet:tenant-view", "--group=system:authenticated");
    binding(everybody, "ValidatingAdmissionPolicy 'fleet-rb-1'");

    let namespaces = "cannot patch resource \"namespaces\"";
    let relabel = "pod-security.kubernetes.io/enforce=privileged";
    denied(&["label", "namespace", "payments", relabel, "--overwrite"], namespaces);
    denied(&["label", "namespace", "payments", "pod-security.kubernetes.io/enforce-"], namespaces);
    let bindings = "cannot delete resource \"validatingadmissionpolicybindings\"";
    denied(&["delete", "validatingadmissionpolicybinding", "fleet-pod-7"], bindings);
    denied(
        &["delete", "resourcequota", "-n", "payments", "--all"],
        "cannot delete resource \"resourcequotas\"",
    );
    denied(&["delete", "networkpolicy", "-n", "payments", "--all"], "ValidatingAdmissionPolicy 'fleet-");
    world.kubectl_must(&tenant, &["create", "configmap", "mine", "-n", "payments"]);
}

fn one_api_server_down_concerns_one_tenant(world: &World) {
    let cluster = world.tenant("globex-web")["cluster"].as_str().unwrap().to_owned();
    let watch = Watch::begin(world, &TENANTS);
    world.emulator("POST", &format!("stop-control-plane/{cluster}"));
    let down = world.until_tenant("globex-web", "is reported", |tenant| !is_ready(tenant));
    assert!(!down["message"].as_str().unwrap().is_empty(), "{down:#}");
    let why = world.fleet(&["why", "globex-web"]);
    assert_eq!(why.status.code(), Some(1), "a tenant that is not ready: {}", text(&why));
    assert!(text(&why).contains("ApiServerUnreachable"), "{}", text(&why));
    world.emulator("POST", &format!("start-control-plane/{cluster}"));
    world.until_tenant("globex-web", "is ready again", is_ready);
    assert_eq!(watch.until_unready_and_ready("globex-web"), BTreeSet::from(["globex-web".to_owned()]));
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
    let changed = fs::read_to_string(&spec).unwrap().replace("channel: stable", "channel: regular");
    fs::write(&spec, changed).unwrap();
    let watch = Watch::begin(world, &TENANTS);
    world.must(&["apply", "-f", world.path("demo").to_str().unwrap(), "--yes"]);
    world.until_tenant("initech-batch", "is being upgraded", |tenant| !is_ready(tenant));
    world.kill_controller();
    world.until_tenant("initech-batch", "is ready at 1.36", |tenant| {
        is_ready(tenant) && tenant["version"] == "1.36"
    });
    assert_eq!(watch.until_unready_and_ready("initech-batch"), BTreeSet::from(["initech-batch".to_owned()]));
    let version = world.kubectl_must(&admin, &["version", "-o", "json"]);
    let version: Value = serde_json::from_str(&version).unwrap();
    assert_eq!(version["serverVersion"]["minor"], "36");
    world.kubectl_must(&admin, &["get", "configmap", "kept", "-n", "initech-batch"]);
}

fn a_creation_survives_a_kill(world: &World) {
    let text = fs::read_to_string(world.path("demo/tenants/initech-batch.yaml")).unwrap();
    let text = text.replace("initech-batch", "hooli-edge");
    fs::write(world.path("demo/tenants/hooli-edge.yaml"), text).unwrap();
    let watch = Watch::begin(world, &TENANTS);
    world.must(&["apply", "-f", world.path("demo").to_str().unwrap(), "--yes"]);
    until("the cloud makes the cluster", || {
        world.clusters().iter().any(|name| name.starts_with("hooli-edge-")).then_some(())
    });
    world.kill_controller();
    world.until_tenant("hooli-edge", "is ready", is_ready);
    assert_eq!(watch.until_ready("hooli-edge"), BTreeSet::from(["hooli-edge".to_owned()]));
    let made = world.clusters().iter().filter(|name| name.starts_with("hooli-edge-")).count();
    assert_eq!(made, 1, "{:?}", world.clusters());
}

fn a_deletion_survives_a_kill(world: &World) {
    let watch = Watch::begin(world, &["acme-payments", "globex-web", "hooli-edge"]);
    world.must(&["delete", "initech-batch", "--confirm", "initech-batch"]);
    world.until_tenant("initech-batch", "is being deleted", |tenant| tenant["state"] == "deleting");
    world.kill_controller();
    until("the cluster is gone", || {
        (!world.clusters().iter().any(|name| name.starts_with("initech-batch-"))).then_some(())
    });
    world.until_tenant("initech-batch", "is gone", Value::is_null);
    assert_eq!(watch.until_gone("initech-batch"), BTreeSet::from(["initech-batch".to_owned()]));
    let receipt = world.must(&["receipt", "initech-batch"]);
    assert!(receipt.contains("cluster/initech-batch-") && receipt.contains("finished"), "{receipt}");
}

/// A fault that is put into a file of the spec: what is replaced by what, the part of it that is wrong, and the hint.
struct Fault {
    file: &'static str,
    replace: (&'static str, &'static str),
    wrong: &'static str,
    hint: &'static str,
}

const FAULTS: [Fault; 5] = [
    Fault {
        file: "classes.yaml",
        replace: ("supportType: EXTENDED", "supportType: FOREVER"),
        wrong: "FOREVER",
        hint: "it is one of `STANDARD` or `EXTENDED`",
    },
    Fault {
        file: "tenants/acme-payments.yaml",
        replace: ("class: eks-regulated", "class: eks-regulatd"),
        wrong: "eks-regulatd",
        hint: "did you mean `eks-regulated`?",
    },
    Fault {
        file: "tenants/acme-payments.yaml",
        replace: ("Europe/Berlin", "Europe/Berln"),
        wrong: "Europe/Berln",
        hint: "did you mean `Europe/Berlin`?",
    },
    Fault {
        file: "tenants/globex-web.yaml",
        replace: ("channel: regular", "channel: irregular"),
        wrong: "irregular",
        hint: "did you mean `regular`?",
    },
    Fault {
        file: "tenants/initech-batch.yaml",
        replace: ("loadBalancers: 0", "loadBalancer: 0"),
        wrong: "loadBalancer:",
        hint: "did you mean `loadBalancers`?",
    },
];

fn a_broken_spec_is_refused(world: &World) {
    let demo = world.path("demo");
    let before: BTreeMap<&str, String> =
        FAULTS.iter().map(|fault| (fault.file, fs::read_to_string(demo.join(fault.file)).unwrap())).collect();
    let mut broken = before.clone();
    for Fault { file, replace: (good, bad), .. } in &FAULTS {
        let text = broken.get_mut(file).unwrap();
        assert_eq!(text.matches(good).count(), 1, "`{good}` is not once in {file}");
        *text = text.replace(good, bad);
    }
    let written = written(world);
    broken.iter().for_each(|(file, text)| fs::write(demo.join(file), text).unwrap());
    for command in [&["apply", "--yes"][..], &["plan"], &["validate"]] {
        let refused = world.fleet(&[command, &["-f", demo.to_str().unwrap()]].concat());
        let said = text(&refused);
        let code = if command == ["validate"] { 1 } else { 2 };
        assert_eq!(refused.status.code(), Some(code), "fleet {command:?}: {said}");
        // Every finding at once, each at its place: the findings are told apart by their places.
        for Fault { file, wrong, hint, .. } in &FAULTS {
            let (line, column) = place(&broken[file], wrong);
            let at = format!("--> {}:{line}:{column}\n", demo.join(file).display());
            let finding = said.split("error[").find(|finding| finding.contains(&at));
            let finding = finding.unwrap_or_else(|| panic!("fleet {command:?}: nothing {at}{said}"));
            assert!(finding.contains(&format!("= hint: {hint}")), "{finding}");
        }
    }
    before.iter().for_each(|(file, text)| fs::write(demo.join(file), text).unwrap());
    assert_eq!(self::written(world), written, "a broken spec changed something");
}

/// Line and column of a text that is once in another, both from 1.
fn place(text: &str, wrong: &str) -> (usize, usize) {
    let (before, _) = text.split_once(wrong).unwrap();
    let last = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, last.chars().count() + 1)
}

fn down_leaves_nothing(world: &World) {
    let recorded = world.processes();
    let programs: BTreeSet<&str> =
        recorded.iter().map(|process| process.program.file_name().unwrap().to_str().unwrap()).collect();
    let all =
        ["eks-emulator", "etcd", "fleet", "fleet-controller", "kube-apiserver", "kube-controller-manager"];
    assert_eq!(programs, BTreeSet::from(all), "{recorded:#?}");
    assert!(recorded.iter().all(|process| process.is_alive()), "{recorded:#?}");
    world.must(&["sandbox", "down"]);
    assert!(!world.state().exists(), "{} is still there", world.state().display());
    let alive: Vec<_> = recorded.iter().filter(|process| process.is_alive()).collect();
    assert!(alive.is_empty(), "{alive:#?}");
    // What was never recorded shows by its arguments: every server is told of its folder.
    let folder = world.state().display().to_string();
    let processes = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let left: Vec<String> =
        text(&processes).lines().filter(|line| line.contains(&folder)).map(str::to_owned).collect();
    assert_eq!(left, Vec::<String>::new());
}
