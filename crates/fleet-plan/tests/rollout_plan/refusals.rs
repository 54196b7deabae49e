//! What is refused before any slot is looked for, with its place and a hint, all at once.

use fleet_api::v1alpha1::RolloutStrategy;
use fleet_spec::Code;
use serde_json::{Value, json};

use crate::world::{World, by_ring, strategy, windows};

fn fleet() -> World {
    let mut world = World::new("2026-11-24T14:00:00Z");
    world.tenant("acme", "first", "1.35", &Value::Null).tenant("globex", "second", "1.35", &Value::Null);
    world
}

fn refused(world: &World, rollout: &RolloutStrategy) -> Vec<(Code, String, String)> {
    let refusal = world.plan(rollout).unwrap_err();
    assert!(refusal.problems.iter().all(|problem| problem.hint.is_some()), "{:?}", refusal.problems);
    refusal
        .problems
        .into_iter()
        .map(|problem| (problem.code, problem.path.to_string(), problem.message))
        .collect()
}

fn codes(world: &World, rollout: &RolloutStrategy) -> Vec<(Code, String)> {
    refused(world, rollout).into_iter().map(|(code, path, _)| (code, path)).collect()
}

fn one(code: Code, path: &str) -> Vec<(Code, String)> {
    vec![(code, path.to_owned())]
}

#[test]
fn a_member_in_no_wave_is_named() {
    let found = refused(&fleet(), &by_ring(&["first"]));
    let expected = (Code::NoWave, "spec.waves".to_owned(), "globex belongs to no wave".to_owned());
    assert_eq!(found, [expected]);
}

#[test]
fn a_member_in_two_waves_is_named_with_both() {
    let mut rollout = by_ring(&["first", "second"]);
    rollout.waves[1].selector = serde_json::from_value(json!({})).unwrap();
    let found = refused(&fleet(), &rollout);
    let message = "acme belongs to wave first and to wave second";
    assert_eq!(found, [(Code::TwoWaves, "spec.waves[1].selector".to_owned(), message.to_owned())]);
}

#[test]
fn a_private_prometheus_server_is_refused_unless_the_fleet_allows_it() {
    let mut world = fleet();
    let mut rollout = by_ring(&["first", "second"]);
    let gate = |name: &str, url: &str| json!({ "name": name, "prometheus": { "url": url, "query": "up" } });
    let listed = "http://prometheus.monitoring.svc:9090";
    rollout.waves[0].after =
        serde_json::from_value(json!([gate("listed", listed), gate("other", "http://10.0.0.5")])).unwrap();
    let path = |index: usize| (Code::InvalidValue, format!("spec.waves[0].after[{index}].prometheus.url"));
    assert_eq!(codes(&world, &rollout), [path(0), path(1)]);
    world.fleet.spec.prometheus = serde_json::from_value(json!([{ "url": listed }])).unwrap();
    assert_eq!(codes(&world, &rollout), [path(1)]);
}

#[test]
fn a_selector_that_matches_nobody_and_a_wave_without_anything_to_do_are_told_apart() {
    let mut world = fleet();
    world.tenant("done", "third", "1.36", &Value::Null);
    let found = refused(&world, &by_ring(&["first", "second", "third", "fourth"]));
    let messages: Vec<&str> = found.iter().map(|(_, _, message)| message.as_str()).collect();
    assert_eq!(
        messages,
        ["no tenant of wave third has anything to do", "the selector of wave fourth matches nobody"]
    );
}

#[test]
fn amounts_that_cannot_be_meant_are_refused() {
    for (field, value, code) in [
        ("maxConcurrent", json!(0), Code::OutOfRange),
        ("maxConcurrent", json!("0%"), Code::InvalidValue),
        ("maxFailures", json!(-1), Code::OutOfRange),
        ("maxFailures", json!("half"), Code::InvalidValue),
        ("minSuccesses", json!(2), Code::OutOfRange),
        ("minSuccesses", json!(0), Code::OutOfRange),
        ("minSuccesses", json!("0%"), Code::InvalidValue),
        ("maxFailures", json!(1), Code::OutOfRange),
    ] {
        let mut wave = json!({"name": "one", "selector": {"tenants": ["acme"]}});
        wave[field] = value.clone();
        let rollout = strategy(json!({
            "target": {"kubernetes": "1.36"}, "members": {"tenants": ["acme"]}, "waves": [wave],
        }));
        let found = codes(&fleet(), &rollout);
        let path = format!("spec.waves[0].{field}");
        assert!(found.contains(&(code, path.clone())), "{field}: {value}: {found:?}");
        assert_eq!(found.iter().filter(|(_, at)| *at == path).count(), 1, "it is told once: {found:?}");
    }
}

