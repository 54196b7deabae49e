//! Slots: inside windows, outside freezes, in the order of the waves.

use fleet_api::v1alpha1::EksClass;
use fleet_plan::{
    rollout::plan::{RolloutPlan, chain},
    windows::{Permission, permission},
};
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{World, at, by_ring, strategy, version, windows};

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

fn slot_of(plan: &RolloutPlan, tenant: &str) -> String {
    plan.members.iter().find(|member| member.tenant == tenant).unwrap().slot.to_string()
}

#[test]
fn a_member_waits_for_its_window_and_its_wave() {
    let mut world = World::new("2026-11-24T14:00:00Z");
    world.tenant("acme", "first", "1.35", &windows("Europe/Berlin", &["Tue", "Thu"], "22:00", "4h")).tenant(
        "globex",
        "second",
        "1.35",
        &Value::Null,
    );
    let mut rollout = by_ring(&["first", "second"]);
    rollout.waves[0].soak = Some("24h".parse().unwrap());
    let plan = world.plan(&rollout).unwrap();
    assert_eq!(slot_of(&plan, "acme"), "2026-11-24T21:00:00Z");
    let acme = &plan.members[0];
    assert_eq!(acme.window_until, Some(at("2026-11-25T01:00:00Z")));
    // 25 minutes for the control plane, as many for nobody's add-ons, five to be seen healthy, and a day.
    assert_eq!(acme.moved_at, at("2026-11-24T21:25:00Z"));
    assert_eq!(acme.ends_at, at("2026-11-25T21:30:00Z"));
    assert_eq!(slot_of(&plan, "globex"), "2026-11-25T21:30:00Z");
    assert_eq!(plan.ends_at, at("2026-11-25T22:00:00Z"));
    assert_eq!(acme.rollback.as_ref().unwrap().until, at("2026-12-01T21:25:00Z"));
    assert!(plan.is_intact());
}

#[test]
fn a_place_that_is_free_goes_to_whoever_may_begin_and_nobody_holds_one_while_waiting() {
    let mut world = World::new("2026-11-24T14:00:00Z");
    world
        .tenant("a-waits", "all", "1.35", &windows("UTC", &["Sat"], "22:00", "2h"))
        .tenant("b-may", "all", "1.35", &Value::Null)
        .tenant("c-may", "all", "1.35", &Value::Null);
    let plan = world.plan(&by_ring(&["all"])).unwrap();
    assert_eq!(slot_of(&plan, "b-may"), "2026-11-24T14:00:00Z");
    assert_eq!(slot_of(&plan, "c-may"), "2026-11-24T14:30:00Z");
    assert_eq!(slot_of(&plan, "a-waits"), "2026-11-28T22:00:00Z");
}

#[test]
fn a_move_is_not_begun_in_the_rest_of_a_window_when_a_whole_one_is_long_enough() {
    // The window closes at 02:00, in ninety minutes, and with eight add-ons the move takes 105 minutes.
    let mut world = World::new("2026-11-25T00:30:00Z");
    world.tenant("acme", "all", "1.35", &windows("UTC", &["Tue", "Thu"], "22:00", "4h"));
    let addons: Vec<Value> =
        (0..8).map(|index| json!({"name": format!("a-{index}"), "version": "v1"})).collect();
    world.clusters[0].status.as_mut().unwrap().versions.addons =
        serde_json::from_value(json!(addons)).unwrap();
    let plan = world.plan(&by_ring(&["all"])).unwrap();
    assert_eq!(slot_of(&plan, "acme"), "2026-11-26T22:00:00Z");
    // Where no window is long enough for all of it, the first step decides.
    world.clusters[0].spec.maintenance.as_mut().unwrap().windows[0].duration = "1h".parse().unwrap();
    world.now = at("2026-11-24T22:00:00Z");
    let mut rollout = by_ring(&["all"]);
    rollout.step_deadline = "72h".parse().unwrap();
    let plan = world.plan(&rollout).unwrap();
    assert_eq!(slot_of(&plan, "acme"), "2026-11-24T22:00:00Z");
    assert!(plan.members[0].moved_at > at("2026-11-26T22:00:00Z"));
}

