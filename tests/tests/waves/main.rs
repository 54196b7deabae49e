//! A rollout in waves, end to end, with the built programs on real control planes: one story, told in order.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::{fs, path::PathBuf, time::SystemTime};

use fleet_tests::world::{World, copy, root, text, until};
use jiff::{Timestamp, ToSpan as _};
use local_control_plane::{Assets, Minor};
use serde_json::{Value, json};

const PLATFORM: &str = "arn:aws:iam::111122223333:role/platform-admin";

const CANARY: [&str; 3] = ["atlas", "birch", "cedar"];
const EARLY: [&str; 4] = ["delta", "ember", "fjord", "grove"];
const REST: [&str; 5] = ["haven", "inlet", "jetty", "knoll", "lagoon"];

/// The member whose update is made to fail once.
const UNLUCKY: &str = "ember";

#[tokio::test]
async fn twelve_tenants_move_in_three_waves_through_a_kill_a_failure_a_closed_window_and_a_rollback() {
    let assets = Assets::ensure(&[Minor::V1_35, Minor::V1_36], &|_| {}).await.unwrap();
    let world = World::new(assets.kubectl().unwrap().to_owned());
    twelve_tenants_with_data(&world);
    an_offer_moves_nobody(&world);
    a_plan_is_started(&world);
    the_first_wave_survives_a_kill(&world);
    the_second_wave_waits_for_a_vote(&world);
    a_failed_update_stops_the_wave_at_once_and_is_tried_again_when_somebody_says_so(&world);
    let (closes, opens) = a_window_closes_in_the_third_wave(&world);
    one_member_goes_back(&world);
    the_wave_goes_on_at_the_next_window(&world, closes, opens);
    everything_is_as_it_was_left(&world);
}

fn all() -> Vec<&'static str> {
    [&CANARY[..], &EARLY, &REST].concat()
}

fn twelve_tenants_with_data(world: &World) {
    world.must(&["sandbox", "up"]);
    copy(&root().join("fleet/waves"), &world.path("waves"));
    apply(world, &["--wait", "--timeout", "15m"]);
    let status = world.json(&["status"]);
    assert_eq!(status["summary"]["states"]["ready"], 12, "{status:#}");
    assert_eq!(status["summary"]["versions"]["1.35"], 12, "{status:#}");
    for tenant in all() {
        let data = format!("--from-literal=tenant={tenant}");
        world.kubectl_must(&admin(world, tenant), &["create", "configmap", "kept", "-n", tenant, &data]);
    }
}

fn apply(world: &World, more: &[&str]) {
    let folder = world.path("waves");
    world.must(&[&["apply", "-f", folder.to_str().unwrap(), "--yes"][..], more].concat());
}

fn admin(world: &World, tenant: &str) -> PathBuf {
    let path = world.path(&format!("{tenant}-platform-admin.kubeconfig"));
    if path.exists() { path } else { world.enter(tenant, PLATFORM) }
}

/// The minor that a tenant's API server says it is.
fn minor(world: &World, tenant: &str) -> String {
    let version = world.kubectl_must(&admin(world, tenant), &["version", "-o", "json"]);
    let version: Value = serde_json::from_str(&version).unwrap();
    version["serverVersion"]["minor"].as_str().unwrap().to_owned()
}

fn an_offer_moves_nobody(world: &World) {
    let file = world.path("waves/channels.yaml");
    let offered = fs::read_to_string(&file).unwrap() + "    - version: \"1.36\"\n";
    fs::write(&file, offered).unwrap();
    apply(world, &["--wait", "--timeout", "5m"]);
    assert_eq!(world.json(&["status"])["summary"]["versions"]["1.35"], 12);
}

fn a_plan_is_started(world: &World) {
    let (file, plan) = (world.path("waves/rollouts/to-1-36.yaml"), world.path("plan.yaml"));
    let (file, plan) = (file.to_str().unwrap(), plan.to_str().unwrap());
    let shown = world.must(&["rollout", "plan", "-f", file, "--out", plan]);
    assert!(shown.contains("12 members to Kubernetes 1.36 in 3 waves"), "{shown}");
    assert!(rollout_members(world).is_empty(), "planning wrote members");
    world.must(&["rollout", "start", "--plan", plan, "--yes"]);
    assert_eq!(rollout_members(world).len(), 12);
}