#[test]
fn a_budget_that_is_spent_before_anything_begins_is_refused() {
    let mut world = fleet();
    let status = world.clusters[0].status.as_mut().unwrap();
    status.failures = serde_json::from_value(json!([{
        "step": "update-nodegroup-workers", "attempts": 3, "code": "PodEvictionFailure",
        "message": "a PodDisruptionBudget allows no disruption", "lastAt": "2026-11-24T12:00:00Z",
    }]))
    .unwrap();
    let found = refused(&world, &by_ring(&["first", "second"]));
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].0, found[0].1.as_str()), (Code::BudgetSpent, "spec.waves[0].maxFailures"));
    assert!(found[0].2.contains("acme is failing before it begins"), "{}", found[0].2);
}

#[test]
fn a_target_two_minors_away_asks_for_a_chain_and_one_below_for_a_rollback() {
    let mut world = fleet();
    world.tenant("old", "first", "1.34", &Value::Null).tenant("new", "first", "1.37", &Value::Null);
    let refusal = world.plan(&by_ring(&["first", "second"])).unwrap_err();
    let [far, below] = refusal.problems.as_slice() else { unreachable!("{:?}", refusal.problems) };
    assert_eq!((far.code, below.code), (Code::MinorSkipped, Code::VersionBelow));
    assert!(far.hint.as_deref().unwrap().contains("--to 1.36"));
    assert!(below.hint.as_deref().unwrap().contains("fleet rollout rollback"));
}

#[test]
fn a_minor_that_eks_does_not_offer_is_no_target() {
    let mut world = fleet();
    world.calendar.retain(|offer| offer.version.minor() != 36);
    let found = codes(&world, &by_ring(&["first", "second"]));
    assert_eq!(found, one(Code::VersionNotOffered, "spec.target.kubernetes"));
}

#[test]
fn a_tenant_of_another_rollout_that_is_not_over_is_no_member() {
    let mut world = fleet();
    world.taken.insert("acme".to_owned(), "other".to_owned());
    let found = refused(&world, &by_ring(&["first", "second"]));
    assert_eq!(found[0].0, Code::MemberTaken);
    assert_eq!(found[0].2, "acme is in rollout other, which is not over");
    // Who has succeeded there can be skipped there no more.
    let hint = world.plan(&by_ring(&["first", "second"])).unwrap_err().problems[0].hint.clone().unwrap();
    assert!(hint.starts_with("wait until it is over, or end it with `fleet rollout abort other`"), "{hint}");
}

#[test]
fn a_tenant_that_is_pinned_below_the_target_is_no_member_while_the_pin_holds() {
    for (pin, is_refused) in [
        (json!({"version": "1.35"}), true),
        (json!({"version": "1.35", "until": "2026-11-24"}), true),
        (json!({"version": "1.35", "until": "2026-11-23"}), false),
        (json!({"version": "1.36"}), false),
        (json!({"channel": "stable"}), false),
    ] {
        let mut world = fleet();
        world.tenants[0].spec.kubernetes = serde_json::from_value(pin.clone()).unwrap();
        let rollout = by_ring(&["first", "second"]);
        if is_refused {
            let expected = (
                Code::MemberPinned,
                "spec.members".to_owned(),
                "acme is pinned to 1.35, by `spec.kubernetes.version` of the Tenant".to_owned(),
            );
            assert_eq!(refused(&world, &rollout), [expected], "{pin}");
            let mut without = by_ring(&["second"]);
            without.members = serde_json::from_value(json!({"tenants": ["globex"]})).unwrap();
            assert!(world.plan(&without).is_ok(), "{pin}");
        } else {
            assert!(world.plan(&rollout).is_ok(), "{pin}");
        }
    }
    let mut world = fleet();
    world.tenants[0].spec.kubernetes = serde_json::from_value(json!({"version": "1.35"})).unwrap();
    let have = json!({"versions": {"controlPlane": "1.35", "addons": [{"name": "coredns", "version": "v1.11.1-eksbuild.1"}]}});
    world.clusters[0].status = Some(serde_json::from_value(have).unwrap());
    let mut addons = by_ring(&["first", "second"]);
    addons.target =
        serde_json::from_value(json!({"addons": [{"name": "coredns", "version": "v1.11.3-eksbuild.1"}]}))
            .unwrap();
    assert!(world.plan(&addons).is_ok(), "a pin says nothing of add-ons");
}

#[test]
fn a_rollout_of_tenants_that_are_all_there_has_nothing_to_do() {
    let mut world = World::new("2026-11-24T14:00:00Z");
    world.tenant("acme", "first", "1.36", &Value::Null);
    let found = codes(&world, &by_ring(&["first"]));
    assert!(found.contains(&(Code::NothingToDo, "spec.target".to_owned())), "{found:?}");
}