/// A class with one group of nodes.
fn with_workers() -> EksClass {
    serde_json::from_value(json!({
            "account": "111122223333", "region": "eu-central-1", "roleArn": "arn:aws:iam::111122223333:role/f",
            "clusterRoleArn": "arn:aws:iam::111122223333:role/c", "network": {"subnetIds": ["subnet-1", "subnet-2"]},
            "nodeGroups": [{
                "name": "workers", "platform": "bottlerocket-x86_64", "instanceTypes": ["m7i.large"], "scaling": {"min": 1, "desired": 1, "max": 2},
                "nodeRoleArn": "arn:aws:iam::111122223333:role/n",
            }],
        }))
    .unwrap()
}

#[test]
fn nodes_that_are_held_back_follow_in_a_window_of_their_own() {
    let mut world = World::new("2026-11-24T14:00:00Z");
    world.tenant("acme", "all", "1.35", &windows("UTC", &["Tue", "Thu"], "22:00", "4h"));
    world.clusters[0].spec.eks = Some(with_workers());
    let mut rollout = by_ring(&["all"]);
    rollout.hold_nodes = Some("48h".parse().unwrap());
    let plan = world.plan(&rollout).unwrap();
    // 25 minutes for the control plane, and ten for each of the three add-ons of a cluster with node groups.
    assert_eq!(plan.members[0].moved_at, at("2026-11-24T22:55:00Z"));
    assert_eq!(plan.members[0].nodes_from, Some(at("2026-11-26T22:55:00Z")));
    rollout.hold_nodes = Some("72h".parse().unwrap());
    let plan = world.plan(&rollout).unwrap();
    assert_eq!(plan.members[0].nodes_from, Some(at("2026-12-01T22:00:00Z")), "no window is open on Friday");
}

#[test]
fn those_whose_support_ends_first_go_first() {
    let mut world = World::new("2026-11-24T14:00:00Z");
    world.tenant("a-late", "all", "1.35", &Value::Null).tenant("b-soon", "all", "1.35", &Value::Null);
    // The class of the first pays for extended support, so that its support ends later.
    world.calendar[1].end_of_extended = Some("2028-03-27".parse().unwrap());
    world.clusters[0].spec.eks = Some(
        serde_json::from_value(json!({
            "account": "111122223333", "region": "eu-central-1",
            "roleArn": "arn:aws:iam::111122223333:role/m", "clusterRoleArn": "arn:aws:iam::111122223333:role/c",
            "network": {"subnetIds": ["subnet-1", "subnet-2"]}, "supportType": "EXTENDED",
            "autoMode": {"nodeRoleArn": "arn:aws:iam::111122223333:role/n", "nodePools": ["system"]},
        }))
        .unwrap(),
    );
    let plan = world.plan(&by_ring(&["all"])).unwrap();
    assert_eq!(
        plan.members.iter().map(|member| member.tenant.as_str()).collect::<Vec<_>>(),
        ["b-soon", "a-late"]
    );
    assert_eq!(plan.members[1].extra_per_day.to_string(), "12");
    assert_eq!(plan.delay.per_day.to_string(), "12");
    assert_eq!(plan.delay.as_planned.to_string(), "0");
}

#[test]
fn a_plan_reads_back_from_yaml_and_an_edited_one_is_not_intact() {
    let mut world = World::new("2026-11-24T14:00:00Z");
    world.tenant("acme", "all", "1.35", &windows("Asia/Kolkata", &["Mon"], "01:30", "3h"));
    let plan = world.plan(&by_ring(&["all"])).unwrap();
    let text = serde_json::to_string(&plan).unwrap();
    let mut again: RolloutPlan = serde_json::from_str(&text).unwrap();
    assert_eq!(again, plan);
    assert!(again.is_intact());
    again.members[0].slot = at("2026-11-24T15:00:00Z");
    assert!(!again.is_intact());
}

