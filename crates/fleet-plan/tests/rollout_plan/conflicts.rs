//! The smallest set of rules that cannot hold together.

use fleet_api::v1alpha1::RolloutStrategy;
use fleet_plan::rollout::plan::ConflictSet;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{World, at, by_ring, windows};

fn conflict(world: &World, rollout: &RolloutStrategy) -> ConflictSet {
    let [conflict] = <[ConflictSet; 1]>::try_from(world.plan(rollout).unwrap_err().conflicts).unwrap();
    conflict
}

fn rules(conflict: &ConflictSet) -> Vec<&str> {
    conflict.rules.iter().map(|rule| rule.rule.as_str()).collect()
}

#[test]
fn windows_a_freeze_a_gate_and_a_day_cannot_hold_together() {
    let mut world = World::new("2026-12-01T14:00:00Z");
    let mut times = windows("Europe/Berlin", &["Tue", "Thu"], "22:00", "4h");
    times["freezes"] = json!([
        {"from": "2026-12-15", "to": "2027-01-06", "reason": "year end"},
        {"from": "2027-05-01", "to": "2027-05-02", "reason": "a day that matters to nobody"},
    ]);
    world.tenant("acme-payments", "all", "1.35", &times);
    world.by = Some(at("2027-01-01T00:00:00Z"));
    let mut rollout = by_ring(&["all"]);
    rollout.waves[0].before =
        serde_json::from_value(json!([{"name": "audit", "notBefore": "2026-12-11T06:00:00Z"}])).unwrap();
    let found = conflict(&world, &rollout);
    assert_eq!(
        rules(&found),
        [
            "gate audit not before 2026-12-11T06:00:00Z",
            "freeze of acme-payments from 2026-12-15 to 2027-01-06 (year end)",
            "windows Tue, Thu 22:00 for 4h Europe/Berlin",
            "over by 2027-01-01T00:00:00Z",
        ]
    );
    // With any one of them relaxed there is a slot, and the conflict says when it would be over.
    assert!(found.rules.iter().all(|rule| rule.enough && rule.without.is_some()));
    assert_eq!(found.rules[0].path.as_ref().unwrap().to_string(), "spec.waves[0].before[0].notBefore");
    let problem = found.problem();
    assert!(problem.message.starts_with(
        "acme-payments cannot be moved in time, because these cannot hold together: gate audit"
    ));
    assert!(problem.hint.unwrap().starts_with("relax one of them: open gate audit earlier, "));
}

#[test]
fn the_end_of_support_is_a_deadline_by_itself() {
    let mut world = World::new("2027-03-01T14:00:00Z");
    world.tenant("acme", "first", "1.35", &Value::Null).tenant("globex", "second", "1.35", &Value::Null);
    let mut rollout = by_ring(&["first", "second"]);
    rollout.waves[0].soak = Some("744h".parse().unwrap());
    let found = conflict(&world, &rollout);
    assert_eq!(found.tenant, "globex");
    assert_eq!(rules(&found), ["soak of 744h in wave first", "support ends at 2027-03-28T00:00:00Z"]);
}

#[test]
fn a_wave_that_goes_one_by_one_is_the_rule_to_relax() {
    let mut world = World::new("2026-11-24T14:00:00Z");
    for index in 0..20 {
        world.tenant(&format!("t-{index:02}"), "all", "1.35", &Value::Null);
    }
    world.by = Some(at("2026-11-24T20:00:00Z"));
    let found = conflict(&world, &by_ring(&["all"]));
    assert_eq!(found.tenant, "t-12");
    assert_eq!(found.others, 7);
    assert_eq!(rules(&found), ["one member at once in wave all", "over by 2026-11-24T20:00:00Z"]);
}

#[test]
fn rules_that_clash_in_two_ways_are_two_sets() {
    let mut world = World::new("2026-11-24T14:00:00Z");
    world.tenant("acme", "all", "1.35", &windows("Europe/Berlin", &["Sat"], "22:00", "4h"));
    world.by = Some(at("2026-11-26T14:00:00Z"));
    let mut rollout = by_ring(&["all"]);
    rollout.waves[0].before =
        serde_json::from_value(json!([{"name": "g", "notBefore": "2026-11-27T14:00:00Z"}])).unwrap();
    let found = world.plan(&rollout).unwrap_err().conflicts;
    assert_eq!(found.len(), 2);
    assert_eq!(rules(&found[0]), ["windows Sat 22:00 for 4h Europe/Berlin", "over by 2026-11-26T14:00:00Z"]);
    assert_eq!(rules(&found[1]), ["gate g not before 2026-11-27T14:00:00Z", "over by 2026-11-26T14:00:00Z"]);
    // Neither of the two suffices alone; another day does.
    assert!(!found[0].rules[0].enough && !found[1].rules[0].enough && found[0].rules[1].enough);
}

