//! Rule 10: N of M people by role, not the author, not for ever, for this plan, and not in advance; and other gates.

use fleet_api::v1alpha1::{ApproverRole, MemberState::*, RolloutPhase, Run};
use fleet_plan::rollout::{CheckResult, VoteView};
use serde_json::json;

use super::hub::{Hub, at, hours, minutes, plan_hash, rollout, wave};

fn role(name: &str, groups: &[&str], users: &[&str]) -> ApproverRole {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    ApproverRole { name: name.to_owned(), groups: owned(groups), users: owned(users) }
}

/// A rollout that waits for two people, in two roles.
fn gated() -> Hub {
    let gate =
        json!({"name": "go", "approval": {"required": 2, "roles": ["security", "ops"], "validFor": "48h"}});
    let mut hub = rollout(json!([wave("w", json!({"before": [gate]}))])).with("w", &["a"]);
    hub.approvers = vec![role("security", &["sec"], &[]), role("ops", &[], &["bob", "carol"])];
    hub.begin();
    assert_eq!((hub.state("a"), hub.phase()), (Preflight, RolloutPhase::WaitingForGate));
    hub
}

fn vote(hub: &Hub, role: &str, approver: &str) -> VoteView {
    VoteView {
        gate: "go".to_owned(),
        plan_hash: plan_hash(),
        role: role.to_owned(),
        approver: approver.to_owned(),
        at: hub.now,
    }
}

fn opens(hub: &mut Hub) -> bool {
    hub.look();
    hub.settle();
    assert_eq!(hub.state("a") == Upgrading, hub.status.waves[0].gates[0].opened_at.is_some());
    hub.state("a") == Upgrading
}

#[test]
fn a_gate_opens_for_enough_different_people_of_every_role() {
    let table: [(&[(&str, &str)], bool); 8] = [
        (&[("security", "dan"), ("ops", "bob")], true),
        (&[("security", "dan")], false),
        (&[("security", "dan"), ("security", "erin")], false),
        (&[("security", "dan"), ("ops", "dan")], false),
        (&[("security", "bob"), ("ops", "bob")], false),
        (&[("security", "alice"), ("ops", "bob")], false),
        (&[("security", "dan"), ("ops", "mallory")], false),
        (&[("security", "dan"), ("finance", "bob")], false),
    ];
    for (votes, expected) in table {
        let mut hub = gated();
        hub.votes = votes.iter().map(|(role, approver)| vote(&hub, role, approver)).collect();
        assert_eq!(opens(&mut hub), expected, "{votes:?}");
    }
}

#[test]
fn the_votes_that_opened_a_gate_are_named_and_those_that_do_not_count_too() {
    let mut hub = gated();
    hub.votes = vec![vote(&hub, "security", "dan"), vote(&hub, "ops", "alice")];
    assert!(!opens(&mut hub));
    assert_eq!(hub.reason("VotesVoid").message, "the vote of alice on `go` is the author's own");
    assert_eq!(
        hub.reason("WaitingForGate").message,
        "wave `w` waits for gate `go`: 1 of 2 approvals, and none yet as ops"
    );
    hub.votes.push(vote(&hub, "ops", "bob"));
    assert!(opens(&mut hub));
    assert_eq!(hub.status.waves[0].gates[0].votes, ["bob (ops)", "dan (security)"]);
}

#[test]
fn a_vote_for_another_plan_counts_for_nothing() {
    let mut hub = gated();
    let other = VoteView { plan_hash: "cd".repeat(32), ..vote(&hub, "ops", "bob") };
    hub.votes = vec![vote(&hub, "security", "dan"), other];
    assert!(!opens(&mut hub));
}

#[test]
fn a_role_that_the_fleet_does_not_have_approves_nothing() {
    let mut hub = gated();
    hub.votes = vec![vote(&hub, "security", "dan"), vote(&hub, "ops", "bob")];
    hub.approvers.retain(|role| role.name != "ops");
    assert!(!opens(&mut hub));
}

#[test]
fn a_vote_expires_and_an_open_gate_stays_open() {
    let mut hub = gated();
    hub.votes = vec![vote(&hub, "security", "dan")];
    hub.settle();
    hub.pass_time(hours(48));
    hub.votes.push(vote(&hub, "ops", "bob"));
    assert!(!opens(&mut hub), "the first vote has expired");
    hub.votes.push(vote(&hub, "security", "erin"));
    assert!(opens(&mut hub));
    hub.votes.clear();
    hub.pass_time(hours(72));
    hub.settle();
    assert!(hub.status.waves[0].gates[0].opened_at.is_some());
}