/// The members, as the management cluster keeps them.
fn rollout_members(world: &World) -> Vec<Value> {
    let listed = world.kubectl_must(&hub(world), &["get", "rolloutmembers", "-o", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    listed["items"].as_array().unwrap().clone()
}

fn hub(world: &World) -> PathBuf {
    world.state().join("kubeconfig")
}

/// The members' states and more, as `fleet rollout status` has them.
fn status(world: &World) -> Value {
    let output = world.fleet(&["rollout", "status", "to-1-36", "-o", "json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| Value::String(text(&output)))
}

fn state(status: &Value, tenant: &str) -> String {
    let members = status["members"].as_array().unwrap();
    let member = members.iter().find(|member| member["tenant"] == tenant).unwrap();
    member["state"].as_str().unwrap().to_owned()
}

fn until_status(world: &World, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    until(what, || {
        Some(status(world)).filter(|status| status["members"].is_array()).filter(|status| is_so(status))
    })
}

fn wave_passed(status: &Value, wave: &str) -> bool {
    let waves = status["waves"].as_array().unwrap();
    waves.iter().any(|one| one["name"] == wave && !one["passedAt"].is_null())
}

/// How many members of a wave have left the states in which nothing has changed.
fn begun(status: &Value, tenants: &[&str]) -> usize {
    tenants.iter().filter(|tenant| !matches!(state(status, tenant).as_str(), "Pending" | "Preflight")).count()
}

fn now() -> Timestamp {
    let second = Timestamp::try_from(SystemTime::now()).unwrap().as_second();
    Timestamp::from_second(second).unwrap()
}

fn the_first_wave_survives_a_kill(world: &World) {
    until_status(world, "the first wave moves", |status| {
        CANARY.iter().any(|tenant| state(status, tenant) == "Upgrading")
    });
    world.kill_controller();
    let passed = until_status(world, "the first wave has passed", |status| wave_passed(status, "canary"));
    for tenant in CANARY {
        assert_eq!(state(&passed, tenant), "Succeeded", "{passed:#}");
        assert_eq!(minor(world, tenant), "36");
    }
    assert_eq!(begun(&passed, &[&EARLY[..], &REST].concat()), 0, "a later wave has begun: {passed:#}");
}

fn the_second_wave_waits_for_a_vote(world: &World) {
    let cluster = world.clusters().into_iter().find(|name| name.starts_with(&format!("{UNLUCKY}-"))).unwrap();
    world.plan_fault(&json!({
        "operation": "UpdateClusterVersion",
        "cluster": cluster,
        "effect": "fail-update",
        "error": { "errorCode": "EniLimitReached", "errorMessage": "no network interface is left" },
    }));
    let waiting = until_status(world, "the gate is waited for", |status| status["phase"] == "WaitingForGate");
    assert_eq!(begun(&waiting, &EARLY), 0, "{waiting:#}");
    let own = world.fleet(&["rollout", "approve", "to-1-36", "--gate", "release"]);
    assert!(!own.status.success(), "the author approved their own rollout: {}", text(&own));
    approve_as_release_manager(world, "release");
}

/// Somebody who is not the author of the rollout votes.
fn approve_as_release_manager(world: &World, gate: &str) {
    let other = ["--as", "release-manager", "--as-group", "system:masters"];
    world.must(&[&other[..], &["rollout", "approve", "to-1-36", "--gate", gate]].concat());
}

fn a_failed_update_stops_the_wave_at_once_and_is_tried_again_when_somebody_says_so(world: &World) {
    let stopped = until_status(world, "the failed update stops the rollout", |status| {
        state(status, UNLUCKY) == "Failed" && status["phase"] == "Stopped"
    });
    assert!(!wave_passed(&stopped, "early"), "a wave passed without a member that counts: {stopped:#}");
    let why = text(&world.fleet(&["why", UNLUCKY]));
    for told in
        ["EniLimitReached", "no network interface is left", "who can act: operator", "fleet rollout retry"]
    {
        assert!(why.contains(told), "{told}: {why}");
    }
    assert_eq!(minor(world, UNLUCKY), "35");
    world.must(&["rollout", "retry", UNLUCKY, "--rollout", "to-1-36"]);
    let passed = until_status(world, "the second wave has passed", |status| wave_passed(status, "early"));
    for tenant in EARLY {
        assert_eq!(state(&passed, tenant), "Succeeded", "{passed:#}");
        assert_eq!(minor(world, tenant), "36");
    }
}

/// Gives the tenants of the last wave, which waits for a vote, two windows that open soon, lets the wave begin, and waits
/// until the first window has closed on it.
/// Returns the last moment of the first at which a member may begin, and the opening of the second.
fn a_window_closes_in_the_third_wave(world: &World) -> (Timestamp, Timestamp) {
    let minute = now().as_second() / 60 + 2;
    let first = Timestamp::from_second(minute * 60).unwrap();
    let (closes, opens) = (first + 1.minute(), first + 4.minutes());
    let days = "days: [Mon, Tue, Wed, Thu, Fri, Sat, Sun]";
    let window = |at: Timestamp, latest: &str| {
        format!(
            "\n      - {{{days}, start: \"{}\", duration: 3h, latestStart: {latest}}}",
            at.strftime("%H:%M")
        )
    };
    let maintenance = format!(
        "    channel: coordinated\n  maintenance:\n    timeZone: Etc/UTC\n    windows:{}{}\n",
        window(first, "1m"),
        window(opens, "2h")
    );
    let file = world.path("waves/tenants/rest.yaml");
    let windows = fs::read_to_string(&file).unwrap().replace("    channel: coordinated\n", &maintenance);
    fs::write(&file, windows).unwrap();
    apply(world, &[]);
    approve_as_release_manager(world, "general");
    until("the first window has closed", || (now() > closes).then_some(()));
    let closed = until_status(world, "a member of the third wave has succeeded", |status| {
        REST.iter().any(|tenant| state(status, tenant) == "Succeeded")
    });
    let begun = begun(&closed, &REST);
    assert!((1..REST.len()).contains(&begun), "{begun} members began in the first window: {closed:#}");
    (closes, opens)
}

fn one_member_goes_back(world: &World) {
    let before = status(world);
    let tenant = *REST.iter().find(|tenant| state(&before, tenant) == "Succeeded").unwrap();
    world.must(&["rollout", "rollback", tenant, "--rollout", "to-1-36", "--yes"]);
    until_status(world, "the member is back", |status| state(status, tenant) == "RolledBack");
    assert_eq!(minor(world, tenant), "35");
}

fn the_wave_goes_on_at_the_next_window(world: &World, closes: Timestamp, opens: Timestamp) {
    let goes_on = until_status(world, "the rest of the wave goes on", |status| {
        now() > opens && begun(status, &REST) == REST.len()
    });
    assert!(goes_on["phase"] != "Stopped", "{goes_on:#}");
    let over = until_status(world, "the rollout is completed", |status| status["phase"] == "Completed");
    assert_eq!(over["counts"]["succeeded"], 11, "{over:#}");
    assert_eq!(over["counts"]["rolledBack"], 1, "{over:#}");
    for member in rollout_members(world) {
        let tenant = member["spec"]["tenant"].as_str().unwrap();
        if !REST.contains(&tenant) {
            continue;
        }
        let started: Timestamp = member["status"]["startedAt"].as_str().unwrap().parse().unwrap();
        assert!(
            started <= closes || started >= opens,
            "{tenant} began at {started}, outside its windows: {member:#}"
        );
    }
}

fn everything_is_as_it_was_left(world: &World) {
    let members = status(world);
    for tenant in all() {
        let wanted = if state(&members, tenant) == "RolledBack" { "35" } else { "36" };
        assert_eq!(minor(world, tenant), wanted, "{tenant}");
        let data = ["get", "configmap", "kept", "-n", tenant, "-o", "jsonpath={.data.tenant}"];
        assert_eq!(world.kubectl_must(&admin(world, tenant), &data), tenant);
        world.until_tenant(tenant, "is ready", |tenant| tenant["state"] == "ready");
    }
}
