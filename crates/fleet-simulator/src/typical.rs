//! Typical rollouts, written by hand: for golden logs, and for the failures that are publicly known of others.

use fleet_api::{
    text::{Minutes, TimeOfDay},
    v1alpha1::{
        ApprovalGate, ApproverRole, Gate, Maintenance, MemberSelector, OnFailure, Slots, Wave, Weekday,
        Window,
    },
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::{
    Act, Behaviour, Ends, Fault, Kind, Member, Pace, Scenario, Target,
    time::{DAY, HOUR, MINUTE, Millis, SECOND},
};

/// Tuesday, 3 March 2026, 08:00 in UTC.
const START: Millis = 1_772_524_800_000;

/// A rollout to 1.36 with so many members in each wave, in which nothing goes wrong: one at a time, no failure allowed,
/// half an hour of soak, started after a minute.
pub fn calm(sizes: &[usize]) -> Scenario {
    let names = ["canary", "early", "broad", "last"];
    let waves = sizes.iter().zip(names).map(|(_, name)| wave(name)).collect();
    let mut members = Vec::new();
    for (index, size) in sizes.iter().enumerate() {
        for _ in 0..*size {
            members.push(member(members.len(), index));
        }
    }
    let role = |name: &str, users: &[&str]| ApproverRole {
        name: name.to_owned(),
        groups: Vec::new(),
        users: users.iter().map(|user| (*user).to_owned()).collect(),
    };
    Scenario {
        seed: 1,
        start: START,
        target: Target::Kubernetes(36),
        waves,
        on_failure: OnFailure::Pause,
        slots: Slots::Binding,
        hold_nodes: None,
        step_deadline: 180,
        offline_after: 60,
        approvers: vec![role("operations", &["ops-1", "ops-2", "planner"]), role("security", &["sec-1"])],
        members,
        checks: Vec::new(),
        acts: vec![(MINUTE, Act::Run)],
        faults: Vec::new(),
        pace: Pace { lag: [SECOND; 4], latency: 200, rest: 2 * SECOND, look: 5 * MINUTE },
        mended_after: DAY,
        cared_for: false,
    }
}

fn wave(name: &str) -> Wave {
    Wave {
        name: name.to_owned(),
        selector: MemberSelector::default(),
        max_concurrent: IntOrString::Int(1),
        max_failures: IntOrString::Int(0),
        min_successes: None,
        soak: Some(Minutes(30)),
        before: Vec::new(),
        after: Vec::new(),
    }
}

fn member(index: usize, wave: usize) -> Member {
    let behaviour = |takes| Behaviour { takes, ends: Ends::Well, settles: 2 * MINUTE, flaps: Vec::new() };
    Member {
        name: format!("m{index:02}"),
        wave,
        stored_after: 0,
        nodes_stuck: false,
        slot: 0,
        from: 35,
        minor: 35,
        made_with: 34,
        maintenance: None,
        disturbed_before: None,
        moved_before: false,
        blocked_until: 0,
        dark_until: 0,
        hasty: false,
        upgrade: behaviour(20 * MINUTE),
        back: behaviour(12 * MINUTE),
    }
}

/// Ten rollouts as they commonly go.
pub fn all() -> Vec<(&'static str, Scenario)> {
    vec![
        (
            "canary-then-the-rest",
            with(calm(&[1, 4]), |scenario| concurrent(scenario, 1, IntOrString::Int(2))),
        ),
        ("waits-for-its-window", with(calm(&[1, 2]), windows)),
        ("needs-two-approvals", with(calm(&[1, 1]), approvals)),
        ("stops-on-a-failure", with(calm(&[3]), |scenario| fails(scenario, 1))),
        ("rolls-back-on-a-failure", with(calm(&[3]), rolls_back)),
        ("soaks-again-after-a-regress", with(calm(&[1, 1]), flaps)),
        ("goes-on-without-an-offline-member", with(calm(&[3]), offline)),
        ("paused-and-resumed", with(calm(&[2]), paused)),
        ("controller-dies-between-two-writes", with(calm(&[2]), dies)),
        ("cluster-deleted-while-it-moves", with(calm(&[2]), deleted)),
    ]
}

fn with(mut scenario: Scenario, edit: impl FnOnce(&mut Scenario)) -> Scenario {
    edit(&mut scenario);
    scenario
}

fn concurrent(scenario: &mut Scenario, wave: usize, amount: IntOrString) {
    if let Some(wave) = scenario.waves.get_mut(wave) {
        wave.max_concurrent = amount;
    }
}

fn windows(scenario: &mut Scenario) {
    for member in &mut scenario.members {
        member.maintenance = Some(Maintenance {
            windows: vec![Window {
                days: vec![Weekday::Tue, Weekday::Wed],
                start: TimeOfDay { hour: 22, minute: 0 },
                duration: Minutes(120),
                latest_start: None,
            }],
            ..Maintenance::any_time("Europe/Berlin".to_owned())
        });
    }
    scenario.mended_after = 2 * DAY;
}

fn approvals(scenario: &mut Scenario) {
    if let Some(wave) = scenario.waves.get_mut(1) {
        wave.before.push(Gate {
            name: "go-on".to_owned(),
            approval: Some(ApprovalGate {
                required: 2,
                roles: vec!["operations".to_owned(), "security".to_owned()],
                valid_for: Minutes(12 * 60),
            }),
            not_before: None,
            condition: None,
            prometheus: None,
            job: None,
        });
    }
    let vote = |role: &str, approver: &str, this_plan| Act::Vote {
        gate: "go-on".to_owned(),
        role: role.to_owned(),
        approver: approver.to_owned(),
        this_plan,
    };
    scenario.acts.extend([
        // Too early, by the author, for another plan: none of them counts.
        (10 * MINUTE, vote("security", "sec-1", true)),
        (3 * HOUR, vote("operations", "planner", true)),
        (4 * HOUR, vote("security", "sec-1", false)),
        (5 * HOUR, vote("operations", "ops-1", true)),
        (6 * HOUR, vote("security", "sec-1", true)),
    ]);
}

fn fails(scenario: &mut Scenario, index: usize) {
    if let Some(member) = scenario.members.get_mut(index) {
        member.upgrade.ends = Ends::Stuck;
    }
    scenario.mended_after = 3 * DAY;
}

fn rolls_back(scenario: &mut Scenario) {
    scenario.on_failure = OnFailure::Rollback;
    if let Some(member) = scenario.members.get_mut(1) {
        member.upgrade.ends = Ends::Sick;
    }
    scenario.mended_after = 3 * DAY;
}

fn flaps(scenario: &mut Scenario) {
    if let Some(member) = scenario.members.get_mut(0) {
        member.upgrade.flaps = vec![(25 * MINUTE, 15 * MINUTE)];
    }
}

fn offline(scenario: &mut Scenario) {
    if let Some(wave) = scenario.waves.get_mut(0) {
        wave.max_failures = IntOrString::Int(1);
    }
    scenario.faults.push((10 * MINUTE, Fault::Offline(0, 20 * HOUR)));
}

fn paused(scenario: &mut Scenario) {
    scenario.acts.extend([(10 * MINUTE, Act::Pause), (4 * HOUR, Act::Run)]);
}

fn dies(scenario: &mut Scenario) {
    scenario.faults.extend([
        // The ledger's entry is written, and nothing after it.
        (66 * SECOND, Fault::Crash { writes: 1, after: true, down: 10 * MINUTE }),
        (61 * MINUTE, Fault::Crash { writes: 2, after: false, down: 10 * MINUTE }),
        (90 * MINUTE, Fault::LostWatch(Kind::Member, 10 * MINUTE)),
    ]);
}

fn deleted(scenario: &mut Scenario) {
    scenario.acts.push((10 * MINUTE, Act::DeleteCluster(0, true)));
}