#[test]
fn a_target_three_minors_away_is_a_chain_of_three_rollouts() {
    let mut world = World::new("2026-11-24T14:00:00Z");
    world.tenant("acme", "all", "1.34", &windows("UTC", &["Tue"], "22:00", "4h")).tenant(
        "globex",
        "all",
        "1.35",
        &Value::Null,
    );
    let rollout = by_ring(&["all"]);
    let plans = chain(&world.input(&rollout), version("1.37")).unwrap();
    let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
    assert_eq!(names, ["up-1-35", "up-1-36", "up-1-37"]);
    let slots: Vec<String> = plans.iter().map(|plan| slot_of(plan, "acme")).collect();
    assert_eq!(slots, ["2026-11-24T22:00:00Z", "2026-11-24T22:30:00Z", "2026-11-24T23:30:00Z"]);
    assert_eq!(plans[0].at_target, ["globex"]);
    assert_eq!(plans[2].hop.unwrap().number, 3);
    assert!(plans.iter().all(RolloutPlan::is_intact));
}

#[test]
fn a_hop_of_a_chain_begins_when_the_nodes_have_followed_that_the_hop_before_holds_back() {
    let mut world = World::new("2026-11-24T14:00:00Z");
    world.tenant("acme", "all", "1.35", &windows("UTC", &["Tue", "Thu"], "22:00", "4h"));
    world.clusters[0].spec.eks = Some(with_workers());
    let mut rollout = by_ring(&["all"]);
    rollout.hold_nodes = Some("72h".parse().unwrap());
    let plans = chain(&world.input(&rollout), version("1.37")).unwrap();
    assert_eq!(plans[0].members[0].nodes_from, Some(at("2026-12-01T22:00:00Z")));
    // The nodes take 16 minutes, and the control plane and its add-ons fit into what is then left of the window.
    assert_eq!(slot_of(&plans[1], "acme"), "2026-12-01T22:16:00Z");
    let note = plans[1].notes.last().unwrap();
    assert!(note.contains("each member after its nodes have followed there"), "{note}");
    // The minimum gap is counted from the nodes.
    world.clusters[0].spec.maintenance.as_mut().unwrap().min_gap = Some("24h".parse().unwrap());
    let plans = chain(&world.input(&rollout), version("1.37")).unwrap();
    assert_eq!(slot_of(&plans[1], "acme"), "2026-12-03T22:00:00Z");
}

#[test]
fn a_gate_holds_what_comes_after_it() {
    let mut world = World::new("2026-11-24T14:00:00Z");
    world.tenant("acme", "first", "1.35", &Value::Null).tenant("globex", "second", "1.35", &Value::Null);
    let mut rollout = by_ring(&["first", "second"]);
    rollout.waves[0].after =
        serde_json::from_value(json!([{"name": "monday", "notBefore": "2026-11-30T09:00:00Z"}])).unwrap();
    rollout.waves[1].before =
        serde_json::from_value(json!([{"name": "noon", "notBefore": "2026-11-30T12:00:00Z"}])).unwrap();
    let plan = world.plan(&rollout).unwrap();
    assert_eq!(plan.waves[0].ends_at, at("2026-11-30T09:00:00Z"));
    assert_eq!(slot_of(&plan, "globex"), "2026-11-30T12:00:00Z");
}

