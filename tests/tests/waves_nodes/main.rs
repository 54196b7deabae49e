//! A rollout of clusters with node groups and add-ons of their own, end to end, with the built programs on real control
//! planes: what moves first, what is held, what follows, and the way back. One story, told in order.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::{fs, path::PathBuf};

use fleet_tests::world::{World, copy, root, text, until};
use jiff::{Timestamp, ToSpan as _};
use local_control_plane::{Assets, Minor};
use serde_json::Value;

const PLATFORM: &str = "arn:aws:iam::444455556666:role/platform-admin";

/// The member of the first wave, which has no soak: it succeeds while its nodes are held.
const CARDS: &str = "acme-cards";

/// The member of the second wave, whose soak is longer than its nodes are held.
const PAYMENTS: &str = "acme-payments";

/// The node group of the class `eks-regulated`.
const GROUP: &str = "workers";

/// Everything that an upgrade moves, in the order in which it has to: CoreDNS as offered for 1.35 does not run on 1.36, and
/// the other add-ons do, or follow.
const FORWARD: [&str; 5] = ["coredns", "control plane 1.36", "kube-proxy", "vpc-cni", "workers 1.36"];

/// Everything that the way back moves: kube-proxy alone is newer than 1.35 may have.
const BACK: [&str; 3] = ["workers 1.35", "kube-proxy", "control plane 1.35"];

/// Tenants that are moved by rollouts alone, and are in no freeze on whichever day the story is told.
const FLEET: &str = "apiVersion: tenantfleet.dev/v1alpha1
kind: Fleet
metadata: {name: fleet}
spec: {defaults: {channel: stable}}
";
const CHANNEL: &str = "apiVersion: tenantfleet.dev/v1alpha1
kind: VersionChannel
metadata: {name: stable}
spec:
  upgrades: Rollout
  versions:
    - version: \"1.35\"