#[test]
fn two_rules_that_clash_are_named_before_three_that_do() {
    let mut world = World::new("2026-12-01T14:00:00Z");
    let mut times = windows("Europe/Berlin", &["Tue"], "22:00", "4h");
    times["freezes"] = json!([{"from": "2026-12-01", "to": "2026-12-30", "reason": "year end"}]);
    world.tenant("acme", "all", "1.35", &times);
    world.by = Some(at("2027-01-01T00:00:00Z"));
    let mut rollout = by_ring(&["all"]);
    rollout.waves[0].before =
        serde_json::from_value(json!([{"name": "late", "notBefore": "2027-01-02T06:00:00Z"}])).unwrap();
    // Left out one by one, the gate could be spared, because the other three clash without it.
    let found = world.plan(&rollout).unwrap_err().conflicts;
    let by = "over by 2027-01-01T00:00:00Z";
    assert_eq!(rules(&found[0]), ["gate late not before 2027-01-02T06:00:00Z", by]);
    assert_eq!(
        rules(&found[1]),
        [
            "freeze of acme from 2026-12-01 to 2026-12-30 (year end)",
            "windows Tue 22:00 for 4h Europe/Berlin",
            by
        ]
    );
}

/// What a world of two members in two waves is made from. A rule that is out is left away.
#[derive(Debug, Clone)]
struct Rules {
    soak: Option<i64>,
    gate: Option<i64>,
    freeze: Option<(i64, i64)>,
    day: Option<&'static str>,
    by: Option<i64>,
}

impl Rules {
    /// Whether the member is in time.
    fn plan(&self) -> Result<(), Vec<ConflictSet>> {
        let day = |days: i64| {
            at("2026-11-24T14:00:00Z").checked_add(jiff::SignedDuration::from_hours(days * 24)).unwrap()
        };
        let mut world = World::new("2026-11-24T14:00:00Z");
        world.calendar.clear();
        let mut times = json!({"timeZone": "Europe/Berlin"});
        if let Some(name) = self.day {
            times = windows("Europe/Berlin", &[name], "22:00", "4h");
        }
        if let Some((from, length)) = self.freeze {
            let text = |days: i64| day(days).to_string()[..10].to_owned();
            times["freezes"] = json!([{"from": text(from), "to": text(from + length), "reason": "r"}]);
        }
        world.tenant("first", "a", "1.35", &Value::Null).tenant("second", "b", "1.35", &times);
        world.by = self.by.map(day);
        let mut rollout = by_ring(&["a", "b"]);
        rollout.waves[0].soak = self.soak.map(|hours| format!("{hours}h").parse().unwrap());
        if let Some(days) = self.gate {
            let gate = json!([{"name": "g", "notBefore": day(days)}]);
            rollout.waves[1].before = serde_json::from_value(gate).unwrap();
        }
        world.plan(&rollout).map(drop).map_err(|refusal| refusal.conflicts)
    }

    /// Only the rules of a set, as it names them.
    fn only(&self, set: &[&str]) -> Self {
        let has = |beginning: &str| set.iter().any(|rule| rule.starts_with(beginning));
        Self {
            soak: self.soak.filter(|_| has("soak")),
            gate: self.gate.filter(|_| has("gate")),
            freeze: self.freeze.filter(|_| has("freeze")),
            day: self.day.filter(|_| has("windows")),
            by: self.by.filter(|_| has("over by")),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The rules of a set alone, in a world without the others, cannot hold together; without any one of them they can. No
    /// set of fewer rules than the first clashes.
    #[test]
    fn a_conflict_is_the_smallest(
        soak in prop::option::of(prop::sample::select(vec![24i64, 72, 240])),
        gate in prop::option::of(1..30i64),
        freeze in prop::option::of((1..30i64, 1..20i64)),
        day in prop::option::of(prop::sample::select(vec!["Mon", "Wed", "Sat"])),
        by in 1..40i64,
    ) {
        let rules = Rules { soak, gate, freeze, day, by: Some(by) };
        let sets: Vec<ConflictSet> = rules.plan().err().into_iter().flatten().collect();
        let kinds = ["soak", "gate", "freeze", "windows", "over by"];
        for chosen in 0..1_u32 << kinds.len() {
            let fewer: Vec<&str> =
                kinds.iter().enumerate().filter(|(kind, _)| chosen >> kind & 1 == 1).map(|(_, name)| *name).collect();
            if sets.first().is_some_and(|first| fewer.len() < first.rules.len()) {
                prop_assert!(rules.only(&fewer).plan().is_ok(), "{:?} cannot hold together", fewer);
            }
        }
        for set in sets {
            let names: Vec<&str> = set.rules.iter().map(|rule| rule.rule.as_str()).collect();
            prop_assert!(rules.only(&names).plan().is_err(), "{:?} can hold together", names);
            for out in &names {
                let rest: Vec<&str> = names.iter().copied().filter(|name| name != out).collect();
                prop_assert!(rules.only(&rest).plan().is_ok(), "{:?} cannot hold together without {}", rest, out);
            }
        }
    }
}