#[test]
fn a_baseline_is_a_target_too() {
    let mut world = World::new("2026-11-24T14:00:00Z");
    world.tenant("acme", "all", "1.35", &Value::Null);
    world.baselines.insert(
        "pci".to_owned(),
        serde_json::from_value(json!({
            "apiVersion": "tenantfleet.dev/v1alpha1", "kind": "Baseline", "metadata": {"name": "pci"},
            "spec": {"profile": "pci", "parameters": {"allowedRegistries": ["r.example/"]}},
        }))
        .unwrap(),
    );
    let rollout =
        strategy(json!({"target": {"baseline": "pci"}, "waves": [{"name": "all", "selector": {}}]}));
    let plan = world.plan(&rollout).unwrap();
    assert_eq!(plan.members[0].from, plan.members[0].to);
    assert_eq!(plan.members[0].rollback, None);
}

fn maintenance() -> impl Strategy<Value = Value> {
    let zone = prop::sample::select(vec![
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
    ]);
    let window = (prop::sample::subsequence(DAYS.to_vec(), 1..=3), 0..24u8, 1..8u8)
        .prop_map(|(days, hour, hours)| json!({"days": days, "start": format!("{hour:02}:30"), "duration": format!("{hours}h")}));
    let freeze = (1..60i64, 0..20i64).prop_map(|(from, length)| {
        let day = |offset: i64| {
            at("2026-11-24T00:00:00Z")
                .checked_add(SignedDuration::from_hours(offset * 24))
                .unwrap()
                .to_string()
        };
        json!({"from": day(from)[..10], "to": day(from + length)[..10], "reason": "r"})
    });
    let times = (zone, prop::collection::vec(window, 0..3), prop::collection::vec(freeze, 0..3)).prop_map(
        |(zone, windows, freezes)| json!({"timeZone": zone, "windows": windows, "freezes": freezes}),
    );
    prop::option::of(times).prop_map(|times| times.unwrap_or(Value::Null))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_slot_is_outside_a_window_or_in_a_freeze_and_the_order_and_the_caps_hold(
        members in prop::collection::vec((0..3usize, maintenance()), 1..25),
        concurrent in 1..5i32,
        soak in prop::option::of(1..48i64),
    ) {
        let rings = ["a", "b", "c"];
        let mut world = World::new("2026-11-24T14:00:00Z");
        // No deadline: support of no minor is known.
        world.calendar.clear();
        for (index, (ring, times)) in members.iter().enumerate() {
            world.tenant(&format!("t-{index}"), rings[*ring], "1.35", times);
        }
        let used: Vec<&str> =
            rings.iter().enumerate().filter(|(ring, _)| members.iter().any(|(of, _)| of == ring)).map(|(_, ring)| *ring).collect();
        let mut rollout = by_ring(&used);
        rollout.step_deadline = "744h".parse().unwrap();
        for wave in &mut rollout.waves {
            wave.max_concurrent = k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(concurrent);
            wave.soak = soak.map(|hours| format!("{hours}h").parse().unwrap());
        }
        let plan = world.plan(&rollout).unwrap();
        prop_assert_eq!(&plan, &world.plan(&rollout).unwrap(), "the same input gives the same plan");
        prop_assert_eq!(plan.members.len(), members.len());
        for member in &plan.members {
            let cluster = world.clusters.iter().find(|cluster| cluster.spec.tenant == member.tenant).unwrap();
            let answer = permission(cluster.spec.maintenance.as_ref(), member.slot, member.minutes).unwrap();
            prop_assert!(matches!(answer, Permission::Now { .. }), "{}: {:?}", member.slot, answer);
        }
        for pair in plan.waves.windows(2) {
            prop_assert!(pair[0].ends_at <= pair[1].begins_at);
        }
        for wave in &plan.waves {
            let own: Vec<_> = plan.members_of(&wave.name).collect();
            for member in &own {
                prop_assert!(member.slot >= wave.opens_at && member.ends_at <= wave.ends_at);
                let moving = own.iter().filter(|other| {
                    other.slot <= member.slot && member.slot < other.moved_at
                });
                prop_assert!(moving.count() <= usize::try_from(concurrent).unwrap());
            }
        }
    }
}