#[test]
fn a_vote_that_was_given_before_the_gate_could_open_has_to_be_given_anew() {
    let gate = json!({"name": "go", "approval": {"roles": ["ops"]}});
    let mut hub = rollout(json!([wave("first", json!({})), wave("second", json!({"before": [gate]}))]))
        .with("first", &["z"])
        .with("second", &["a"]);
    hub.approvers = vec![role("ops", &[], &["bob"])];
    hub.begin();
    hub.votes = vec![vote(&hub, "ops", "bob")];
    hub.pass_time(minutes(30));
    hub.succeed("z");
    hub.look();
    hub.settle();
    assert!(hub.passed("first"));
    assert_eq!(hub.state("a"), Preflight);
    assert!(hub.reason("VotesVoid").message.contains("given anew"), "{:?}", hub.status.report);
    hub.votes.push(vote(&hub, "ops", "bob"));
    hub.look();
    hub.settle();
    assert_eq!(hub.state("a"), Upgrading);
}

#[test]
fn a_gate_after_a_wave_can_open_only_while_the_wave_waits_for_nothing_else() {
    let gate = json!({"name": "go", "approval": {"roles": ["ops"]}});
    let mut hub = rollout(json!([wave("w", json!({"maxFailures": 1, "maxConcurrent": 2, "after": [gate]}))]))
        .with("w", &["a", "b"]);
    hub.approvers = vec![role("ops", &[], &["bob"])];
    hub.begin();
    hub.succeed("a");
    hub.votes = vec![vote(&hub, "ops", "bob")];
    hub.pass_time(minutes(1));
    hub.get_stuck("b");
    assert_eq!(hub.phase(), RolloutPhase::WaitingForGate);
    assert!(!hub.passed("w"), "the vote was given when b was moving");
    hub.pass_time(minutes(1));
    hub.member_spec("b").retry = Some("1".to_owned());
    hub.settle();
    assert_eq!(hub.status.waves[0].gates[0].openable_since, None, "b is tried again");
    hub.votes = vec![vote(&hub, "ops", "bob")];
    hub.pass_time(minutes(1));
    hub.look();
    hub.settle();
    hub.succeed("b");
    assert!(!hub.passed("w"));
    hub.votes.push(vote(&hub, "ops", "bob"));
    hub.settle();
    assert!(hub.passed("w"));
    assert_eq!(hub.phase(), RolloutPhase::Completed);
}

#[test]
fn a_plan_can_be_approved_before_it_is_started_and_nothing_moves_by_that() {
    let mut hub = gated();
    hub.status = fleet_api::v1alpha1::RolloutStatus::default();
    hub.spec.run = Run::Planned;
    hub.settle();
    hub.votes = vec![vote(&hub, "security", "dan"), vote(&hub, "ops", "bob")];
    hub.look();
    hub.settle();
    assert!(hub.status.waves[0].gates[0].opened_at.is_some());
    assert_eq!(hub.state("a"), Preflight);
    hub.run(Run::Running);
    assert_eq!(hub.state("a"), Upgrading);
}

#[test]
fn a_moment_holds_its_wave_and_a_clock_that_ran_ahead_has_not_let_it_go() {
    let gate = json!({"name": "go", "notBefore": "2026-11-25T00:00:00Z"});
    let mut hub = rollout(json!([wave("w", json!({"before": [gate]}))])).with("w", &["a"]);
    hub.begin();
    assert!(hub.message("a").contains("gate `go`"));
    let told = &hub.reason("WaitingForGate").message;
    assert_eq!(told, "wave `w` waits for gate `go`: not before 2026-11-25T00:00Z");
    hub.now = at("2026-11-25T00:00:01Z");
    hub.settle();
    hub.now = at("2026-11-24T20:00:00Z");
    hub.look();
    hub.settle();
    assert_eq!(hub.state("a"), Preflight);
    hub.now = at("2026-11-25T00:00:00Z");
    hub.look();
    hub.settle();
    assert_eq!(hub.state("a"), Upgrading);
}

#[test]
fn a_check_opens_its_gate_only_when_it_passed_lately_and_since_the_gate_could_open() {
    for (passed, age, since, expected) in [
        (Some(true), 0, 0, true),
        (Some(false), 0, 0, false),
        (None, 0, 0, false),
        (Some(true), 16, 30, false),
        (Some(true), 16, 10, false),
        (Some(true), 10, 5, false),
        (Some(true), 10, 20, true),
    ] {
        let gate = json!({"name": "go", "condition": "cluster.ready"});
        let mut hub = rollout(json!([wave("w", json!({"before": [gate]}))])).with("w", &["a"]);
        hub.begin();
        hub.pass_time(minutes(since));
        let at = hub.now - minutes(age);
        let word = CheckResult { at, passed, message: "as seen".to_owned() };
        hub.checks.insert("go".to_owned(), word);
        assert_eq!(opens(&mut hub), expected, "{passed:?}, {age} minutes old, openable for {since}");
    }
}