#[test]
fn a_tenant_whose_version_nobody_saw_cannot_be_planned() {
    let mut world = fleet();
    world.clusters.remove(1);
    let found = refused(&world, &by_ring(&["first", "second"]));
    assert!(found.iter().any(|(code, _, message)| {
        *code == Code::MemberUnknown && message == "globex cannot be planned: it has no cluster yet"
    }));
}

#[test]
fn windows_that_no_move_fits_into_are_refused() {
    for (times, code) in [
        (windows("UTC", &["Tue"], "22:00", "20m"), Code::WindowTooShort),
        (windows("Mars/Olympus", &["Tue"], "22:00", "4h"), Code::UnknownTimeZone),
        (
            json!({
                "timeZone": "UTC", "windows": [{"days": ["Tue"], "start": "22:00", "duration": "4h"}],
                "freezes": [{"from": "2026-11-01", "to": "2028-12-31", "reason": "always"}],
            }),
            Code::WindowNeverOpens,
        ),
    ] {
        let mut world = World::new("2026-11-24T14:00:00Z");
        world.tenant("acme", "first", "1.35", &times);
        assert_eq!(codes(&world, &by_ring(&["first"])), one(code, "spec.waves[0].selector"));
    }
}

fn with_gate(gate: Value) -> RolloutStrategy {
    let mut rollout = by_ring(&["first", "second"]);
    rollout.waves[1].before = vec![serde_json::from_value(gate).unwrap()];
    rollout
}

#[test]
fn gates_that_nobody_can_open_are_refused() {
    let mut world = fleet();
    world.fleet.spec.approvers =
        serde_json::from_value(json!([{"name": "security", "users": ["jane", "john"]}])).unwrap();
    let path = "spec.waves[1].before[0]";
    let unknown = with_gate(json!({"name": "sign-off", "approval": {"roles": ["securty"]}}));
    assert_eq!(codes(&world, &unknown), one(Code::DanglingReference, &format!("{path}.approval.roles[0]")));
    let two = with_gate(json!({"name": "sign-off", "approval": {"required": 2, "roles": ["security"]}}));
    assert!(world.plan(&two).is_ok());
    // The author has no vote.
    world.author = Some("jane".to_owned());
    assert_eq!(codes(&world, &two), one(Code::ApproversTooFew, &format!("{path}.approval.required")));
    let wrong = with_gate(json!({"name": "proven", "condition": "cluster.status.basline.probes.fail == 0"}));
    assert_eq!(codes(&world, &wrong), one(Code::InvalidValue, &format!("{path}.condition")));
    let nothing = with_gate(json!({"name": "sign-off"}));
    assert_eq!(codes(&world, &nothing), one(Code::OneOf, path));
}

#[test]
fn a_gate_after_the_end_of_support_is_refused() {
    let late = with_gate(json!({"name": "spring", "notBefore": "2027-04-01T00:00:00Z"}));
    assert_eq!(codes(&fleet(), &late), one(Code::GateTooLate, "spec.waves[1].before[0].notBefore"));
}

#[test]
fn a_deadline_that_no_member_can_keep_is_refused() {
    let mut rollout = by_ring(&["first", "second"]);
    rollout.step_deadline = "20m".parse().unwrap();
    assert_eq!(codes(&fleet(), &rollout), one(Code::DeadlineTooShort, "spec.stepDeadline"));
}

#[test]
fn a_latest_start_that_keeps_later_steps_waiting_is_named_and_not_the_length_of_the_window() {
    let mut world = World::new("2026-11-24T14:00:00Z");
    world.tenant("acme", "first", "1.35", &windows("UTC", &["Tue"], "22:00", "4h"));
    let addons: Vec<Value> =
        (0..4).map(|index| json!({"name": format!("a-{index}"), "version": "v1"})).collect();
    world.clusters[0].status.as_mut().unwrap().versions.addons =
        serde_json::from_value(json!(addons)).unwrap();
    let rollout = by_ring(&["first"]);
    assert!(world.plan(&rollout).is_ok());
    let window = |world: &mut World, change: fn(&mut fleet_api::v1alpha1::Window)| {
        change(&mut world.clusters[0].spec.maintenance.as_mut().unwrap().windows[0]);
    };
    window(&mut world, |window| window.latest_start = Some("10m".parse().unwrap()));
    let refusal = world.plan(&rollout).unwrap_err();
    let [problem] = refusal.problems.as_slice() else { panic!("{refusal:?}") };
    assert_eq!(
        (problem.code, problem.path.to_string().as_str()),
        (Code::DeadlineTooShort, "spec.waves[0].selector")
    );
    assert!(problem.message.contains("none begins later than 10m into a window"), "{}", problem.message);
    let hint = problem.hint.as_deref().unwrap();
    assert!(hint.starts_with("set a `latestStart` of at least "), "{hint}");
    assert!(!hint.contains("holdNodes"), "it has no nodes to hold back: {hint}");
    // With what the hint says there is a plan.
    let least = hint.trim_start_matches("set a `latestStart` of at least ").split(' ').next().unwrap();
    world.clusters[0].spec.maintenance.as_mut().unwrap().windows[0].latest_start =
        Some(least.parse().unwrap());
    assert!(world.plan(&rollout).is_ok(), "{least}");
    // A window that is too short is told as before.
    window(&mut world, |window| (window.latest_start, window.duration) = (None, "30m".parse().unwrap()));
    let refusal = world.plan(&rollout).unwrap_err();
    assert_eq!(refusal.problems[0].path.to_string(), "spec.stepDeadline");
    assert!(refusal.problems[0].message.contains("in windows that close before"));
}