";
const ROLLOUT: &str = "apiVersion: tenantfleet.dev/v1alpha1
kind: Rollout
metadata: {name: to-1-36}
spec:
  target: {kubernetes: \"1.36\"}
  slots: Advisory
  waves:
    - name: first
      selector: {labels: {matchLabels: {ring: first}}}
    - name: regulated
      selector: {labels: {matchLabels: {ring: regulated}}}
      soak: 2m
  holdNodes: 1m
";

#[tokio::test]
async fn nodes_are_held_and_follow_in_a_rollout_and_go_back_first() {
    let assets = Assets::ensure(&[Minor::V1_35, Minor::V1_36], &|_| {}).await.unwrap();
    let world = World::new(assets.kubectl().unwrap().to_owned());
    two_tenants_with_nodes_and_data(&world);
    a_plan_is_started(&world);
    what_does_not_run_on_the_target_moves_before_the_control_plane(&world);
    a_member_succeeds_while_its_nodes_are_held(&world);
    a_kill_does_not_begin_the_hold_anew(&world);
    nodes_that_follow_within_a_soak_are_waited_for(&world);
    the_way_back_takes_the_nodes_first_and_the_control_plane_last(&world);
    nothing_else_has_moved(&world);
}

fn two_tenants_with_nodes_and_data(world: &World) {
    world.must(&["sandbox", "up"]);
    copy(&root().join("fleet/demo"), &world.path("demo"));
    let tenants = world.path("demo/tenants");
    let payments = fs::read_to_string(tenants.join("acme-payments.yaml")).unwrap();
    let (before, after) = payments.split_once("  maintenance:\n").unwrap();
    let (_, after) = after.split_once("  namespaces:").unwrap();
    // Without windows, since the story does not wait for Tuesday night.
    let payments = format!("{before}  namespaces:{after}");
    let cards = payments.replace("name: acme-payments\n", "name: acme-cards\n");
    fs::remove_dir_all(&tenants).unwrap();
    fs::create_dir(&tenants).unwrap();
    let files = [
        ("tenants/acme-payments.yaml", payments),
        ("tenants/acme-cards.yaml", cards.replace("ring: regulated", "ring: first")),
        ("fleet.yaml", FLEET.to_owned()),
        ("channels.yaml", CHANNEL.to_owned()),
        ("rollouts/to-1-36.yaml", ROLLOUT.to_owned()),
    ];
    for (file, text) in files {
        fs::write(world.path("demo").join(file), text).unwrap();
    }
    apply(world);
    for tenant in [CARDS, PAYMENTS] {
        assert_eq!(minors(world, tenant), ["1.35", "1.35"]);
        let data = format!("--from-literal=tenant={tenant}");
        let kept = ["create", "configmap", "kept", "-n", "payments", &data];
        world.kubectl_must(&admin(world, tenant), &kept);
    }
}

fn apply(world: &World) {
    let folder = world.path("demo");
    world.must(&["apply", "-f", folder.to_str().unwrap(), "--yes", "--wait", "--timeout", "10m"]);
}

fn admin(world: &World, tenant: &str) -> PathBuf {
    let path = world.path(&format!("{tenant}-platform-admin.kubeconfig"));
    if path.exists() { path } else { world.enter(tenant, PLATFORM) }
}

/// The minors of a tenant's control plane and of its node group, as `fleet versions` has them.
fn minors(world: &World, tenant: &str) -> [String; 2] {
    let versions = world.json(&["versions"]);
    let all = versions["tenants"].as_array().unwrap();
    let found = all.iter().find(|one| one["tenant"] == tenant).unwrap();
    let nodes = found["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 1, "{found:#}");
    assert_eq!(nodes[0]["name"], GROUP);
    [&found["controlPlane"], &nodes[0]["version"]].map(|minor| minor.as_str().unwrap().to_owned())
}

fn a_plan_is_started(world: &World) {
    let file = world.path("demo/channels.yaml");
    fs::write(&file, format!("{CHANNEL}    - version: \"1.36\"\n")).unwrap();
    apply(world);
    let (file, plan) = (world.path("demo/rollouts/to-1-36.yaml"), world.path("plan.yaml"));
    let (file, plan) = (file.to_str().unwrap(), plan.to_str().unwrap());
    world.must(&["rollout", "plan", "-f", file, "--out", plan]);
    for tenant in [CARDS, PAYMENTS] {
        assert!(updates(world, tenant).is_empty(), "an offer or a plan has moved {tenant}");
    }
    world.must(&["rollout", "start", "--plan", plan, "--yes"]);
}

/// What the cloud knows of a tenant's cluster.
fn in_the_cloud(world: &World, tenant: &str) -> Value {
    let state: Value = serde_json::from_str(&world.emulator("GET", "world")).unwrap();
    let clusters = state["clusters"].as_array().unwrap();
    let named = |one: &&Value| {
        let name = one["cluster"]["name"].as_str().unwrap();
        name.starts_with(&format!("{tenant}-"))
    };
    clusters.iter().find(named).unwrap().clone()
}

/// One update of versions that the cloud has accepted: what moved, and when it began.
struct Update {
    what: String,
    began: Timestamp,
}

/// Every update of versions of a tenant's cluster that the cloud has accepted, the oldest first.
fn updates(world: &World, tenant: &str) -> Vec<Update> {
    let cluster = in_the_cloud(world, tenant);
    let all = cluster["updates"].as_array().unwrap();
    let version_of = |change: &Value| match (&change["version"], &change["nodegroup"], &change["addon"]) {
        (Value::Object(version), _, _) => Some(format!("control plane {}", version["to"].as_str()?)),
        (_, Value::Object(group), _) => {
            Some(format!("{} {}", group["nodegroupName"].as_str()?, group["version"].as_str()?))
        }
        (_, _, Value::Object(addon)) => Some(addon["name"].as_str()?.to_owned()),
        _ => None,
    };
    all.iter()
        .filter_map(|one| {
            let began = jiff::SignedDuration::try_from_secs_f64(one["update"]["createdAt"].as_f64()?).ok()?;
            Some(Update { what: version_of(&one["change"])?, began: Timestamp::from_duration(began).ok()? })
        })
        .collect()
}

fn moved(world: &World, tenant: &str) -> Vec<String> {
    updates(world, tenant).into_iter().map(|update| update.what).collect()
}

/// The members' states and more, as `fleet rollout status` has them.
fn status(world: &World) -> Value {
    let output = world.fleet(&["rollout", "status", "to-1-36", "-o", "json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| Value::String(text(&output)))
}

fn member(status: &Value, tenant: &str) -> Value {
    let members = status["members"].as_array().unwrap();
    members.iter().find(|member| member["tenant"] == tenant).unwrap().clone()
}

fn until_member(world: &World, tenant: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    until(&format!("{tenant} {what}"), || {
        let status = status(world);
        let found = status["members"].is_array().then(|| member(&status, tenant))?;
        assert!(found["state"] != "Failed", "{status:#}");
        Some(found).filter(|member| is_so(member))
    })
}

/// Until when a tenant's cluster is told to hold its nodes.
fn held_until(world: &World, tenant: &str) -> Timestamp {
    let hub = world.state().join("kubeconfig");
    let path = "jsonpath={.spec.rollout.holdNodesUntil}";
    world.kubectl_must(&hub, &["get", "tenantcluster", tenant, "-o", path]).parse().unwrap()
}

fn what_does_not_run_on_the_target_moves_before_the_control_plane(world: &World) {
    until("the control plane begins to move", || {
        let moved = moved(world, CARDS);
        (moved.len() > 1).then(|| assert_eq!(moved[..2], FORWARD[..2]))
    });
    assert!(moved(world, PAYMENTS).is_empty(), "the second wave did not wait for the first");
}

fn a_member_succeeds_while_its_nodes_are_held(world: &World) {
    let held = until_member(world, CARDS, "has succeeded", |member| member["state"] == "Succeeded");
    let behind = &held["nodesBehind"];
    assert_eq!(behind["groups"][0]["name"], GROUP, "{held:#}");
    assert_eq!(behind["groups"][0]["version"], "1.35", "{held:#}");
    let until: Timestamp = behind["heldUntil"].as_str().unwrap().parse().unwrap();
    assert_eq!(minors(world, CARDS), ["1.36", "1.35"]);
    assert_eq!(moved(world, CARDS), FORWARD[..4]);
    let why = text(&world.fleet(&["rollout", "why", CARDS]));
    let told = format!("node group {GROUP} stays at 1.35 until");
    assert!(why.contains(&told) && why.contains("by the rollout"), "{why}");
    assert_eq!(held_until(world, CARDS), until);
}

fn a_kill_does_not_begin_the_hold_anew(world: &World) {
    let until = held_until(world, CARDS);
    world.kill_controller();
    until_member(world, CARDS, "has its nodes on the target", |member| member["nodesBehind"].is_null());
    assert_eq!(minors(world, CARDS), ["1.36", "1.36"]);
    assert_eq!(held_until(world, CARDS), until);
    let nodes = updates(world, CARDS).pop().unwrap();
    assert_eq!(nodes.what, FORWARD[4]);
    assert!(nodes.began >= until, "the nodes began to move at {}, and were held until {until}", nodes.began);
    assert_eq!(moved(world, CARDS), FORWARD);
}

fn nodes_that_follow_within_a_soak_are_waited_for(world: &World) {
    let soaks =
        until_member(world, PAYMENTS, "soaks with its nodes held", |member| member["state"] == "Soaking");
    assert_eq!(soaks["nodesBehind"]["groups"][0]["version"], "1.35", "{soaks:#}");
    assert_eq!(moved(world, PAYMENTS), FORWARD[..4]);
    let arrived: Timestamp = soaks["since"].as_str().unwrap().parse().unwrap();
    until_member(world, PAYMENTS, "has its nodes on the target", |member| {
        assert!(
            member["state"] != "Succeeded",
            "its soak has passed before its nodes were there: {member:#}"
        );
        member["nodesBehind"].is_null()
    });
    assert_eq!(moved(world, PAYMENTS), FORWARD);
    let over = until("the rollout is completed", || {
        Some(status(world)).filter(|status| status["phase"] == "Completed")
    });
    for tenant in [CARDS, PAYMENTS] {
        assert_eq!(member(&over, tenant)["state"], "Succeeded", "{over:#}");
        assert_eq!(minors(world, tenant), ["1.36", "1.36"]);
    }
    let succeeded: Timestamp = member(&over, PAYMENTS)["since"].as_str().unwrap().parse().unwrap();
    assert!(succeeded >= arrived + 2.minutes(), "{over:#}");
}

fn the_way_back_takes_the_nodes_first_and_the_control_plane_last(world: &World) {
    world.must(&["rollout", "rollback", PAYMENTS, "--rollout", "to-1-36", "--yes"]);
    until_member(world, PAYMENTS, "is back", |member| member["state"] == "RolledBack");
    assert_eq!(minors(world, PAYMENTS), ["1.35", "1.35"]);
    assert_eq!(moved(world, PAYMENTS), [&FORWARD[..], &BACK].concat());
    let history = world.json(&["rollout", "history"]);
    let past = &history["items"][0];
    assert_eq!(past["counts"]["rolledBack"], 1, "{history:#}");
    assert_eq!(past["counts"]["succeeded"], 1, "{history:#}");
}

fn nothing_else_has_moved(world: &World) {
    for (tenant, minor, updates) in
        [(CARDS, "1.36", FORWARD.to_vec()), (PAYMENTS, "1.35", [&FORWARD[..], &BACK].concat())]
    {
        world.until_tenant(tenant, "is ready", |tenant| tenant["state"] == "ready");
        assert_eq!(minors(world, tenant), [minor, minor]);
        assert_eq!(moved(world, tenant), updates);
        let admin = admin(world, tenant);
        let version: Value =
            serde_json::from_str(&world.kubectl_must(&admin, &["version", "-o", "json"])).unwrap();
        assert_eq!(format!("1.{}", version["serverVersion"]["minor"].as_str().unwrap()), minor);
        let data = ["get", "configmap", "kept", "-n", "payments", "-o", "jsonpath={.data.tenant}"];
        assert_eq!(world.kubectl_must(&admin, &data), tenant);
    }
}