#[test]
fn everything_wrong_is_said_at_once() {
    let mut rollout = by_ring(&["first", "nobody"]);
    rollout.hold_nodes = Some("200h".parse().unwrap());
    rollout.target.baseline = Some("pci".to_owned());
    let found: Vec<Code> = codes(&fleet(), &rollout).into_iter().map(|(code, _)| code).collect();
    for code in [Code::OneOf, Code::DanglingReference, Code::OutOfRange, Code::NoWave, Code::EmptyWave] {
        assert!(found.contains(&code), "{code:?} of {found:?}");
    }
}

fn gated(gate: &Value) -> RolloutStrategy {
    let mut rollout = by_ring(&["first", "second"]);
    rollout.waves[1].after = vec![serde_json::from_value(gate.clone()).unwrap()];
    rollout
}

#[test]
fn a_condition_is_tried_on_the_members_of_its_wave() {
    let mut world = fleet();
    world.clusters[1].metadata.labels = Some([("ring".to_owned(), "second".to_owned())].into());
    // What `dyn` gives is known only where there is a cluster to look at.
    let gate = json!({"name": "looked-at", "condition": "dyn(cluster.metadata.labels.ring)"});
    let path = "spec.waves[1].after[0].condition";
    let message =
        "the condition gives the text `second`, which is neither true nor false, for the cluster of globex";
    assert_eq!(refused(&world, &gated(&gate)), [(Code::InvalidValue, path.to_owned(), message.to_owned())]);
    // What is wrong with it by itself is told once.
    let gate = json!({"name": "looked-at", "condition": "1 + 1"});
    assert_eq!(codes(&world, &gated(&gate)), one(Code::InvalidValue, path));
    // What is not there yet may come.
    let gate = json!({"name": "looked-at", "condition": "cluster.status.baseline.objects > 3"});
    assert!(world.plan(&gated(&gate)).is_ok());
}

#[test]
fn a_function_that_the_server_may_not_have_is_a_note_of_the_plan() {
    let prometheus = json!({"url": "https://p.example.com", "query": "histogram_quantil(0.9, x) < bool 1"});
    let plan = fleet().plan(&gated(&json!({"name": "quiet", "prometheus": prometheus}))).unwrap();
    let note = "spec.waves[1].after[0].prometheus.query: `histogram_quantil` is no function of Prometheus, and the \
                server may not have it; did you mean `histogram_quantile`?";
    assert!(plan.notes.iter().any(|one| one == note), "{:?}", plan.notes);
}

#[test]
fn an_add_on_that_no_member_has_is_refused_with_the_nearest_one() {
    let mut world = fleet();
    let have = json!({"versions": {"controlPlane": "1.35", "addons": [{"name": "coredns", "version": "v1.11.1-eksbuild.1"}]}});
    world.clusters[0].status = Some(serde_json::from_value(have).unwrap());
    let rollout = |addons: Value| {
        let waves = json!([{"name": "all", "selector": {}}]);
        strategy(json!({"target": {"addons": addons}, "waves": waves}))
    };
    let found =
        world.plan(&rollout(json!([{"name": "core-dns", "version": "v1.11.3-eksbuild.1"}]))).unwrap_err();
    assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
    assert_eq!(found.problems[0].path.to_string(), "spec.target.addons[0].name");
    assert_eq!(found.problems[0].message, "no member has the add-on `core-dns`");
    assert_eq!(found.problems[0].hint.as_deref(), Some("did you mean `coredns`? The members have coredns"));
    let found = codes(&world, &rollout(json!([{"name": "coredns", "version": "v 1"}])));
    assert_eq!(found, one(Code::Addon, "spec.target.addons[0].version"));
    let coredns = rollout(json!([{"name": "coredns", "version": "v1.11.3-eksbuild.1"}]));
    assert!(world.plan(&coredns).is_ok());
    // Clusters of Auto Mode may have none at all.
    let found = fleet().plan(&coredns).unwrap_err();
    assert_eq!(found.problems[0].message, "no member has the add-on `coredns`");
    assert!(found.problems[0].hint.as_deref().unwrap().starts_with("the members have none"));
}
